package entra_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

const (
	tenant   = "6c1f6c8e-0000-0000-0000-000000000001"
	app      = "5e8c4d2a-0000-0000-0000-000000000001"
	alice    = "a11ce000-0000-0000-0000-000000000001"
	bob      = "b0b00000-0000-0000-0000-000000000001"
	platform = "4f1c2d3e-0000-0000-0000-000000000001"
	finance  = "4f1c2d3e-0000-0000-0000-000000000002"

	secret = "correct~horse.battery-staple"
)

// A microsoft is the token endpoint of Entra, and Microsoft Graph below /graph.
type microsoft struct {
	mu       sync.Mutex
	log      []string                                               // of requests; guarded by mu
	forms    []url.Values                                           // of those for a token; guarded by mu
	groups   map[string][]string                                    // by person; guarded by mu
	names    map[string]string                                      // of groups; guarded by mu
	pageSize int                                                    // guarded by mu
	accepted string                                                 // the token that Graph takes, "" for the last one; guarded by mu
	instead  func(w http.ResponseWriter, r *http.Request) (ok bool) // answers; guarded by mu
}

func newMicrosoft() *microsoft {
	return &microsoft{
		groups:   map[string][]string{alice: {finance, platform}, bob: {platform}},
		names:    map[string]string{platform: "Platform team", finance: "Finance"},
		pageSize: 100,
	}
}

func (m *microsoft) set(instead func(w http.ResponseWriter, r *http.Request) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instead = instead
}

// graphAnswers makes Graph, but not the token endpoint, answer so.
func (m *microsoft) graphAnswers(h http.HandlerFunc) {
	m.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/graph/") {
			h(w, r)
		}
		return strings.HasPrefix(r.URL.Path, "/graph/")
	})
}

// tokenAnswers makes the token endpoint answer so.
func (m *microsoft) tokenAnswers(h http.HandlerFunc) {
	m.set(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/token") {
			h(w, r)
		}
		return strings.HasSuffix(r.URL.Path, "/token")
	})
}

// asked counts the requests whose path has part in it.
func (m *microsoft) asked(part string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, path := range m.log {
		if strings.Contains(path, part) {
			n++
		}
	}
	return n
}

func (m *microsoft) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.log = append(m.log, r.Method+" "+r.URL.Path)
	if strings.HasSuffix(r.URL.Path, "/token") {
		_ = r.ParseForm()
		m.forms = append(m.forms, r.PostForm)
	}
	instead := m.instead
	m.mu.Unlock()
	if instead == nil || !instead(w, r) {
		m.serve(w, r)
	}
}

func (m *microsoft) serve(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	last := fmt.Sprintf("token-%d", len(m.forms))
	if r.Method == http.MethodPost && r.URL.Path == "/"+tenant+"/oauth2/v2.0/token" {
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":%q}`, last)
		return
	}
	if m.accepted != "" {
		last = m.accepted
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+last {
		refuse(w, http.StatusUnauthorized, "InvalidAuthenticationToken")
		return
	}
	oid, isMembers := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/transitiveMemberOf/microsoft.graph.group"), "/graph/v1.0/users/")
	groups, known := m.groups[oid]
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/graph/v1.0/groups":
		m.serveNames(w, r)
	case !isMembers || !known:
		refuse(w, http.StatusNotFound, "Request_ResourceNotFound")
	default:
		m.servePage(w, r, groups)
	}
}

func (m *microsoft) servePage(w http.ResponseWriter, r *http.Request, groups []string) {
	var start int
	_, _ = fmt.Sscan(r.URL.Query().Get("$skiptoken"), &start)
	end := min(start+m.pageSize, len(groups))
	var objects []string
	for _, id := range groups[start:end] {
		objects = append(objects, fmt.Sprintf(`{"@odata.type":"#microsoft.graph.group","id":%q}`, id))
	}
	next := ""
	if end < len(groups) {
		next = fmt.Sprintf(`"@odata.nextLink":"http://%s%s?$select=id&$skiptoken=%d",`, r.Host, r.URL.Path, end)
	}
	fmt.Fprintf(w, `{"@odata.context":"x",%s"value":[%s]}`, next, strings.Join(objects, ","))
}

