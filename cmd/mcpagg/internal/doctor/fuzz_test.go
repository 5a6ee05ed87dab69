package doctor

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth"
)

// FuzzFacts reads the claims of tokens that anybody may have made.
func FuzzFacts(f *testing.F) {
	for _, seed := range []string{
		`{"ver":"2.0","tid":"t","aud":["a","b"],"scp":"x","groups":["g"],"exp":1e30}`,
		`{"ver":"1.0","tid":"t","aud":"api://x","appid":"a","sub":"s","oid":"s","groups":7,"iat":-1}`,
		`{"ver":1,"iss":"https://contoso.okta.com/oauth2/x","cid":"0oa","scp":["mcp"],"exp":"never","aud":7}`,
		`{"_claim_names":{"groups":"src1"},"hasgroups":"true","roles":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var c claims
		if json.Unmarshal(raw, &c) != nil {
			return
		}
		for _, fact := range c.facts(oauth.Report{Algorithm: "RS256", KeyID: "k"}, time.Unix(0, 0)) {
			if fact.Value == "" {
				t.Errorf("nothing is said of %s", fact.Name)
			}
		}
		c.oldVersion(oauth.Options{Providers: []oauth.Provider{{Audiences: []string{"a"}, Entra: &oauth.EntraTenant{}}}})
	})
}

// FuzzPage reads what Entra, or whoever is in its place, shows.
func FuzzPage(f *testing.F) {
	f.Add(200, "<html>Sign in</html>", "")
	f.Add(200, "AADSTS50011: no", "")
	f.Add(302, "", "http://localhost/callback?error=invalid_target&error_description=AADSTS9010010%3A+no")
	f.Add(500, "AADSTS999999999 AADSTS1", "://")
	f.Fuzz(func(t *testing.T, status int, body, location string) {
		p := readPage(answer{status: status, body: []byte(body), location: location})
		found := p.finding("what: ")
		if !strings.HasPrefix(found.Seen, "what: ") || found.Verdict == OK != p.ok() || found.Verdict != OK && found.Remedy == "" {
			t.Errorf("%d %q %q is %+v", status, body, location, found)
		}
		if p.ok() && status >= http.StatusBadRequest {
			t.Errorf("HTTP %d is fine", status)
		}
	})
}
