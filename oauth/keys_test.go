package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
)

// withKey is a token that names another key.
func withKey(t testing.TB, id string) string { return sign(t, oidcToken(), object{"kid": id}) }

// Test48UnknownKeys sends a flood of tokens, of which each names a random key:
// they cause one fetch in each window.
func Test48UnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		s := start(t, n, oidcProvider())
		good := sign(t, oidcToken(), nil)
		s.admit(good)
		if got := n.fetched(); got != 1 {
			t.Fatalf("%d fetches at the start", got)
		}
		unscoped := sign(t, with(oidcToken(), object{"scope": ""}), nil)
		token := withKey(t, "unknown") // signing is slow; the id in it is replaced
		_, rest, _ := strings.Cut(token, ".")
		for second := range 60 {
			for i := range 300 {
				forged := encode(fmt.Appendf(nil, `{"alg":"RS256","typ":"JWT","kid":"random-%d-%d"}`, second, i)) + "." + rest
				if _, refused := s.Authenticate(request(forged)); refused == nil || refused.Status != 401 {
					t.Fatalf("an unknown key is answered with %+v", refused)
				}
			}
			s.admit(good)
			s.refuse(unscoped, 403, "it lacks the scope") // said in any flood, since the provider has signed it
			time.Sleep(10 * time.Second)
		}
		// Ten minutes have passed: two windows.
		if got := n.fetched() - 1; got != 2 {
			t.Errorf("18,000 unknown keys in two windows caused %d fetches, want 2", got)
		}
		if !strings.Contains(s.log.String(), "unlogged=") {
			t.Error("the log does not say that it leaves refusals out")
		}
		if lines := strings.Count(s.log.String(), "\n"); lines > 13_000 {
			t.Errorf("%d lines in the log", lines)
		}
	})
}

// TestKeyRolloverInAnOutage does not make clients throw good tokens away.
func TestKeyRolloverInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		s := start(t, n, oidcProvider())
		s.admit(sign(t, oidcToken(), nil))
		n.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		n.publish("key-2")
		for range 2 {
			s.refuse(withKey(t, "key-2"), 503, "502 Bad Gateway")
		}
		s.admit(sign(t, with(oidcToken(), object{"jti": "2"}), nil)) // its key is known
		n.set(nil)
		time.Sleep(20 * time.Second)
		s.admit(withKey(t, "key-2"))
	})
}

// TestClientThatHangsUp says nothing of the provider.
func TestClientThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newInternet(), oidcProvider())
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		if _, refused := s.Authenticate(request("a.b.c").WithContext(ctx)); refused == nil || strings.Contains(s.log.String(), "cannot verify") {
			t.Errorf("answered with %+v, and in the log %s", refused, s.log)
		}
	})
}

func TestWrongSignaturesCauseNoFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		s := start(t, n, oidcProvider())
		token := sign(t, oidcToken(), nil)
		for i := range 50 {
			broken := token[:len(token)-20] + strings.Repeat(string(rune('A'+i%26)), 20)
			s.Authenticate(request(broken))
		}
		if got := n.fetched(); got != 1 {
			t.Errorf("%d fetches, want the first alone", got)
		}
	})
}

func TestKeyRollover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		s := start(t, n, oidcProvider())
		old := sign(t, oidcToken(), nil)
		s.admit(old)
		n.publish("key-2", "key-1") // the second signing key has the old id now
		s.admit(withKey(t, "key-2"))
		s.refuse(old, 401, "does not verify") // although it was seen before
	})
}

// TestRemovedKey withdraws a key that has leaked.
func TestRemovedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		s := start(t, n, oidcProvider())
		token := sign(t, with(oidcToken(), object{"exp": time.Now().Add(12 * time.Hour).Unix()}), nil)
		s.admit(token)
		n.publish("key-2")
		time.Sleep(time.Hour + time.Minute)
		s.refuse(token, 401, "is not one of those at")
	})
}

// TestMissingKeyIsRememberedMissing lets the same unknown key use up no second
// window.
func TestMissingKeyIsRememberedMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		s := start(t, n, oidcProvider())
		synctest.Wait() // for the first keys
		s.refuse(withKey(t, "gone"), 401, "is not one of those at")
		time.Sleep(6 * time.Minute)
		s.refuse(withKey(t, "gone"), 401, "is not one of those at")
		if got := n.fetched(); got != 2 {
			t.Errorf("%d fetches, want 2", got)
		}
	})
}

