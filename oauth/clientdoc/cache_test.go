package clientdoc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth/clientdoc"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// Test43 has a document change its redirect URIs: the new ones count when the
// old document is not fresh any more.
func Test43(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.publish(id, document(id, nil), "Cache-Control: public, max-age=600")
		s.get(id)
		s.publish(id, document(id, object{"redirect_uris": []string{"http://localhost/new"}}), "Cache-Control: max-age=600")
		time.Sleep(10*time.Minute - 1)
		if doc := s.get(id); doc.Check("http://localhost:1/callback") != nil || s.count() != 1 {
			t.Errorf("before its time, it is %+v, after %d requests", doc, s.count())
		}
		time.Sleep(time.Nanosecond)
		if doc := s.get(id); doc.Check("http://localhost:1/callback") == nil || doc.Check("http://localhost:1/new") != nil || s.count() != 2 {
			t.Errorf("after its time, it is %+v, after %d requests", doc, s.count())
		}
		if !strings.Contains(s.log.String(), "has changed") {
			t.Errorf("the log does not say that it has changed: %s", s.log)
		}
	})
}

// Test43Withdrawn has a document disappear, or become a bad one.
func Test43Withdrawn(t *testing.T) {
	for name, after := range map[string]func(*internet){
		"gone":  func(n *internet) { n.breakDown(http.StatusGone) },
		"wrong": func(n *internet) { n.publish(id, document(id, object{"client_secret": "x"})) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.get(id)
				after(s.internet)
				time.Sleep(time.Hour)
				s.refuse(id, "The client's metadata document")
				s.breakDown(http.StatusBadGateway)
				time.Sleep(time.Minute)
				s.unavailable(id, "status 502") // and what was there before is gone
			})
		})
	}
}

func TestFreshness(t *testing.T) {
	for _, tt := range []struct {
		headers []string
		want    time.Duration
	}{
		{nil, time.Hour},
		{[]string{"Cache-Control: max-age=1800"}, 30 * time.Minute},
		{[]string{"Cache-Control: public, Max-Age=1800, must-revalidate"}, 30 * time.Minute},
		{[]string{`Cache-Control: max-age="1800"`}, 30 * time.Minute},
		{[]string{"Cache-Control: max-age=1800", "Age: 600"}, 20 * time.Minute},
		{[]string{"Cache-Control: max-age=0"}, 5 * time.Minute},
		{[]string{"Cache-Control: max-age=-1"}, 5 * time.Minute},
		{[]string{"Cache-Control: max-age=soon"}, 5 * time.Minute},
		{[]string{"Cache-Control: max-age=99999999"}, 24 * time.Hour},
		{[]string{"Cache-Control: max-age=99999999999999999999"}, 5 * time.Minute},
		{[]string{"Cache-Control: no-store"}, 5 * time.Minute},
		{[]string{"Cache-Control: no-cache, max-age=1800"}, 5 * time.Minute},
		{[]string{"Cache-Control: private"}, time.Hour},
	} {
		t.Run(fmt.Sprint(tt.headers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.publish(id, document(id, nil), tt.headers...)
				s.get(id)
				time.Sleep(tt.want - 1)
				s.get(id)
				if s.count() != 1 {
					t.Errorf("it was not fresh for %v", tt.want)
				}
				time.Sleep(time.Nanosecond)
				s.get(id)
				if s.count() != 2 {
					t.Errorf("it was fresh for longer than %v", tt.want)
				}
			})
		})
	}
}

func TestMendedDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.publish(id, document(id, object{"client_name": nil}))
		s.refuse(id, "has no client_name")
		s.publish(id, document(id, nil))
		time.Sleep(time.Minute - 1)
		s.refuse(id, "has no client_name")
		time.Sleep(time.Nanosecond)
		s.get(id)
		if s.count() != 2 {
			t.Errorf("%d requests, want 2", s.count())
		}
	})
}

func TestOutageBeforeTheFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		for _, status := range []int{http.StatusBadGateway, http.StatusTooManyRequests, http.StatusForbidden} {
			s.breakDown(status)
			s.unavailable(id, fmt.Sprint("status ", status))
			time.Sleep(10 * time.Second)
		}
		s.publish(id, document(id, nil))
		s.get(id)
		if s.count() != 4 {
			t.Errorf("%d requests, want 4", s.count())
		}
	})
}

// TestOutage has a document that was fresh for five minutes count for a day more.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.publish(id, document(id, nil), "Cache-Control: no-store")
		s.get(id)
		s.breakDown(http.StatusServiceUnavailable)
		time.Sleep(5 * time.Minute)
		s.get(id)
		s.get(id)
		if s.count() != 2 {
			t.Errorf("%d requests, want 2", s.count())
		}
		time.Sleep(24*time.Hour - 1)
		s.get(id)
		time.Sleep(10 * time.Second)
		s.unavailable(id, "status 503")
		s.publish(id, document(id, nil))
		time.Sleep(10 * time.Second)
		s.get(id)
	})
}