func (m *microsoft) serveNames(w http.ResponseWriter, r *http.Request) {
	filter := r.URL.Query().Get("$filter")
	if strings.Count(filter, ",") >= 15 {
		refuse(w, http.StatusBadRequest, "Request_UnsupportedQuery")
		return
	}
	var objects []string
	for id, name := range m.names {
		if strings.Contains(filter, "'"+id+"'") {
			objects = append(objects, fmt.Sprintf(`{"id":%q,"displayName":%q}`, id, name))
		}
	}
	fmt.Fprintf(w, `{"value":[%s]}`, strings.Join(objects, ","))
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("request-id", traceID)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%q,"message":"about ada@contoso.com","innerError":{}}}`, code)
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// A wire carries requests to a handler without a network, so that time may be
// that of a test. It is an http.RoundTripper.
type wire struct{ http.Handler }

func (t wire) RoundTrip(r *http.Request) (*http.Response, error) {
	in, out := io.Pipe()
	w := &wireWriter{PipeWriter: out, header: http.Header{}, begun: make(chan int, 1)}
	context.AfterFunc(r.Context(), func() { out.CloseWithError(r.Context().Err()) })
	server := r.Clone(r.Context())
	if server.Body == nil {
		server.Body = http.NoBody
	}
	go func() {
		t.ServeHTTP(w, server)
		w.WriteHeader(http.StatusOK)
		_ = out.Close()
	}()
	select {
	case status := <-w.begun:
		return &http.Response{StatusCode: status, Header: w.header, Body: in, Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

type wireWriter struct {
	*io.PipeWriter
	header http.Header
	once   sync.Once
	begun  chan int // its status
}

func (w *wireWriter) Header() http.Header    { return w.header }
func (w *wireWriter) WriteHeader(status int) { w.once.Do(func() { w.begun <- status }) }
func (w *wireWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.PipeWriter.Write(p)
}

func options(base string) entra.GraphOptions {
	return entra.GraphOptions{
		Cloud:  entra.Cloud{Authority: base, STS: base + "/sts", Graph: base + "/graph"},
		Tenant: tenant, ClientID: app,
		Secret: func(context.Context) (string, error) { return secret, nil },
	}
}

// onWire is a Graph in front of m, without a network.
func onWire(m *microsoft) *entra.Graph {
	opts := options("http://entra.test")
	opts.HTTP = &http.Client{Transport: wire{m}}
	return entra.NewGraph(opts)
}

// onNetwork is a Graph in front of m as a server.
func onNetwork(t testing.TB, m http.Handler, change ...func(*entra.GraphOptions)) *entra.Graph {
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	opts := options(server.URL)
	for _, f := range change {
		f(&opts)
	}
	return entra.NewGraph(opts)
}

func wantGroups(t testing.TB, g *entra.Graph, oid string, want ...string) {
	t.Helper()
	ids, _, err := g.Groups(t.Context(), tenant, oid)
	if err != nil || !slices.Equal(ids, want) {
		t.Fatalf("the groups of %s are %v, %v; want %v", oid, ids, err, want)
	}
}

// wantFailure makes sure that nothing is told, and returns why.
func wantFailure(t testing.TB, g *entra.Graph, oid string, parts ...string) {
	t.Helper()
	ids, _, err := g.Groups(t.Context(), tenant, oid)
	if err == nil || ids != nil {
		t.Fatalf("the groups of %s are %v, %v; want an error", oid, ids, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	for _, private := range []string{secret, "ada@", "token-1", "eyJ"} {
		if strings.Contains(err.Error(), private) {
			t.Errorf("the error tells %q: %v", private, err)
		}
	}
}
