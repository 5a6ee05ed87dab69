//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A brokerFront stands between clients and a gateway that they sign in at. It keeps
// what they ask, and sends each refresh twice at once, as programs of several
// processes do: both have to get the same new token.
type brokerFront struct {
	url     string // for clients
	gateway string // host and port where the gateway is to listen
	proxy   *httputil.ReverseProxy

	mu        sync.Mutex
	entries   []journalEntry          // guarded by mu
	asked     map[string]journalEntry // guarded by mu; requests for a code, by their state
	called    map[string]string       // guarded by mu; the state that was answered, by the provider's code
	refreshed int                     // guarded by mu; how often a refresh succeeded twice
	problems  []string                // guarded by mu
}

func startBrokerFront(t testing.TB) *brokerFront {
	t.Helper()
	f := &brokerFront{
		gateway: fmt.Sprintf("127.0.0.1:%d", freePort(t)),
		asked:   map[string]journalEntry{}, called: map[string]string{},
	}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: f.gateway})
			r.Out.Host = r.In.Host
		},
		FlushInterval:  -1,
		ModifyResponse: f.note,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(f)
	f.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return f
}

func (f *brokerFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/token") {
		f.proxy.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	form, _ := url.ParseQuery(string(body)) // of any other body there is nothing to keep
	answers := []*httptest.ResponseRecorder{f.forward(r, body)}
	if form.Get("grant_type") == "refresh_token" {
		answers = f.twice(r, body)
		f.compare(answers[0], answers[1])
	}
	f.keep(journalEntry{Route: "token at the gateway", Secrets: append(secretsOf(form, "code", "code_verifier", "refresh_token"), tokensIn(answers...)...)})
	for name, values := range answers[0].Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answers[0].Code)
	_, _ = w.Write(answers[0].Body.Bytes()) // the client is gone if it fails
}

// forward asks the gateway.
func (f *brokerFront) forward(r *http.Request, body []byte) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.proxy.ServeHTTP(answer, r)
	return answer
}

// twice asks the gateway two times at once.
func (f *brokerFront) twice(r *http.Request, body []byte) []*httptest.ResponseRecorder {
	answers := make([]*httptest.ResponseRecorder, 2)
	var both sync.WaitGroup
	for i := range answers {
		both.Go(func() { answers[i] = f.forward(r, body) })
	}
	both.Wait()
	return answers
}

type tokenAnswer struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
}

func readTokens(answer *httptest.ResponseRecorder) (t tokenAnswer) {
	_ = json.Unmarshal(answer.Body.Bytes(), &t) // anything else has no token
	return t
}

// tokensIn are the tokens in answers.
func tokensIn(answers ...*httptest.ResponseRecorder) (secrets []string) {
	for _, a := range answers {
		t := readTokens(a)
		secrets = append(secrets, t.Access, t.Refresh)
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
}

// compare notes when two refreshes at once have not come to the same.
func (f *brokerFront) compare(a, b *httptest.ResponseRecorder) {
	first, second := readTokens(a), readTokens(b)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case a.Code != b.Code || first.Error != second.Error || first.Refresh != second.Refresh:
		f.problems = append(f.problems, fmt.Sprintf("two refreshes at once: one is answered %d %s, the other one %d %s; the same new token: %v",
			a.Code, first.Error, b.Code, second.Error, first.Refresh == second.Refresh))
	case a.Code == http.StatusOK && first.Refresh != "":
		f.refreshed++
	}
}

func (f *brokerFront) keep(e journalEntry) {
	e.At = time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, e)
}

// note keeps what is asked for, and which answer of the provider's was the answer to
// it. Cookies are secrets as well.
func (f *brokerFront) note(resp *http.Response) error {
	r := resp.Request
	var secrets []string
	for _, c := range resp.Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			secrets = append(secrets, c.Value)
		}
	}
	q := r.URL.Query()
	f.mu.Lock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/authorize") && r.Method == http.MethodGet:
		f.asked[q.Get("state")] = journalEntry{
			Route: "authorization", At: time.Now(), Prompt: q.Get("prompt"), Scope: q.Get("scope"),
			Resource: q.Get("resource"), Redirect: q.Get("redirect_uri"), Client: q.Get("client_id"),
		}
		secrets = append(secrets, secretsOf(q, "state")...)
	case strings.HasSuffix(r.URL.Path, "/callback"):
		if to, err := url.Parse(resp.Header.Get("Location")); err == nil && to.Query().Has("code") {
			f.called[q.Get("code")] = to.Query().Get("state")
		}
		secrets = append(secrets, secretsOf(q, "code", "state")...)
	}
	f.mu.Unlock()
	if len(secrets) > 0 {
		f.keep(journalEntry{Route: r.URL.Path, Secrets: secrets})
	}
	return nil
}

// askedFor is the request that ended in a code of the provider.
func (f *brokerFront) askedFor(code string) (journalEntry, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.asked[f.called[code]]
	return e, ok
}

func (f *brokerFront) journal() []journalEntry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.entries)
}

// check makes sure that refreshes have come in twos, and to the same.
func (f *brokerFront) check(t testing.TB) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, problem := range f.problems {
		t.Error(problem)
	}
	if f.refreshed == 0 {
		t.Error("nobody has refreshed a token twice at once")
	}
	t.Logf("%d refreshes were sent twice at once", f.refreshed)
}
