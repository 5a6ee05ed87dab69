package broker_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/broker"
)

const documentID = "https://app.example.com/oauth/client.json"

// documents are what the gateway gets for the URL of a metadata document.
type documents struct {
	mu      sync.Mutex
	doc     map[string]any                                // at documentID; guarded by mu
	answer  func(*http.Request) (status int, body string) // in place of doc; guarded by mu
	fetched int                                           // guarded by mu
}

func newDocuments(redirects ...string) *documents {
	d := &documents{}
	d.set(redirects...)
	return d
}

// set has the client at documentID use these redirect URIs.
func (d *documents) set(redirects ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doc = map[string]any{"client_id": documentID, "client_name": "Example", "redirect_uris": redirects, "token_endpoint_auth_method": "none"}
}

func (d *documents) answerWith(answer func(*http.Request) (int, string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer, d.fetched = answer, 0
}

// RoundTrip implements [http.RoundTripper].
func (d *documents) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fetched++
	status, body := http.StatusOK, ""
	if d.answer != nil {
		status, body = d.answer(r)
	} else if text, err := json.Marshal(d.doc); err == nil && r.URL.String() == documentID {
		body = string(text)
	} else {
		status = http.StatusNotFound
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func (d *documents) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fetched
}

// use has a broker take them.
func (d *documents) use(o *broker.Options) {
	o.Documents = true
	o.DocumentHTTP = &http.Client{Transport: d, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// TestDocumentClient signs in with a client whose id is the URL of its metadata.
func TestDocumentClient(t *testing.T) {
	const web = "https://app.example.com/callback"
	docs := newDocuments("http://localhost/callback", web)
	s := newStage(t, docs.use)
	for _, uri := range []string{redirectURI, web} {
		b := s.browser()
		page := b.authorize(s.request(documentID, "redirect_uri", uri))
		page.checkPage(t, http.StatusOK, "From app.example.com")
		got := s.checkSentBack(t, b.follow(b.approve(page)), uri, "a state")
		c, status := s.mcp(s.redeem(documentID, got.Get("code"), "redirect_uri", uri).tokens(t).access)
		if status != http.StatusOK || c.Client.ID != documentID {
			t.Errorf("HTTP %d, the caller is %+v", status, c)
		}
	}
	if got := docs.count(); got != 1 {
		t.Errorf("the document was fetched %d times", got)
	}
	warned := s.browser().authorize(s.request(documentID)).text()
	if !strings.Contains(warned, "Any program on this computer could claim to be it") {
		t.Errorf("the page does not warn: %s", warned)
	}
	for _, uri := range []string{"http://localhost:3118/other", "https://app.example.com/callback/", cursorURI, "https://evil.example/callback"} {
		s.browser().authorize(s.request(documentID, "redirect_uri", uri)).checkPage(t, http.StatusBadRequest, "The redirect URI")
	}
}

// Test42Documents has ids and documents that are refused, on a page, without telling
// what the gateway saw.
func Test42Documents(t *testing.T) {
	docs := newDocuments("http://localhost/callback")
	s := newStage(t, docs.use)
	refused := func(name, id string, fetches int) {
		s.run(name, func(t *testing.T) {
			before := docs.count()
			for range 2 {
				a := s.browser().authorize(s.request(id))
				a.checkPage(t, http.StatusBadRequest, "")
				checkNoCookies(t, a)
				if strings.Contains(a.body, "root:x:0:0") {
					t.Error("the page tells what was fetched")
				}
			}
			if got := docs.count() - before; got != fetches {
				t.Errorf("%d fetches, want %d", got, fetches)
			}
		})
	}
	for name, id := range map[string]string{
		"42 http": "http://app.example.com/client.json", "42 user name": "https://a@app.example.com/client.json", "42 fragment": documentID + "#x",
		"42 query": documentID + "?x", "42 no path": "https://app.example.com/", "42 port": "https://app.example.com:22/client.json",
		"42 address": "https://127.0.0.1/client.json", "42 IPv6": "https://[::1]/client.json", "42 dots": "https://app.example.com/a/../client.json",
		"42 escape": "https://app.example.com/%2e%2e/client.json", "42 upper case": "https://APP.example.com/client.json",
	} {
		refused(name, id, 0)
	}
	for name, answer := range map[string]func(*http.Request) (int, string){
		"42 redirect":  func(*http.Request) (int, string) { return http.StatusFound, "" },
		"42 not there": func(*http.Request) (int, string) { return http.StatusNotFound, "root:x:0:0" },
		"42 large":     func(*http.Request) (int, string) { return http.StatusOK, strings.Repeat(" ", 6<<10) + "{}" },
		"42 other client_id": func(*http.Request) (int, string) {
			return http.StatusOK, `{"client_id":"https://app.example.com/other.json","client_name":"x","redirect_uris":["http://localhost/callback"]}`
		},
		"42 no JSON": func(*http.Request) (int, string) { return http.StatusOK, "root:x:0:0" },
		"42 redirect URI of ours": func(*http.Request) (int, string) {
			return http.StatusOK, documentWith(s.server.URL + "/oauth2/callback")
		},
		"42 javascript":          func(*http.Request) (int, string) { return http.StatusOK, documentWith("javascript:alert(1)") },
		"42 URI of another host": func(*http.Request) (int, string) { return http.StatusOK, documentWith("https://evil.example/callback") },
		"42 URI that carries iss": func(*http.Request) (int, string) {
			return http.StatusOK, documentWith("https://app.example.com/?iss=x")
		},
	} {
		docs.answerWith(answer)
		refused(name, "https://app.example.com/"+strings.ReplaceAll(name, " ", "-")+".json", 1)
	}
	if s.stored() != 0 || s.asked() != 0 {
		t.Errorf("%d things are stored, and the provider was asked %d times", s.stored(), s.asked())
	}
}

func documentWith(redirect string) string {
	text, err := json.Marshal(map[string]any{"client_id": documentID, "client_name": "x", "redirect_uris": []string{redirect}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// TestDocumentDown is about a document that cannot be fetched: the client may be a
// good one, and the person can try again.
func TestDocumentDown(t *testing.T) {
	docs := newDocuments("http://localhost/callback")
	s := newStage(t, docs.use)
	docs.answerWith(func(*http.Request) (int, string) { return http.StatusBadGateway, "root:x:0:0" })
	a := s.browser().authorize(s.request(documentID))
	a.checkPage(t, http.StatusServiceUnavailable, "could not be fetched")
	if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "root:x") {
		t.Errorf("%v: %s", a.header, a.text())
	}
	s.run("one that is known goes on", func(t *testing.T) {
		docs.answerWith(nil)
		s.configure(docs.use)
		b := s.browser()
		page := b.authorize(s.request(documentID))
		docs.answerWith(func(*http.Request) (int, string) { return http.StatusBadGateway, "" })
		if got := b.follow(b.approve(page)).Query(); got.Get("code") == "" {
			t.Errorf("the client gets %v", got)
		}
	})
}

// Test43Document drops a redirect URI from a document while somebody signs in: no
// answer is sent there any more, not even that they did not agree.
func Test43Document(t *testing.T) {
	docs := newDocuments("http://localhost/callback")
	s := newStage(t, docs.use)
	b := s.browser()
	page := b.authorize(s.request(documentID))
	back := b.returned(s.request(documentID))
	docs.set("https://app.example.com/callback")
	s.configure(docs.use) // which forgets the document, as its age does
	const want = "is not in the redirect_uris of the client's metadata document"
	b.approve(page).checkPage(t, http.StatusBadRequest, want)
	b.post(s.server.URL+"/oauth2/consent", changed(page.form(), "answer", "deny")).checkPage(t, http.StatusBadRequest, want)
	for _, to := range []string{with(back, "code", "", "error", "access_denied"), back} {
		b.get(to).checkPage(t, http.StatusBadRequest, want)
	}
	if len(s.fake.Requests("token")) != 0 || s.storedOf("code") != 0 {
		t.Error("the provider's code was redeemed")
	}
	s.run("43 without documents there is no such client", func(t *testing.T) {
		s.configure()
		b.get(back).checkPage(t, http.StatusBadRequest, "is not registered")
	})
	s.run("43 each sign-in is asked for anew", func(t *testing.T) {
		docs.set("http://localhost/callback")
		s.configure(docs.use)
		b.follow(b.get(back))
		b.authorize(s.request(documentID)).checkPage(t, http.StatusOK, "Let this program use your tools?")
	})
}

// Test42Inside is about ids at hosts inside, with what fetches documents unless
// something else is set.
func Test42Inside(t *testing.T) {
	s := newStage(t, func(o *broker.Options) { o.Documents = true })
	for _, id := range []string{"https://localhost/client.json", "https://127.0.0.1/client.json", "https://169.254.169.254/latest/meta-data", "https://[::1]/client.json"} {
		a := s.browser().authorize(s.request(id))
		if a.checkPage(t, a.status, ""); a.status != http.StatusBadRequest && a.status != http.StatusServiceUnavailable {
			t.Errorf("%s is answered HTTP %d", id, a.status)
		}
		if text := a.text(); strings.Contains(text, "loopback") || strings.Contains(text, "refused by") || strings.Contains(text, "no route") {
			t.Errorf("%s is answered %s", id, text)
		}
	}
}

// Test42Slow has a document that does not come: the person's patience ends the wait.
func Test42Slow(t *testing.T) {
	stop := make(chan struct{})
	docs := newDocuments()
	s := newStage(t, docs.use, func(o *broker.Options) {
		o.DocumentHTTP = &http.Client{Timeout: 100 * time.Millisecond, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
			return nil, r.Context().Err()
		})}
	})
	defer close(stop)
	s.browser().authorize(s.request(documentID)).checkPage(t, http.StatusServiceUnavailable, "could not be fetched")
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
