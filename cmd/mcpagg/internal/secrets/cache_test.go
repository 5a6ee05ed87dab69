package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A fake is a source whose answer the test sets. It takes a second.
type fake struct {
	mu    sync.Mutex
	value string
	err   error
	asked int
}

func (f *fake) Get(ctx context.Context, _ string) (string, error) {
	f.mu.Lock()
	f.asked++
	value, err := f.value, f.err
	f.mu.Unlock()
	select {
	case <-time.After(time.Second):
		return value, err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (f *fake) set(value string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value, f.err = value, err
}

func (f *fake) times() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// get asks for a secret, and says what came and how long it took.
func get(c *Cache) string {
	began := time.Now()
	value, err := c.Get(context.Background(), "x")
	if err != nil {
		value = "error: " + err.Error()
	}
	return fmt.Sprintf("%s after %v", value, time.Since(began))
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

var errDown = errors.New("connection refused")

func TestCacheRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{value: "one"}
		c := NewCache(f, Options{Name: "kv", TTL: time.Minute})
		defer c.Close()
		expect(t, get(c), "one after 1s")
		expect(t, get(c), "one after 0s")
		f.set("two", nil)
		time.Sleep(44 * time.Second)
		expect(t, get(c), "one after 0s")
		expect(t, fmt.Sprint(f.times()), "1")
		time.Sleep(time.Second)
		expect(t, get(c), "one after 0s") // and it is fetched meanwhile
		time.Sleep(2 * time.Second)
		expect(t, get(c), "two after 0s")
		time.Sleep(time.Hour)
		f.set("three", nil)
		expect(t, get(c), "three after 1s") // nothing that old is used
		expect(t, fmt.Sprint(f.times()), "3")
	})
}

func TestCacheAsksOnceForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{value: "one"}
		c := NewCache(f, Options{Name: "kv"})
		defer c.Close()
		var all sync.WaitGroup
		var got atomic.Int32
		for range 100 {
			all.Go(func() {
				if value, err := c.Get(t.Context(), "x"); err == nil && value == "one" {
					got.Add(1)
				}
			})
		}
		// One who leaves does not take the others' answer along.
		hasty, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("no time"))
		defer cancel()
		_, err := c.Get(hasty, "x")
		expect(t, fmt.Sprint(err), "secret kv/x: waiting for its source: no time")
		all.Wait()
		if got.Load() != 100 || f.times() != 1 {
			t.Errorf("%d of 100 got the value, the source was asked %d times", got.Load(), f.times())
		}
	})
}

func TestCacheWhileTheSourceIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fake{value: "hunter2hunter2"}
		c := NewCache(f, Options{Name: "kv", TTL: time.Minute, MaxStale: 10 * time.Minute, Log: slog.New(slog.NewTextHandler(&log, nil))})
		defer c.Close()
		expect(t, get(c), "hunter2hunter2 after 1s")
		time.Sleep(time.Minute)
		f.set("", errDown)
		expect(t, get(c), "hunter2hunter2 after 1s") // it is asked, in vain
		for range 99 {
			expect(t, get(c), "hunter2hunter2 after 0s")
			time.Sleep(6 * time.Second)
		}
		if lines := strings.Count(log.String(), "a secret cannot be fetched"); lines != 1 {
			t.Errorf("%d warnings, want one:\n%s", lines, log.String())
		}
		time.Sleep(time.Minute)
		expect(t, get(c), "error: secret kv/x: connection refused after 1s")
		expect(t, get(c), "error: secret kv/x: connection refused after 0s") // not asked again at once
		f.set("correct horse", nil)
		time.Sleep(downFor)
		expect(t, get(c), "correct horse after 1s")
		if !strings.Contains(log.String(), "can be fetched again") || strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), "horse") {
			t.Errorf("logged:\n%s", log.String())
		}
	})
}

func TestCacheOfWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{value: "one"}
		c := NewCache(f, Options{Name: "kv", TTL: time.Minute})
		defer c.Close()
		expect(t, get(c), "one after 1s")
		f.set("", refused("there is no such secret"))
		time.Sleep(time.Minute)
		expect(t, get(c), "error: secret kv/x: there is no such secret after 1s") // deleted means not to be used
		for range 29 {
			expect(t, get(c), "error: secret kv/x: there is no such secret after 0s")
			time.Sleep(time.Second)
		}
		if f.times() != 2 {
			t.Errorf("asked %d times, want 2", f.times())
		}
		f.set("two", nil)
		time.Sleep(2 * time.Second)
		expect(t, get(c), "two after 1s")
	})
}

func TestCacheRefusesGarbage(t *testing.T) {
	for value, want := range map[string]string{
		"":                              "its value is empty; store another one",
		strings.Repeat("x", MaxValue+1): "its value is larger than 64 KiB",
		"\xff\xfe":                      "its value is not text in UTF-8",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := NewCache(&fake{value: value}, Options{Name: "kv"})
			defer c.Close()
			expect(t, get(c), "error: secret kv/x: "+want+" after 1s")
		})
	}
}

// A source that never answers holds up nobody for longer than Timeout, and
// Close does not wait for it.
func TestCacheOfASilentSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(silent{}, Options{Name: "kv", Timeout: 3 * time.Second})
		expect(t, get(c), "error: secret kv/x: no answer within 3s after 3s")
		time.Sleep(downFor)
		began := time.Now()
		go func() { _ = get(c) }()
		synctest.Wait()
		c.Close()
		c.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		expect(t, get(c), "error: secret kv/x: the gateway stops after 0s")
	})
}

type silent struct{}

func (silent) Get(ctx context.Context, _ string) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func TestCacheLeavesABusySourceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: &busyError{"too many requests", 40 * time.Second}}
		c := NewCache(f, Options{Name: "kv"})
		defer c.Close()
		for range 41 {
			_ = get(c)
			time.Sleep(time.Second)
		}
		if f.times() != 2 {
			t.Errorf("asked %d times, want 2", f.times())
		}
	})
}

// A lifetime that is over before the value arrives still yields the value.
func TestCacheOfShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{value: "one"}
		c := NewCache(f, Options{TTL: time.Nanosecond})
		defer c.Close()
		expect(t, get(c), "one after 1s")
		time.Sleep(time.Second)
		expect(t, get(c), "one after 1s")
	})
}

// What a source has taken back is not used any more: neither for the rest of its
// time, nor when the source is down later.
func TestCacheForgetsWhatIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{value: "one"}
		c := NewCache(f, Options{Name: "kv", TTL: time.Minute})
		defer c.Close()
		expect(t, get(c), "one after 1s")
		f.set("", refused("it was deleted"))
		time.Sleep(50 * time.Second)
		expect(t, get(c), "one after 0s") // and it is asked meanwhile
		time.Sleep(2 * time.Second)
		expect(t, get(c), "error: secret kv/x: it was deleted after 0s")
		f.set("", errDown)
		time.Sleep(missingFor)
		expect(t, get(c), "error: secret kv/x: connection refused after 1s")
	})
}
