package client_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth/client"
)

const (
	app    = "5e8c4d2a-0000-0000-0000-000000000001"
	secret = "correct~horse.battery-staple"
)

// A provider is a token endpoint that remembers what it was asked.
type provider struct {
	answer http.HandlerFunc // nil answers {}

	mu   sync.Mutex
	got  []*http.Request // guarded by mu
	took []url.Values    // the forms; guarded by mu
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.got, p.took = append(p.got, r), append(p.took, r.PostForm)
	p.mu.Unlock()
	if p.answer != nil {
		p.answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}")
}

func (p *provider) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

// start serves p, and returns an endpoint for it.
func start(t testing.TB, p *provider, c client.Credential) *client.Endpoint {
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	c.ClientID = app
	return &client.Endpoint{URL: server.URL + "/token?tenant=confidential", Credential: c}
}

func static(secret string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return secret, nil }
}

func post(t testing.TB, e *client.Endpoint) *client.Answer {
	t.Helper()
	a, err := e.Post(t.Context(), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r1"}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantError makes sure that there is no answer, and that the error tells nothing
// that is private.
func wantError(t testing.TB, e *client.Endpoint, parts ...string) {
	t.Helper()
	a, err := e.Post(t.Context(), url.Values{"refresh_token": {"r1-confidential"}})
	if err == nil {
		t.Fatalf("the answer is %+v, want an error", a)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	for _, private := range []string{secret, "confidential", "eyJ"} {
		if strings.Contains(err.Error(), private) {
			t.Errorf("the error has %q in it: %v", private, err)
		}
	}
}

// TestPostSendsTheFormAlone looks at all that the provider sees.
func TestPostSendsTheFormAlone(t *testing.T) {
	p := &provider{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}}
	e := start(t, p, client.Credential{Secret: static(secret)})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	e.HTTP = &http.Client{Jar: jar}
	for range 2 {
		a := post(t, e)
		if a.Status != http.StatusTeapot || string(a.Body) != "short and stout" || a.Header.Get("Retry-After") != "7" {
			t.Errorf("the answer is %+v", a)
		}
	}
	want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r1"}, "client_id": {app}, "client_secret": {secret}}
	for i, r := range p.got {
		if r.Method != http.MethodPost || r.URL.RawQuery != "tenant=confidential" || p.took[i].Encode() != want.Encode() {
			t.Errorf("it is asked %s %s with %v", r.Method, r.URL, p.took[i])
		}
		r.Header.Del("Content-Length")
		names := slices.Sorted(func(yield func(string) bool) {
			for name := range r.Header {
				if !yield(name) {
					return
				}
			}
		})
		if got := strings.Join(names, " "); got != "Accept Accept-Encoding Content-Type User-Agent" {
			t.Errorf("the headers are %s", got)
		}
		if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("it is asked with %v", r.Header)
		}
	}
}

// TestPostLeavesTheFormAlone sends what is true of the client, whatever the form
// says of it, and changes nothing that belongs to the caller.
func TestPostLeavesTheFormAlone(t *testing.T) {
	p := &provider{}
	form := url.Values{"client_id": {"other"}, "client_secret": {"other"}, "client_assertion": {"other"}, "client_assertion_type": {"other"}, "code": {"c"}}
	before := form.Encode()
	for _, c := range []client.Credential{{}, {Secret: static(secret)}, {Secret: static(secret), Basic: true}} {
		if _, err := start(t, p, c).Post(t.Context(), form); err != nil {
			t.Fatal(err)
		}
	}
	if form.Encode() != before {
		t.Errorf("the form is now %v", form)
	}
	for _, took := range p.took {
		if strings.Contains(took.Encode(), "other") || took.Get("code") != "c" {
			t.Errorf("sent was %v", took)
		}
	}
	if _, err := start(t, p, client.Credential{}).Post(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// Test33WhatDoesNotAnswerAsItShould is bounded in every way.
func Test33WhatDoesNotAnswerAsItShould(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"too much": {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "larger than 1 MiB"},
		"nothing":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "asking 127.0.0.1:"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{")
		}, "reading the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &provider{answer: tt.answer}
			wantError(t, start(t, p, client.Credential{Secret: static(secret)}), tt.want)
			if n := p.asked(); n != 1 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

func endless(w io.Writer) {
	for _, err := w.Write(make([]byte, 32<<10)); err == nil; _, err = w.Write(make([]byte, 32<<10)) {
		continue
	}
}

// Test33PackedAnswersStayPacked sends 64 MiB as 64 KiB.
func Test33PackedAnswersStayPacked(t *testing.T) {
	p := &provider{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		for range 64 {
			_, _ = packed.Write(make([]byte, 1<<20))
		}
		_ = packed.Close()
	}}
	a := post(t, start(t, p, client.Credential{}))
	if err := a.Decode(new(map[string]any)); len(a.Body) > 1<<17 || err == nil {
		t.Errorf("there are %d bytes, %v", len(a.Body), err)
	}
}

// Test33RedirectsAreNotFollowed, as the form is for nobody else.
func Test33RedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := &provider{answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", status) }}
		a := post(t, start(t, p, client.Credential{Secret: static(secret)}))
		if a.Status != status || !a.IsRedirect() || p.asked() != 1 {
			t.Errorf("%d: the answer is %d after %d requests", status, a.Status, p.asked())
		}
	}
}

// TestPostIsSentOnce closes every connection while requests wait for an answer.
func TestPostIsSentOnce(t *testing.T) {
	p := &provider{}
	e := start(t, p, client.Credential{})
	post(t, e) // the next one has a connection that was used
	p.answer = func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	}
	wantError(t, e, "asking 127.0.0.1:")
	if n := p.asked(); n != 2 {
		t.Errorf("it was asked %d times, want twice", n)
	}
}

// A hanging transport answers nothing before the request ends.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestPostTakes20sAtMost(t *testing.T) {
	for name, e := range map[string]*client.Endpoint{
		"the provider": {URL: "https://idp.test/token", HTTP: &http.Client{Transport: hanging{}}},
		"the secret": {URL: "https://idp.test/token", Credential: client.Credential{Secret: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			wantError(t, e, "no answer within 20s")
			if took := time.Since(begin); took != 20*time.Second {
				t.Errorf("%s took %s", name, took)
			}
		})
	}
}

func TestPostEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &client.Endpoint{URL: "https://idp.test/token", HTTP: &http.Client{Transport: hanging{}}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := e.Post(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &client.Endpoint{URL: "https://idp.test/token", HTTP: &http.Client{Transport: hanging{}}}
		for range 100 {
			go func() { _, _ = e.Post(t.Context(), nil) }()
		}
		synctest.Wait()
		begin := time.Now()
		wantError(t, e, "100 requests to the token endpoint are under way")
		if time.Since(begin) != 0 {
			t.Error("it waited")
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		wantError(t, e, "no answer within 20s") // there is room again
	})
}

func TestUnusableAddress(t *testing.T) {
	for _, address := range []string{"", "://confidential", "http://confidential\x00", "ftp://127.0.0.1/"} {
		wantError(t, &client.Endpoint{URL: address})
	}
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct{ media, body, want string }{
		{"application/json", `{"a":1}`, ""},
		{"application/json; charset=utf-8", `{"a":1,"b":{}}`, ""},
		{"text/html", "<html>", "a web page"},
		{"", `{"a":1}`, "not JSON"},
		{"application/json", `{"a":1,"a":2}`, "not the JSON"},
		{"application/json", `{"a":"confidential"}`, "not the JSON"},
		{"application/json", ``, "not the JSON"},
	} {
		a := &client.Answer{Header: http.Header{"Content-Type": {tt.media}}, Body: []byte(tt.body)}
		var v struct {
			A int `json:"a"`
		}
		err := a.Decode(&v)
		if tt.want == "" && (err != nil || v.A != 1) {
			t.Errorf("%s is %+v, %v", tt.body, v, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "confidential")) {
			t.Errorf("%s %s: the error is %v, want %s", tt.media, tt.body, err, tt.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, want := range map[string]time.Duration{
			"": 9 * time.Second, "soon": 9 * time.Second, "-5": 9 * time.Second, "0": time.Second, "17": 17 * time.Second,
			"86400": 5 * time.Minute, "99999999999999999999": 9 * time.Second,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute,
			time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):  time.Second,
		} {
			a := &client.Answer{Header: http.Header{"Retry-After": {asked}}}
			if got := a.RetryAfter(9 * time.Second); got != want {
				t.Errorf("%q is %s, want %s", asked, got, want)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add("application/json", []byte(`{"access_token":"x","expires_in":1}`))
	f.Add("text/html; charset=utf-8", []byte("<html>"))
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		a := &client.Answer{Header: http.Header{"Content-Type": {media}}, Body: body}
		var v map[string]any
		if err := a.Decode(&v); err != nil && len(err.Error()) > 400 {
			t.Fatalf("the error is long: %q", fmt.Sprint(err))
		}
	})
}
