package fakeentra

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxEntries bounds the journal; the oldest are dropped.
const maxEntries = 2000

// An Entry is one request as it came in, with all its secrets.
type Entry struct {
	Time   time.Time   `json:"time"`
	Method string      `json:"method"`
	Path   string      `json:"path"`
	Query  url.Values  `json:"query,omitzero"`
	Form   url.Values  `json:"form,omitzero"`
	Body   string      `json:"body,omitzero"` // of another kind than a form
	Header http.Header `json:"header"`
	Status int         `json:"status"`
}

// Endpoint is what a request was for: authorize, login, consent, token, keys,
// discovery, graph, or "" for anything else.
func (e Entry) Endpoint() string { return endpoint(e.Path) }

func endpoint(path string) string {
	switch {
	case strings.HasPrefix(path, "/graph/"):
		return "graph"
	case strings.HasSuffix(path, "/.well-known/openid-configuration"):
		return "discovery"
	case strings.HasSuffix(path, "/keys"):
		return "keys"
	}
	switch last := path[strings.LastIndexByte(path, '/')+1:]; last {
	case "authorize", "token", "login", "consent", "logout":
		return last
	}
	return ""
}

// A journal is the requests that came in.
type journal struct {
	mu      sync.Mutex
	entries []Entry // guarded by mu
}

// Journal is all requests, in the order in which they were answered.
func (s *Server) Journal() []Entry {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return append([]Entry(nil), s.journal.entries...)
}

// Requests are those of the journal for an endpoint, as [Entry.Endpoint] names it.
func (s *Server) Requests(endpoint string) []Entry {
	var some []Entry
	for _, e := range s.Journal() {
		if e.Endpoint() == endpoint {
			some = append(some, e)
		}
	}
	return some
}

// ClearJournal forgets all requests.
func (s *Server) ClearJournal() {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	s.journal.entries = nil
}

func (j *journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) >= maxEntries {
		j.entries = j.entries[1:]
	}
	j.entries = append(j.entries, e)
}

// journaled writes each request down, and bounds its body.
func (s *Server) journaled(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
		if err != nil {
			http.Error(w, "The request is too large, or cannot be read.", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		e := Entry{Time: s.time(), Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone()}
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			e.Form, _ = url.ParseQuery(string(body)) // what can be read of it
		} else {
			e.Body = string(body)
		}
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			e.Status = seen.status
			s.journal.add(e)
			s.log.Debug("answered", "method", e.Method, "endpoint", e.Endpoint(), "status", e.Status)
		}()
		next.ServeHTTP(seen, r)
	})
}

// A statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets [http.ResponseController] reach the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
