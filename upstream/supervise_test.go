package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A moody server is one that a test changes the mood of.
type moody struct {
	t *testing.T

	mu   sync.Mutex
	mood func(*http.Request, message) (*http.Response, error)
	seen map[string]int // requests so far, by method
}

// moodily lets m answer for the fake server.
func (m *moody) moodily(f *fakeServer, o *Options) {
	m.seen = map[string]int{}
	f.before = func(r *http.Request, msg message) (*http.Response, error) {
		m.mu.Lock()
		m.seen[msg.method]++
		mood := m.mood
		m.mu.Unlock()
		if mood == nil {
			return nil, nil
		}
		return mood(r, msg)
	}
}

func (m *moody) becomes(mood func(*http.Request, message) (*http.Response, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mood = mood
}

func (m *moody) count(method string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[method]
}

// probes counts what asks whether the server is there, dialling a modern one included.
func (m *moody) probes() int { return m.count("ping") + m.count("server/discover") }

// Moods.
var (
	broke500 = func(*http.Request, message) (*http.Response, error) {
		return respond(http.StatusInternalServerError, "oops"), nil
	}
	refuses = func(*http.Request, message) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	resets = func(*http.Request, message) (*http.Response, error) { return nil, io.EOF }
	hangs  = func(r *http.Request, _ message) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
)

// only has the mood for calls of tools alone.
func only(mood func(*http.Request, message) (*http.Response, error)) func(*http.Request, message) (*http.Response, error) {
	return func(r *http.Request, m message) (*http.Response, error) {
		if m.method == "tools/call" {
			return mood(r, m)
		}
		return nil, nil
	}
}

// once has the mood for the first call of a tool.
func once(mood func(*http.Request, message) (*http.Response, error)) func(*http.Request, message) (*http.Response, error) {
	var done atomic.Bool
	return only(func(r *http.Request, m message) (*http.Response, error) {
		if done.Swap(true) {
			return nil, nil
		}
		return mood(r, m)
	})
}

// eachMoodyEra runs a test of a connected upstream in a bubble, in both eras.
func eachMoodyEra(t *testing.T, test func(t *testing.T, m *moody, u *Upstream), change ...func(*Options)) {
	for _, era := range []Era{LegacyEra, ModernEra} {
		t.Run(string(era), func(t *testing.T) {
			m := &moody{t: t}
			inBubble(t, func(t *testing.T, _ *fakeServer, u *Upstream, _ *[]string) {
				wait(10 * time.Second) // so that it may be dialled again at once
				test(t, m, u)
			}, m.moodily, func(f *fakeServer, o *Options) {
				if era == ModernEra {
					f.ttls, o.Protocol = []int{0}, Modern
				}
				for _, c := range change {
					c(o)
				}
			})
		})
	}
}

var toolCall = Call{Method: "tools/call", Params: json.RawMessage(`{"name":"a"}`)}

func callTool(u *Upstream) error {
	_, err := u.Call(context.Background(), toolCall)
	return err
}

// wantText checks what an error says.
func wantText(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

// A tool that fails says nothing about the others, as long as the server
// answers the probe, and the probes are few.
func TestOneToolFailsAllTheTime(t *testing.T) {
	eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
		before := m.probes()
		m.becomes(only(broke500))
		for range 100 {
			wantText(t, callTool(u), "answered HTTP 500")
			wait(100 * time.Millisecond)
		}
		if s := u.Status(); s.State != Connected || s.Connects != 1 || s.Failed != 100 {
			t.Errorf("status %+v, want the first connection", s)
		}
		if n := m.probes() - before; n < 9 || n > 12 {
			t.Errorf("%d probes in 10 s, want one a second", n)
		}
	})
}