func TestProviderDown(t *testing.T) {
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		n.set(down)
		s := start(t, n, oidcProvider())
		token := sign(t, with(oidcToken(), object{"exp": time.Now().Add(30 * time.Hour).Unix(), "iat": time.Now().Add(time.Hour).Unix()}), nil)
		time.Sleep(2 * time.Hour)
		refused := s.refuse(token, 503, "502 Bad Gateway")
		if refused.Challenge != "" || refused.RetryAfter <= 0 {
			t.Errorf("an outage is answered with the challenge %q, retry after %s", refused.Challenge, refused.RetryAfter)
		}
		n.set(nil)
		time.Sleep(20 * time.Second)
		s.admit(token)

		n.set(down) // the keys that are known keep counting
		time.Sleep(20 * time.Hour)
		s.admit(token)
		time.Sleep(5 * time.Hour)
		s.refuse(token, 503, "could not be fetched") // until they are a day old
	})
}

// TestSlowProvider makes requests wait for the first keys, but not forever.
func TestSlowProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		n.set(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		s := start(t, n, oidcProvider())
		began := time.Now()
		var requests sync.WaitGroup
		for range 200 {
			requests.Go(func() {
				if _, refused := s.Authenticate(request(sign(t, oidcToken(), nil))); refused == nil || refused.Status != 503 {
					t.Errorf("answered with %+v", refused)
				}
			})
		}
		requests.Wait()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the requests wait %s", took)
		}
		n.set(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			n.serve(w, r)
		})
		time.Sleep(time.Minute)
		s.admit(sign(t, oidcToken(), nil))
	})
}

func TestProviderLies(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		reason string
	}{
		"a web page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<html>")
		}, "a web page instead of JSON"},
		"another issuer": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"issuer": "https://evil.example", "jwks_uri": "https://evil.example/keys"}`)
		}, "is the metadata of the issuer"},
		"keys on this machine": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": "http://127.0.0.1/keys"}`, oidcIssuer)
		}, "not an https URL"},
		"keys over http": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": "http://idp.example.com/keys"}`, oidcIssuer)
		}, "not an https URL"},
		"an endless body": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat(" ", 300<<10))
		}, "more than 256 KiB"},
		"an issuer twice": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer": "x", "issuer": %q}`, oidcIssuer)
		}, "does not answer the JSON"},
		"an issuer that is a number": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"issuer": 5}`)
		}, `/issuer\" has the wrong type`},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}, "302 Found"},
		"no keys": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": "https://idp.example.com/keys", "keys": []}`, oidcIssuer)
		}, "has no key that can be used"},
		"keys that are weak, secret or not understood": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": "https://idp.example.com/keys", "keys": [{"kty":"oct","kid":"1","k":"c2VjcmV0"}, {"kty":"RSA","kid":"2","n":"AQAB","e":"AQAB"}, {"kty":"new","kid":"3"}, 7]}`, oidcIssuer)
		}, "has no key that can be used"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newInternet()
				n.set(tt.answer)
				client := n.client()
				client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				s := startWith(t, oauth.Options{HTTP: client, Providers: []oauth.Provider{oidcProvider()}})
				time.Sleep(time.Minute)
				s.refuse(sign(t, oidcToken(), nil), 503, tt.reason)
			})
		})
	}
}

// TestReloadDuringTheFirstFetch keeps the request that waits for it waiting.
func TestReloadDuringTheFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		n.set(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			n.serve(w, r)
		})
		next := &signIn{t: t, log: &logged{}}
		s := oauth.New(optionsOf(next, n, oidcProvider()), nil)
		ctx, end := context.WithCancel(t.Context())
		go s.Run(ctx)
		next.SignIn = oauth.New(optionsOf(next, n, oidcProvider()), s)
		next.run()
		go func() {
			time.Sleep(500 * time.Millisecond)
			end()
		}()
		if _, refused := s.Authenticate(request(sign(t, oidcToken(), nil))); refused != nil {
			t.Errorf("answered with %+v", refused)
		}
	})
}

// TestReloadKeepsKeys builds a SignIn in place of another.
func TestReloadKeepsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newInternet()
		s := start(t, n, oidcProvider())
		s.admit(sign(t, oidcToken(), nil))
		changed := oidcProvider()
		changed.AllowAppTokens = true
		next := *s
		next.SignIn = oauth.New(optionsOf(s, n, changed), s.SignIn)
		next.run()
		n.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		next.admit(sign(t, with(oidcToken(), object{"sub": "cli"}), nil))
		if got := n.fetched(); got != 1 {
			t.Errorf("%d fetches, want 1", got)
		}
	})
}
