package clientdoc_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/oauth/clientdoc"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering is a fetcher whose requests are all answered with one body.
func answering(body string, asked *[]string) *clientdoc.Fetcher {
	return clientdoc.New(clientdoc.Options{
		Rules: redirect.Rules{Loopback: true},
		HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			*asked = append(*asked, r.URL.String())
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		})},
	})
}

// FuzzID looks for an id that is fetched from somewhere else than it says, or
// that is another way to write one.
func FuzzID(f *testing.F) {
	for _, s := range []string{
		id, "https://app.example.com:443/a", "https://app.example.com/%41", "https://app.example.com//a/", "https://app.example.com/a;b", "https://app.example.com/..;/a", "https://a@b.example/c",
		"https://app.example.com/%2e%2e/", "https://app.example.com/a?b", "https://app.example.com/#", `https://app.example.com\@b.example/`, "https://127.1/a", "HTTPS://app.example.com/a", "https://app.example.com/%",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var asked []string
		_, err := answering("{}", &asked).Get(t.Context(), raw)
		var refused *clientdoc.Refused
		if !errors.As(err, &refused) {
			t.Fatalf("%q: %v", raw, err)
		}
		if len(asked) == 0 {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || len(asked) != 1 || asked[0] != raw || u.String() != raw || !clientdoc.IsID(raw) {
			t.Fatalf("%q (%v) is fetched from %q", raw, u, asked)
		}
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(u.Path) < 2 || len(raw) > 512 || u.Port() != "" && u.Port() != "443" {
			t.Fatalf("%q is fetched", raw)
		}
		for segment := range strings.SplitSeq(strings.ReplaceAll(u.Path, `\`, "/"), "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q has a dot segment", raw)
			}
		}
	})
}

// FuzzDocument looks for a document that is accepted and is not what it must be.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{
		`{"client_id":"` + id + `","client_name":"x","redirect_uris":["http://localhost/callback"]}`,
		`{"client_id":"` + id + `","client_name":"x","redirect_uris":["https://app.example.com/callback","com.example.app:/x","https://b.example/"],"token_endpoint_auth_method":"none","client_uri":"https://app.example.com/"}`,
		`{"client_id":"` + id + `","client_name":"x","redirect_uris":["https://evil.example/"],"grant_types":[],"jwks":{"keys":[{"d":"x"}]}}`,
		`{"client_id":"` + id + `","client_secret":null}`, `[]`, ``, `{"client_id":1}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var asked []string
		doc, err := answering(body, &asked).Get(t.Context(), id)
		if err != nil {
			var refused *clientdoc.Refused
			if !errors.As(err, &refused) || len(refused.Text) > 2000 || !utf8.ValidString(refused.Text) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if doc.ID != id || doc.Host != host || doc.Name == "" || len(doc.Name) > 200 || !utf8.ValidString(doc.Name) || len(doc.Redirects) == 0 || len(doc.Redirects) > 10 {
			t.Fatalf("%q is %+v", body, doc)
		}
		if doc.URI != "" && !strings.HasPrefix(doc.URI, "https://"+host) {
			t.Fatalf("%q has the page %q", body, doc.URI)
		}
		for _, uri := range doc.Redirects {
			if err := doc.Check(uri); err != nil {
				t.Fatalf("%q %v", uri, err)
			}
			u, err := url.Parse(uri)
			if err != nil {
				t.Fatal(err)
			}
			loopback := redirect.Rules{Loopback: true}.Check(uri) == nil
			own := u.Scheme == "https" && (u.Hostname() == host || strings.HasSuffix(u.Hostname(), "."+host)) || u.Scheme == "com.example.app" || strings.HasPrefix(u.Scheme, "com.example.app.")
			if !loopback && !own || doc.LoopbackOnly && u.Scheme == "https" {
				t.Fatalf("%q sends people to %q", body, uri)
			}
		}
	})
}