// A server that fails at everything is given up after one probe, is not called
// any more, and is used again by the first call after it has recovered.
func TestServerFailsAtEverything(t *testing.T) {
	eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
		tools := u.Listing()
		m.becomes(broke500)
		wantText(t, callTool(u), "answered HTTP 500 Internal Server Error: oops")
		synctest.Wait()
		if s := u.Status(); s.State != Lost || !strings.Contains(s.LastError, "given up: ") || s.NextAttempt.IsZero() {
			t.Fatalf("status %+v, want it given up", s)
		}
		wantText(t, callTool(u), "answered HTTP 500 Internal Server Error: oops; next attempt in ")
		calls := m.count("tools/call")
		for range 60 {
			wantText(t, callTool(u), "not connected: ")
			wait(time.Second)
		}
		if n := m.count("tools/call"); n != calls {
			t.Errorf("%d calls reached the server, which was given up", n-calls)
		}
		if u.Listing() != tools {
			t.Error("the listing is gone")
		}
		m.becomes(nil)
		if err := callTool(u); err != nil {
			t.Errorf("the first call after it has recovered: %v", err)
		}
		if s := u.Status(); s.State != Connected || s.Restarts != 1 {
			t.Errorf("status %+v, want the second connection", s)
		}
	})
}

// A server that is silent while it has calls is found out long before their
// time is over, if it is known to answer meanwhile.
func TestServerFallsSilent(t *testing.T) {
	eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
		m.becomes(only(hangs))
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- callTool(u) }()
		wait(20 * time.Second)
		if len(done) != 0 {
			t.Fatalf("the call has ended: %v", <-done)
		}
		m.becomes(hangs)
		wantText(t, <-done, "given up: "+map[Era]string{LegacyEra: "ping", ModernEra: "server/discover"}[u.Status().Era]+": no answer within 5s")
		if took := time.Since(began); took < 35*time.Second || took > 45*time.Second {
			t.Errorf("given up after %v", took)
		}
		m.becomes(nil)
		wait(time.Second)
		if err := callTool(u); err != nil {
			t.Errorf("when it answers again: %v", err)
		}
	})
}

// A server that serves one call after another does not answer meanwhile, and
// is let.
func TestServerThatServesOneAfterAnother(t *testing.T) {
	eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
		turn := make(chan struct{}, 1)
		m.becomes(func(r *http.Request, msg message) (*http.Response, error) {
			select {
			case turn <- struct{}{}:
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			defer func() { <-turn }()
			if msg.method == "tools/call" && !sleep(r.Context(), 50*time.Second) {
				return nil, r.Context().Err()
			}
			return nil, nil
		})
		if err := callTool(u); err != nil {
			t.Errorf("a call of 50 s: %v", err)
		}
		wait(time.Minute)
		if s := u.Status(); s.Connects != 1 {
			t.Errorf("status %+v, want the first connection", s)
		}
	})
}

// A call that nobody answers in time fails alone.
func TestOneToolHangs(t *testing.T) {
	eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
		m.becomes(only(hangs))
		wantText(t, callTool(u), "no answer within 60s")
		wait(10 * time.Second)
		if s := u.Status(); s.State != Connected || s.Connects != 1 || s.Failed != 1 {
			t.Errorf("status %+v, want the first connection", s)
		}
	})
}

// A legacy server that nobody calls is looked after at a slow pace, and found
// out when it hangs; one for calls only, or without a session, is left alone.
func TestIdleServer(t *testing.T) {
	for name, tc := range map[string]struct {
		modern, callsOnly, probed bool
	}{
		"legacy":     {probed: true},
		"modern":     {modern: true},
		"calls only": {callsOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := &moody{t: t}
			inBubble(t, func(t *testing.T, _ *fakeServer, u *Upstream, _ *[]string) {
				before := m.probes()
				wait(10*time.Minute + 30*time.Second)
				if n := m.probes() - before; tc.probed && (n < 7 || n > 9) || !tc.probed && n > 0 {
					t.Errorf("%d probes in ten minutes", n)
				}
				if !tc.probed {
					return
				}
				for range 10 { // who is heard is not asked
					wait(30 * time.Second)
					if err := callTool(u); err != nil {
						t.Fatal(err)
					}
				}
				if n := m.probes() - before; n > 9 {
					t.Errorf("%d probes, though there was traffic", n)
				}
				m.becomes(hangs)
				wait(90 * time.Second)
				if s := u.Status(); s.State != Lost || !strings.Contains(s.LastError, "no answer within") {
					t.Errorf("status %+v, want it lost", s)
				}
			}, m.moodily, func(f *fakeServer, o *Options) {
				o.CallsOnly = tc.callsOnly
				if tc.modern {
					f.ttls, o.Protocol = []int{0}, Modern
				}
			})
		})
	}
}

