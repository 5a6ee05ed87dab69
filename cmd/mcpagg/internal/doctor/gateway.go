package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// documents are what clients read at the gateway, in this order.
var documents = []string{
	"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource",
	"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
}

// gateway asks a gateway that runs for what clients ask it for, and compares it
// with what the configuration makes of it.
func (x *examination) gateway(ctx context.Context) []Finding {
	findings := x.challenge(ctx)
	if findings[0].Verdict != OK {
		return findings
	}
	for _, path := range documents {
		if f, ok := x.document(ctx, path); ok {
			findings = append(findings, f)
		}
	}
	if x.opts.Broker != nil {
		findings = append(findings, x.signingKeys(ctx)...)
	}
	return findings
}

const passOn = "A proxy in front has to pass on /.well-known/, /oauth2/, /authorize, /token and /register as well as /mcp."

const startIt = "Start the gateway, or see what is between this machine and it. What it serves was not looked at."

// challenge makes a request without a token.
func (x *examination) challenge(ctx context.Context) []Finding {
	url := x.publicURL("/mcp")
	want := x.publicURL(documents[0])
	resp, err := x.get(ctx, url)
	if err != nil {
		return []Finding{{Verdict: Warning, Seen: fmt.Sprintf("no gateway answers at %s: %v", url, why(err)), Remedy: startIt}}
	}
	header := resp.Header.Get("WWW-Authenticate")
	switch {
	case resp.StatusCode >= 500:
		return []Finding{{Verdict: Warning, Seen: fmt.Sprintf("%s answers %s", url, resp.Status), Remedy: startIt}}
	case resp.StatusCode != http.StatusUnauthorized:
		return []Finding{{
			Verdict: Problem, Seen: fmt.Sprintf("%s answers %s to a request without a token, not 401", url, resp.Status),
			Remedy: "Something else answers there, or the gateway runs without this auth block. Restart or reload it, and compare public_url with where it is.",
		}}
	case !strings.Contains(header, `resource_metadata="`+want+`"`):
		return []Finding{{
			Verdict: Problem, Seen: fmt.Sprintf("the challenge at %s does not name %s", url, want),
			Remedy: "A proxy in front must leave the header WWW-Authenticate alone, and public_url must be what clients are given.",
		}}
	}
	return []Finding{{Verdict: OK, Seen: "a request without a token is told where to sign in"}}
}

// document compares one document with what it should be. It reports false for one
// that is not there for lack of the provider's.
func (x *examination) document(ctx context.Context, path string) (Finding, bool) {
	own, ok := x.served(path)
	if !ok {
		return Finding{}, false
	}
	url := x.publicURL(path)
	resp, err := x.get(ctx, url)
	if err != nil {
		return Finding{Verdict: Problem, Seen: fmt.Sprintf("%s: %v", url, why(err)), Remedy: reach}, true
	}
	if resp.StatusCode != http.StatusOK {
		return Finding{
			Verdict: Problem, Seen: fmt.Sprintf("%s answers %s", url, resp.Status),
			Remedy: passOn,
		}, true
	}
	var got map[string]any
	a, _ := x.observed.at(url)
	if err := json.Unmarshal(a.body, &got); err != nil {
		return Finding{Verdict: Problem, Seen: url + " answers no JSON", Remedy: "See what answers there; it is not the gateway."}, true
	}
	if differing := differences(own, got); len(differing) > 0 {
		return Finding{
			Verdict: Problem, Seen: fmt.Sprintf("%s is not what this configuration makes of it: %s", url, strings.Join(differing, ", ")),
			Remedy: "Reload the gateway if its configuration has changed, and see that clients reach it, not something else, at public_url.",
		}, true
	}
	return Finding{Verdict: OK, Seen: path + " is as it should be"}, true
}

// differences are the members that are not the same.
func differences(want, got map[string]any) []string {
	var all []string
	for name := range want {
		if !reflect.DeepEqual(want[name], got[name]) {
			all = append(all, fmt.Sprintf("%s is %s, not %s", name, brief(got[name]), brief(want[name])))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			all = append(all, name+" is there")
		}
	}
	slices.Sort(all)
	return all
}

func brief(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it came from JSON
	}
	if len(text) > 200 {
		text = append(text[:200], "…"...)
	}
	return string(text)
}

// served is a document as the configuration makes it.
func (x *examination) served(path string) (map[string]any, bool) {
	r, err := http.NewRequest(http.MethodGet, x.publicURL(path), http.NoBody)
	if err != nil {
		return nil, false
	}
	answer := serve(x.signIn, r)
	var document map[string]any
	ok := answer.status == http.StatusOK && json.Unmarshal(answer.body.Bytes(), &document) == nil
	return document, ok
}

func (x *examination) publicURL(path string) string {
	return strings.TrimSuffix(x.opts.SignIn.PublicURL.String(), "/") + path
}

// get asks for a URL as a client would. The observer has the body.
func (x *examination) get(ctx context.Context, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json, text/event-stream, text/html")
	resp, err := x.http.Do(r)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// A served answer is what a handler of this process made of a request.
type servedAnswer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *servedAnswer) Header() http.Header { return a.header }

func (a *servedAnswer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *servedAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// serve has a handler answer a request, without a network.
func serve(h http.Handler, r *http.Request) *servedAnswer {
	a := &servedAnswer{header: http.Header{}}
	r.RemoteAddr = "127.0.0.1:1"
	h.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK)
	return a
}
