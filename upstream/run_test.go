package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A fakeServer answers HTTP requests without a network, so that a test can
// run in a bubble where time is not real.
type fakeServer struct {
	began time.Time // of the test
	// before, if not nil, sees every POST first, and answers it unless it
	// returns neither.
	before func(*http.Request, message) (*http.Response, error)

	mu      sync.Mutex // guards what follows
	down    bool       // nobody can connect, and sessions are gone
	gone    bool       // the session is gone
	tools   []string
	ttls    []int           // ttlMs of the modern era's pages, one tool each; none makes the server legacy
	listed  []time.Duration // when the tools were listed, from the first page on
	session int
	dials   []time.Duration // when somebody tried to connect
}

func (f *fakeServer) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return respond(http.StatusMethodNotAllowed, ""), nil
	}
	body, _ := io.ReadAll(r.Body)
	m, err := parseMessage(body)
	if err != nil {
		return nil, err
	}
	if f.before != nil {
		if resp, err := f.before(r, m); resp != nil || err != nil {
			return resp, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case m.method == "initialize":
		return f.initialize(m)
	case m.id == nil:
		return respond(http.StatusAccepted, ""), nil
	case f.ttls != nil:
		return respond(http.StatusOK, f.answer(m, f.modern(m))), nil
	case f.gone || f.down || r.Header.Get("Mcp-Session-Id") != fmt.Sprint(f.session):
		return respond(http.StatusNotFound, "no such session"), nil
	case m.method == "tools/list":
		return respond(http.StatusOK, f.answer(m, `{"tools":[`+strings.Join(f.tools, ",")+`]}`)), nil
	}
	return respond(http.StatusOK, f.answer(m, `{}`)), nil
}

// modern is the result of a request to a server that does not tell of changes.
func (f *fakeServer) modern(m message) string {
	if m.method == "server/discover" {
		return `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}`
	}
	params, _ := rawjson.ParseObject(m.params)
	cursor, more := params.GetString("cursor")
	page, _ := strconv.Atoi(cursor)
	if !more {
		f.listed = append(f.listed, time.Since(f.began))
	}
	next := ""
	if page+1 < len(f.tools) {
		next = fmt.Sprintf(`"nextCursor":"%d",`, page+1)
	}
	return fmt.Sprintf(`{%s"tools":[%s],"ttlMs":%d,"cacheScope":"public","resultType":"complete"}`, next, f.tools[page], f.ttls[page])
}