// A server that does not know ping is asked for its tools.
func TestServerIgnoresPing(t *testing.T) {
	m := &moody{t: t}
	inBubble(t, func(t *testing.T, _ *fakeServer, u *Upstream, _ *[]string) {
		m.becomes(func(r *http.Request, msg message) (*http.Response, error) {
			if msg.method == "ping" {
				return hangs(r, msg)
			}
			return nil, nil
		})
		wait(10 * time.Minute)
		if s := u.Status(); s.Connects != 1 || s.State != Connected {
			t.Errorf("status %+v, want the first connection", s)
		}
		if m.count("ping") == 0 {
			t.Error("it was not asked at all")
		}
	}, m.moodily)
}

// What cannot be sent for lack of a secret, and a server that asks for less
// traffic, are no reason to connect anew.
func TestProbeThatProvesNothing(t *testing.T) {
	var locked atomic.Bool
	eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
		locked.Store(true)
		wantText(t, callTool(u), "token: the safe is locked")
		wait(5 * time.Minute)
		locked.Store(false)
		m.becomes(func(*http.Request, message) (*http.Response, error) {
			return respond(http.StatusTooManyRequests, "slow down"), nil
		})
		wantText(t, callTool(u), "answered HTTP 429 Too Many Requests: slow down")
		wait(5 * time.Minute)
		m.becomes(nil)
		if err := callTool(u); err != nil || u.Status().Connects != 1 {
			t.Errorf("error %v, status %+v, want the first connection", err, u.Status())
		}
	}, func(o *Options) {
		o.Token = func(context.Context) (string, error) {
			if locked.Load() {
				return "", errors.New("the safe is locked")
			}
			return "key", nil
		}
	})
}

// A call of an upstream that is not connected has it dialled, unless that was
// just tried, and does not wait for long.
func TestCallHasTheServerDialled(t *testing.T) {
	eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
		m.becomes(refuses)
		wantText(t, callTool(u), "connection refused")
		for time.Until(u.Status().NextAttempt) < 20*time.Second { // backoff has grown
			wait(time.Second)
		}
		wait(2 * time.Second)
		m.becomes(func(*http.Request, message) (*http.Response, error) {
			time.Sleep(3 * time.Second)
			return nil, nil
		})
		before := time.Now()
		wantText(t, callTool(u), "connection refused; an attempt is under way")
		if took := time.Since(before); took != time.Second {
			t.Errorf("the call took %v, want 1s", took)
		}
		wait(time.Minute)
		if s := u.Status(); s.State != Connected {
			t.Errorf("status %+v, want the attempt to have gone on", s)
		}
		m.becomes(refuses)
		wantText(t, callTool(u), "connection refused")
		wait(2 * time.Second)
		dialled := m.count("initialize") + m.count("server/discover")
		began := time.Now()
		for range 100 {
			before := time.Now()
			wantText(t, callTool(u), "connection refused; next attempt in ")
			if took := time.Since(before); took != 0 {
				t.Errorf("the call took %v, want none", took)
			}
			wait(100 * time.Millisecond)
		}
		if n := m.count("initialize") + m.count("server/discover") - dialled; n < 9 || n > 12 {
			t.Errorf("dialled %d times in %v, want once a second", n, time.Since(began))
		}
		m.becomes(nil)
		wait(time.Second)
		if err := callTool(u); err != nil {
			t.Errorf("the first call after it has come back: %v", err)
		}
	})
}

