//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
	"github.com/mcpagg/mcpagg/oauth/store"
)

const (
	signInsPerMinute = 1000
	// loadRounds are measurements without and with sign-ins, in turn, so that whatever
	// else the machine does disturbs both alike.
	loadRounds = 6
	loadTime   = 1500 * time.Millisecond
	// loadCallers call at a rate that leaves the machine time for the people who sign
	// in, and for their provider and their browsers, which all run on it.
	loadCallers = 4
	loadPause   = 10 * time.Millisecond

	// slowerBy and slowerTimes are by how much the slowest calls in a hundred may be
	// slower while people sign in: they share two processors with all that.
	slowerBy    = 5 * time.Millisecond
	slowerTimes = 2
)

// TestBrokerLoad has a thousand people a minute sign in while others make calls.
func TestBrokerLoad(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "  trusted_proxies = [\"127.0.0.1/32\"]\n")
	caller := b.signedIn(t)
	load := &signInLoad{b: b}
	var alone, beside []time.Duration
	for range loadRounds {
		alone = append(alone, callsFor(t, caller, loadTime)...)
		stop := load.start(t)
		beside = append(beside, callsFor(t, caller, loadTime)...)
		stop()
	}
	rate := float64(load.done.Load()) / (loadRounds * loadTime).Minutes()
	t.Logf("%.0f sign-ins a minute; calls without them: p50 %v, p99 %v of %d; with them: p50 %v, p99 %v of %d", rate,
		percentile(alone, 50), percentile(alone, 99), len(alone), percentile(beside, 50), percentile(beside, 99), len(beside))
	if rate < 0.9*signInsPerMinute {
		t.Errorf("only %.0f people a minute could sign in", rate)
	}
	if got, want := percentile(beside, 99), slowerTimes*percentile(alone, 99)+slowerBy; got > want {
		t.Errorf("while people sign in, a call in a hundred takes %v, want at most %v", got, want)
	}
}

// A signInLoad is people who sign in.
type signInLoad struct {
	b    *brokerGateway
	next atomic.Int64
	done atomic.Int64
}

// start has people begin to sign in at an even rate until it is stopped, and then
// waits for those who have begun.
func (l *signInLoad) start(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(time.Minute / signInsPerMinute)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				all.Go(func() { l.signIn(t) })
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}

// signIn signs in somebody who was never here before, from a place of their own.
func (l *signInLoad) signIn(t *testing.T) {
	n := l.next.Add(1)
	user := l.b.entra.AddUser(fakeentra.User{Name: fmt.Sprintf("person-%d@contoso.example", n)})
	v, err := newVisitor(t.Context(), l.b.base, user.Name, fmt.Sprintf("10.1.%d.%d", n/250, n%250+1))
	if err == nil {
		err = v.enter(t.Context())
	}
	if err != nil {
		t.Errorf("person %d: %v", n, err)
		return
	}
	l.done.Add(1)
}

// callsFor makes calls for a time, and returns how long they took.
func callsFor(t *testing.T, v *visitor, span time.Duration) []time.Duration {
	t.Helper()
	took := make([][]time.Duration, loadCallers)
	var all sync.WaitGroup
	for i := range took {
		all.Go(func() {
			for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(loadPause) {
				began := time.Now()
				if err := v.works(t.Context()); err != nil {
					t.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	all.Wait()
	return slices.Concat(took...)
}

func percentile(took []time.Duration, of int) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*of/100].Round(10 * time.Microsecond)
}

const (
	manySessions = 100_000
	// startWithMany is how long a gateway may take for them to start, on a machine that
	// does other things as well, and memoryOfOne what one of them may hold, in bytes.
	startWithMany = 20 * time.Second
	memoryOfOne   = 2 << 10
)

// TestBrokerManySessions starts a gateway whose store has a hundred thousand sessions,
// which are copies of one.
func TestBrokerManySessions(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	newDisk(t, b.sandbox, "1g")
	admin := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	b.config.flags = []string{"--admin", admin, "--debug"}
	b.start(t)
	v := b.signedIn(t)
	before := heap(t, "http://"+admin)
	if err := b.signal(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b.multiply(t, manySessions)
	t.Logf("it takes %v to store them", time.Since(began).Round(time.Millisecond))

	began = time.Now()
	b.start(t)
	b.mustWork(t, v)
	took, resident := time.Since(began), b.memory(t)
	ofOne := (heap(t, "http://"+admin) - before) / manySessions
	t.Logf("a gateway with %d sessions serves after %v; each of them holds %d bytes, and all is %d MiB", manySessions, took.Round(time.Millisecond), ofOne, resident>>20)
	if took > startWithMany || ofOne > memoryOfOne {
		t.Errorf("with %d sessions it starts in %v, and each of them holds %d bytes", manySessions, took, ofOne)
	}
	if err := v.renew(t.Context()); err != nil {
		t.Errorf("a refresh: %v", err)
	}
	var sessions []json.RawMessage
	if err := json.Unmarshal([]byte(b.run(t, nil, os.Getenv(binaryEnv), "sessions", "list", "--client", "visitor", "--json")), &sessions); err != nil {
		t.Fatal(err)
	}
	if len(sessions) != manySessions+1 {
		t.Errorf("it knows %d sessions", len(sessions))
	}
}

// multiply copies the session in the store of a gateway that does not run, each time
// for somebody else.
func (b *brokerGateway) multiply(t testing.TB, n int) {
	t.Helper()
	const kind = "session"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	st, err := store.Open(ctx, store.Options{Dir: filepath.Join(b.home, "state", "mcpagg")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var original map[string]any
	if err := st.List(ctx, kind, "", func(e store.Entry) error { return json.Unmarshal(e.Value, &original) }); err != nil || original["Person"] == nil {
		t.Fatalf("there is no session: %v, %v", err, original)
	}
	var wg sync.WaitGroup
	const writers = 8
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				if err := putCopy(ctx, st, kind, original, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func putCopy(ctx context.Context, st *store.Store, kind string, original map[string]any, i int) error {
	record := maps.Clone(original)
	record["Person"] = fmt.Sprintf("%v-%d", original["Person"], i)
	value, err := json.Marshal(record)
	if err != nil {
		return err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // which never fails
	_, err = st.Create(ctx, kind, base64.RawURLEncoding.EncodeToString(id), value, 30*24*time.Hour)
	return err
}

// heap is what a gateway has in use, in bytes.
func heap(t testing.TB, admin string) int {
	t.Helper()
	get(t, admin+"/debug/pprof/heap?gc=1")
	var memory struct {
		Alloc int `json:"heap_alloc"`
	}
	if err := json.Unmarshal([]byte(get(t, admin+"/debug/memory")), &memory); err != nil || memory.Alloc == 0 {
		t.Fatalf("the gateway says nothing of its memory: %v", err)
	}
	return memory.Alloc
}

// memory is how much of it the gateway has from the system, in bytes.
func (b *brokerGateway) memory(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("/proc says nothing of the memory of the gateway: %s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
