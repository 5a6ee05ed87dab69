package doctor

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxBody bounds what is read of an answer, in bytes.
const maxBody = 1 << 20

// An observer is a transport that remembers the last answer at each URL, and
// when there was none. It is safe for concurrent use.
type observer struct {
	next http.RoundTripper

	mu      sync.Mutex
	answers map[string]answer // guarded by mu
}

// An answer is what came from a URL.
type answer struct {
	status   int
	location string
	body     []byte    // its beginning
	date     time.Time // of the other clock; zero if it does not say
	at       time.Time // by this clock, in the middle of the request
}

func newObserver(next http.RoundTripper) *observer {
	if next == nil {
		next = http.DefaultTransport
	}
	return &observer{next: next, answers: map[string]answer{}}
}

// RoundTrip implements [http.RoundTripper].
func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	begin := time.Now()
	resp, err := o.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	a := answer{status: resp.StatusCode, location: resp.Header.Get("Location"), at: begin.Add(time.Since(begin) / 2)}
	a.date, _ = http.ParseTime(resp.Header.Get("Date")) // zero if there is none
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	a.body = body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[r.URL.String()] = a
	return resp, nil
}

// at is the last answer at a URL.
func (o *observer) at(url string) (answer, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a, ok := o.answers[url]
	return a, ok
}