// A server that takes connections and fails at everything else is dialled ever
// more seldom.
func TestFlappingServerIsDialledSeldom(t *testing.T) {
	eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
		m.becomes(func(r *http.Request, msg message) (*http.Response, error) {
			if msg.method == "tools/call" || msg.method == "ping" || msg.method == "server/discover" && u.Status().State == Connected {
				return broke500(r, msg)
			}
			return nil, nil
		})
		connects := u.Status().Connects
		end := time.Now().Add(5 * time.Minute)
		for time.Now().Before(end) { // fails each connection once
			if u.Status().State == Connected {
				_ = callTool(u)
			}
			wait(100 * time.Millisecond)
		}
		if n := u.Status().Connects - connects; n < 5 || n > 16 {
			t.Errorf("connected %d times in five minutes", n)
		}
	})
}

// What is repeated, and what is not.
func TestRepeat(t *testing.T) {
	gone := func(*http.Request, message) (*http.Response, error) {
		return respond(http.StatusNotFound, "no such session"), nil
	}
	otherEra := func(*http.Request, message) (*http.Response, error) {
		return respond(http.StatusBadRequest, "Unsupported protocol version"), nil
	}
	status := func(code int) func(*http.Request, message) (*http.Response, error) {
		return func(*http.Request, message) (*http.Response, error) { return respond(code, ""), nil }
	}
	question := func(*http.Request, message) (*http.Response, error) {
		resp := respond(http.StatusOK, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"elicitation/create\"}\n\n")
		resp.Header.Set("Content-Type", eventsType)
		return resp, nil
	}
	progress := func(*http.Request, message) (*http.Response, error) {
		resp := respond(http.StatusOK, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n")
		resp.Header.Set("Content-Type", eventsType)
		return resp, nil
	}
	both := []Era{LegacyEra, ModernEra}
	for _, tc := range []struct {
		name       string
		mood       func(*http.Request, message) (*http.Response, error)
		eras       []Era
		idempotent bool // or it is not repeated
	}{
		{"refused", refuses, both, false},
		{"session gone", gone, []Era{LegacyEra}, false},
		{"other era", otherEra, []Era{ModernEra}, false},
		{"reset", resets, both, true},
		{"502", status(502), both, true},
		{"503", status(503), both, true},
		{"504", status(504), both, true},
		{"broken stream", progress, both, true},
	} {
		for _, idempotent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, idempotent %v", tc.name, idempotent), func(t *testing.T) {
				eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
					if !slices.Contains(tc.eras, u.Status().Era) {
						return
					}
					m.becomes(once(tc.mood))
					call := toolCall
					call.Idempotent = idempotent
					repeat := idempotent || !tc.idempotent
					_, err := u.Call(t.Context(), call)
					if n, want := m.count("tools/call"), map[bool]int{false: 1, true: 2}[repeat]; n != want || (err == nil) != repeat {
						t.Errorf("sent %d times, error %v; want %d", n, err, want)
					}
					m.becomes(only(tc.mood))
					if _, err := u.Call(t.Context(), call); err == nil {
						t.Error("a call that always fails did not")
					}
					if n, want := m.count("tools/call"), map[bool]int{false: 2, true: 4}[repeat]; n > want {
						t.Errorf("sent %d times, want no more than %d", n, want)
					}
				})
			})
		}
	}
	for name, mood := range map[string]func(*http.Request, message) (*http.Response, error){
		"500": status(500), "hangs": hangs, "the server has asked": question, "HTML": status(200),
	} {
		t.Run(name, func(t *testing.T) {
			eachMoodyEra(t, func(t *testing.T, m *moody, u *Upstream) {
				if name == "the server has asked" && u.Status().Era == ModernEra {
					return // which it cannot
				}
				m.becomes(once(mood))
				call := toolCall
				call.Idempotent = true
				call.Request = func(context.Context, string, json.RawMessage) (json.RawMessage, error) { return nil, nil }
				_, err := u.Call(t.Context(), call)
				if n := m.count("tools/call"); n != 1 || err == nil {
					t.Errorf("sent %d times, error %v; want once", n, err)
				}
			})
		})
	}
}