// TestOneFetchForAll has fifty people ask at once, of whom the first one leaves.
func TestOneFetchForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		release := make(chan struct{})
		body := document(id, nil)
		s.handle(func(w http.ResponseWriter, r *http.Request) {
			<-release
			s.publish(id, body)
			s.handler(w, r)
		})
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = s.Get(ctx, id) })
		synctest.Wait()
		leave()
		for range 49 {
			all.Go(func() {
				if _, err := s.Get(t.Context(), id); err != nil {
					t.Errorf("it is %v", err)
				}
			})
		}
		synctest.Wait()
		close(release)
		all.Wait()
		if s.count() != 1 {
			t.Errorf("%d requests, want 1", s.count())
		}
	})
}

// TestWaitingIsBounded has a thousand requests for a document that does not come.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.handle(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		var busy, waited atomic.Int32
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				began := time.Now()
				_, err := s.Get(t.Context(), id)
				var unavailable *clientdoc.Unavailable
				switch {
				case !errors.As(err, &unavailable):
					t.Errorf("it is %v", err)
				case time.Since(began) == 0:
					busy.Add(1)
				case time.Since(began) == 5*time.Second:
					waited.Add(1)
				}
			})
		}
		all.Wait()
		if busy.Load() != 899 || waited.Load() != 101 || s.count() != 1 {
			t.Errorf("%d were turned away and %d waited, with %d requests", busy.Load(), waited.Load(), s.count())
		}
	})
}

func TestCallerThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.handle(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		var first sync.WaitGroup
		first.Go(func() { s.unavailable(id, "") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Get(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it is %v", err)
		}
		first.Wait()
	})
}

// TestFlood asks for 10,000 ids in a row, and counts what comes of it. A document
// that is known is there all the time.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.get(id)
		s.breakDown(http.StatusNotFound)
		before := memory()
		for i := range 10_000 {
			if i%1000 == 0 {
				time.Sleep(time.Second)
				s.get(id)
			}
			if _, err := s.Get(t.Context(), fmt.Sprintf("https://app.example.com/%d/%s", i, strings.Repeat("a", 400))); err == nil {
				t.Fatal("a document that is not there is answered")
			}
		}
		// Ten seconds have passed.
		if got := s.count() - 1; got > 20+10*5 {
			t.Errorf("%d requests", got)
		}
		if grown := memory() - before; grown > 4<<20 {
			t.Errorf("memory has grown by %d KiB", grown>>10)
		}
		if lines := strings.Count(s.log.String(), "\n"); lines > 20+10*5 {
			t.Errorf("%d lines in the log", lines)
		}
	})
}

// TestFloodWhenStale has no fetch left for a document that is due.
func TestFloodWhenStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.publish(id, document(id, nil), "Cache-Control: no-store")
		s.get(id)
		time.Sleep(5 * time.Minute)
		for i := range 100 {
			if _, err := s.Get(t.Context(), fmt.Sprintf("https://app.example.com/%d", i)); err == nil {
				t.Fatal("a document that is not there is answered")
			}
		}
		s.get(id)
		time.Sleep(time.Second)
		s.get(id)
		if got := s.count(id); got != 2 {
			t.Errorf("%d requests, want the first one and one after the flood", got)
		}
	})
}

// TestFailuresAreForgotten floods for half an hour, at the rate of fetches.
func TestFailuresAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := clientdoc.New(clientdoc.Options{HTTP: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody}, nil
		})}})
		before := memory()
		for i := range 9000 {
			time.Sleep(time.Second / 5)
			var refused *clientdoc.Refused
			if _, err := f.Get(t.Context(), fmt.Sprintf("https://app.example.com/%d/%s", i, strings.Repeat("a", 450))); !errors.As(err, &refused) {
				t.Fatal(err)
			}
		}
		if grown := memory() - before; grown > 2<<20 {
			t.Errorf("memory has grown by %d KiB", grown>>10)
		}
		runtime.KeepAlive(f)
	})
}

// TestFloodAtOnce asks for 1,000 ids at the same time.
func TestFloodAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		var underWay, most atomic.Int32
		s.handle(func(_ http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), underWay.Add(1)))
			defer underWay.Add(-1)
			<-r.Context().Done()
		})
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				if _, err := s.Get(t.Context(), fmt.Sprintf("https://h%d.example.com/client.json", i)); err == nil {
					t.Error("a document that is not there is answered")
				}
			})
		}
		all.Wait()
		if most.Load() != 10 || s.count() != 10 {
			t.Errorf("%d requests, %d at once, want 10", s.count(), most.Load())
		}
	})
}

// TestManyDocuments keeps a thousand of them, and among these the one in use.
func TestManyDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetched := map[string]int{}
		f := clientdoc.New(clientdoc.Options{
			Rules: redirect.Rules{Loopback: true},
			HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				fetched[r.URL.String()]++
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"max-age=86400"}},
					Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"client_id":%q,"client_name":"x","redirect_uris":["http://localhost/"]}`, r.URL))),
				}, nil
			})},
		})
		get := func(id string) {
			time.Sleep(time.Second)
			if _, err := f.Get(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		page := func(i int) string { return fmt.Sprintf("https://h%d.example.com/client.json", i) }
		for i := range 1200 {
			get(id)
			get(page(i))
		}
		for _, i := range []int{1199, 800, 0} { // the last one was forgotten
			get(page(i))
		}
		if got := []int{fetched[id], fetched[page(1199)], fetched[page(800)], fetched[page(0)]}; !slices.Equal(got, []int{1, 1, 1, 2}) {
			t.Errorf("fetched %v times, want [1 1 1 2]", got)
		}
	})
}

func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