func (f *fakeServer) initialize(m message) (*http.Response, error) {
	f.dials = append(f.dials, time.Since(f.began))
	if f.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	f.session++
	f.gone = false
	resp := respond(http.StatusOK, f.answer(m, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}`))
	resp.Header.Set("Mcp-Session-Id", fmt.Sprint(f.session))
	return resp, nil
}

func (f *fakeServer) answer(m message, result string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, m.id, result)
}

func respond(status int, body string) *http.Response {
	return &http.Response{
		StatusCode:    status,
		Header:        http.Header{"Content-Type": {jsonType}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// inBubble runs an upstream of a fake server while test runs, with jitter that
// always waits for as long as it may.
func inBubble(t *testing.T, test func(t *testing.T, f *fakeServer, u *Upstream, changes *[]string), prepare ...func(*fakeServer, *Options)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{began: time.Now(), tools: []string{`{"name":"a"}`}}
		var u *Upstream
		var changes []string // when, and how many tools then
		opts := Options{
			Name:     "x",
			URL:      &url.URL{Scheme: "http", Host: "example.com"},
			Protocol: Legacy,
			Log:      slog.New(slog.DiscardHandler),
			Changed: func() {
				tools := "none"
				if l := u.Listing(); l != nil {
					tools = fmt.Sprint(len(l.Tools))
				}
				changes = append(changes, fmt.Sprintf("%v %s", time.Since(f.began), tools))
			},
		}
		for _, p := range prepare {
			p(f, &opts)
		}
		u = New(opts)
		u.endpoint.transport = f
		u.jitter = func(limit time.Duration) time.Duration { return limit }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			u.Run(ctx)
		}()
		synctest.Wait()
		test(t, f, u, &changes)
		cancel()
		<-done
	})
}

func wait(d time.Duration) {
	time.Sleep(d) // in the bubble this takes no time
	synctest.Wait()
}

func TestBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer, u *Upstream, changes *[]string) {
		select {
		case <-u.Attempted():
		default:
			t.Fatal("the first attempt has not ended")
		}
		_, err := u.Call(t.Context(), Call{Method: "ping"})
		if want := `upstream "x": not connected: initialize: dial tcp: connection refused; next attempt in 500ms`; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		wait(100 * time.Second)
		var want []time.Duration
		for _, s := range []float64{0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5} {
			want = append(want, time.Duration(s*float64(time.Second)))
		}
		f.set(func() {
			if diff := cmp.Diff(want, f.dials); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
		})
		f.set(func() { f.down = false })
		wait(30 * time.Second)
		if got := u.Status(); got.State != Connected || got.Connects != 1 {
			t.Errorf("status %+v, want connected", got)
		}
		if want := []string{"2m1.5s 1"}; !slices.Equal(*changes, want) {
			t.Errorf("changes %q, want %q", *changes, want)
		}
	}, func(f *fakeServer, _ *Options) { f.down = true })
}

func TestFullJitter(t *testing.T) {
	b := backoff{jitter: fullJitter}
	for i := range 100 {
		limit := min(maxBackoff, minBackoff<<min(i, 10))
		if got := b.next(); got < 0 || got >= limit {
			t.Errorf("pause %d is %v, want less than %v", i, got, limit)
		}
	}
}

func TestListingStaysForToolsGrace(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer, u *Upstream, changes *[]string) {
		wait(time.Minute)
		f.set(func() { f.down = true })
		if _, err := u.Call(t.Context(), Call{Method: "ping"}); err == nil {
			t.Error("the call was answered")
		}
		if got := u.Status(); got.State != Lost {
			t.Errorf("state %s, want lost", got.State)
		}
		wait(10*time.Minute - time.Second)
		if u.Listing() == nil {
			t.Error("the listing is gone too early")
		}
		wait(time.Second)
		if u.Listing() != nil {
			t.Error("the listing is still there")
		}
		f.set(func() { f.down = false })
		wait(time.Minute)
		if u.Listing() == nil {
			t.Error("the listing has not come back")
		}
		if got := u.Status(); got.State != Connected || got.Connects != 2 {
			t.Errorf("status %+v, want connected again", got)
		}
		if len(*changes) != 3 {
			t.Errorf("changes %q, want 3", *changes)
		}
	})
}

func TestReconnectWithinGraceChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer, u *Upstream, changes *[]string) {
		before := u.Listing()
		wait(time.Minute)
		f.set(func() { f.gone = true })
		if _, err := u.Call(t.Context(), Call{Method: "ping"}); err != nil {
			t.Errorf("the call was not repeated in a new session: %v", err)
		}
		wait(20 * time.Minute)
		if u.Listing() != before || len(*changes) != 1 || u.Status().Connects != 2 {
			t.Errorf("changes %q, status %+v; want the same listing of the second connection", *changes, u.Status())
		}
		f.set(func() { f.gone, f.tools = true, []string{`{"name":"a"}`, `{"name":"b"}`} })
		if _, err := u.Call(t.Context(), Call{Method: "ping"}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := len(u.Listing().Tools); got != 2 || len(*changes) != 2 {
			t.Errorf("%d tools, changes %q; want 2 and 2", got, *changes)
		}
	})
}

// A call that comes while the first attempt is under way waits for it.
func TestCallWaitsForTheFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{began: time.Now()}
		u := New(Options{Name: "x", URL: &url.URL{Scheme: "http", Host: "example.com"}, Protocol: Legacy, Log: slog.New(slog.DiscardHandler)})
		u.endpoint.transport = slow{f, 3 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go u.Run(ctx)
		result, err := u.Call(t.Context(), Call{Method: "ping", Params: json.RawMessage(`{}`)})
		if string(result) != "{}" || err != nil {
			t.Errorf("got %s, %v", result, err)
		}
		if took := time.Since(f.began); took != 12*time.Second { // initialize, initialized, tools/list, ping
			t.Errorf("took %v", took)
		}
	})
}

type slow struct {
	http.RoundTripper
	by time.Duration
}

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		time.Sleep(s.by)
	}
	return s.RoundTripper.RoundTrip(r)
}

// A server that says for how long its list is fresh, and does not tell when it
// changes, is asked again when its shortest page is stale, and a little later
// so that many gateways do not ask in step.
func TestStaleListsAreFetchedAnew(t *testing.T) {
	for name, test := range map[string]struct {
		ttls []int
		ttl  time.Duration
		want []time.Duration // when it lists, in ten minutes
	}{
		"two pages": {[]int{120_000, 240_000}, 2 * time.Minute, []time.Duration{0, 150, 300, 450, 600}},
		"too short": {[]int{1000, 1000}, time.Second, nil}, // see below
		"none":      {[]int{0, 60_000}, 0, []time.Duration{0}},
		"negative":  {[]int{-5, -1}, 0, []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fakeServer, u *Upstream, changes *[]string) {
				if got := u.Listing().TTL.Tools; got != test.ttl {
					t.Errorf("fresh for %v, want %v", got, test.ttl)
				}
				wait(10*time.Minute + time.Second)
				var got []time.Duration
				f.set(func() { got = slices.Clone(f.listed) })
				if test.want == nil { // every 37.5 s, the least there is
					if len(got) != 16 {
						t.Errorf("listed %d times in ten minutes: %v", len(got), got)
					}
					return
				}
				for i, at := range got {
					got[i] = at.Truncate(time.Second) / time.Second
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("listed at seconds (-want +got):\n%s", diff)
				}
				f.set(func() { f.tools = []string{`{"name":"a"}`} })
				wait(3 * time.Minute)
				if want := map[bool]int{true: 1, false: 2}[test.ttl > 0]; len(u.Listing().Tools) != want {
					t.Errorf("%d tools after a change, want %d", len(u.Listing().Tools), want)
				}
			}, func(f *fakeServer, o *Options) {
				f.ttls, f.tools, o.Protocol = test.ttls, []string{`{"name":"a"}`, `{"name":"b"}`}, Modern
			})
		})
	}
}

// For how long a list is fresh is what came with it, not with the first one.
func TestFreshnessOfTheNewestList(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer, u *Upstream, _ *[]string) {
		f.set(func() { f.ttls = []int{60_000} })
		wait(77 * time.Minute)
		f.set(func() {
			var got []time.Duration
			for _, at := range f.listed {
				got = append(got, at.Truncate(time.Second))
			}
			want := []time.Duration{0, 75 * time.Minute, 76*time.Minute + 15*time.Second}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
		})
	}, func(f *fakeServer, o *Options) { f.ttls, o.Protocol = []int{3_600_000}, Modern })
}

// However often a server says that its list has changed, it is fetched twice a
// second at most.
func TestListsAreNotFetchedAllTheTime(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeServer, u *Upstream, _ *[]string) {
		u.mu.Lock()
		c := u.conn
		u.mu.Unlock()
		wait(time.Minute)
		for range 1000 {
			c.lists.add(kinds[0])
			wait(10 * time.Millisecond)
		}
		f.set(func() {
			if n := len(f.listed); n < 15 || n > 22 {
				t.Errorf("listed %d times while the list changed for 10 s", n)
			}
		})
	}, func(f *fakeServer, o *Options) { f.ttls, o.Protocol = []int{0}, Modern })
}
