package fakeentra

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What the body of a [Fault] may be.
const (
	BodyHTML      = "html"      // a page, as proxies answer
	BodyEndless   = "endless"   // one that never ends
	BodySlow      = "slow"      // one byte every 200 ms, without end
	BodyHuge      = "huge"      // 64 MiB of a JSON document
	BodyCut       = "cut"       // the connection ends in the middle
	BodyRedirect  = "redirect"  // a redirect to the same URL
	BodyTransient = "transient" // Entra's own JSON error, AADSTS90033
)

// A Fault is what goes wrong at an endpoint.
type Fault struct {
	// Endpoint is authorize, login, token, keys, discovery or graph; "" is all.
	Endpoint string `json:"endpoint"`
	// Times is for how many requests; 0 is until it is cleared.
	Times int `json:"times"`
	// Latency is how long the answer waits.
	Latency time.Duration `json:"latency"`
	// Status is that of the answer, such as 429 or 503; 0 with a Body is 200, and
	// without one lets the endpoint answer.
	Status int `json:"status"`
	// RetryAfter is that header, in seconds or a date; "" leaves it out.
	RetryAfter string `json:"retry_after"`
	// Body is one of those above; "" is an empty one.
	Body string `json:"body"`
}

// Fail adds a fault. Where several are for an endpoint, the oldest happens.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults lets everything work again.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Faults are those that are to come.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Fault
	for _, f := range s.faults {
		all = append(all, *f)
	}
	return all
}

// takeFault is the fault for a request, if any.
func (s *Server) takeFault(path string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Endpoint != "" && f.Endpoint != endpoint(path) {
			continue
		}
		taken := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return taken, true
	}
	return Fault{}, false
}

// faulty lets go wrong what is to go wrong.
func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, found := s.takeFault(r.URL.Path)
		if found && f.Latency > 0 && !s.wait(r, f.Latency) {
			return
		}
		if !found || f.Status == 0 && f.Body == "" {
			next.ServeHTTP(w, r)
			return
		}
		s.goWrong(w, r, f)
	})
}

// wait waits, and reports whether anybody still wants the answer.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-s.stop:
	}
	return false
}

func (s *Server) goWrong(w http.ResponseWriter, r *http.Request, f Fault) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	switch f.Body {
	case BodyTransient:
		bad := serverError(fmt.Errorf("as it was told"))
		bad.status = f.Status
		s.answerError(w, bad)
		return
	case BodyRedirect:
		http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		return
	case BodyHTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	default:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	if f.Body == BodyCut {
		w.Header().Set("Content-Length", "1000")
	}
	w.WriteHeader(status)
	s.writeFault(w, r, f.Body)
}

// writeFault writes a body that nobody should read to its end.
func (s *Server) writeFault(w http.ResponseWriter, r *http.Request, body string) {
	filler := strings.Repeat(" ", 32<<10)
	switch body {
	case BodyHTML:
		fmt.Fprint(w, "<!doctype html><title>Service unavailable</title><h1>Our services aren't available right now</h1>")
	case BodyCut:
		fmt.Fprint(w, `{"keys":[`)
	case BodyHuge:
		fmt.Fprint(w, `{"keys":[`)
		for range 64 << 20 / len(filler) {
			if _, err := fmt.Fprint(w, filler); err != nil {
				return
			}
		}
		fmt.Fprint(w, `]}`)
	case BodyEndless:
		for r.Context().Err() == nil {
			if _, err := fmt.Fprint(w, filler); err != nil {
				return
			}
		}
	case BodySlow:
		for {
			if _, err := fmt.Fprint(w, " "); err != nil {
				return
			}
			if http.NewResponseController(w).Flush() != nil || !s.wait(r, 200*time.Millisecond) {
				return
			}
		}
	}
}
