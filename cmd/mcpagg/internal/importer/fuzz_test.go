package importer

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// token is what is a secret wherever it stands.
var token = regexp.MustCompile(`(?:^|[^A-Za-z0-9])(ghp_[A-Za-z0-9]{20,})`)

// FuzzImport checks that no source makes the importer panic, write what is no
// configuration, or write a token.
func FuzzImport(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		sources, _, _ := members(a)
		for _, s := range sources {
			f.Add(s.Text)
		}
	}
	const secret = "ghp_abcdefABCDEF0123456789"
	for _, place := range []string{
		`"%":{"command":"a"}`, `"a":{"command":"%"}`, `"a":{"command":"a","%":1}`, `"a":{"url":"http://x/%"}`,
		`"a":{"command":"docker","args":["run","--%","%","-v","/%:/x","%"]}`, `"a":{"command":"a","env":{"%":"x"}}`, `"a":{"url":"http://x","headers":{"%":"%"}}`,
		`"a":{"command":"a","args":["${%}","${input:%}","${X:-%}","--%","x","{file:%}"]}`,
	} {
		f.Add([]byte(`{"mcpServers":{` + strings.ReplaceAll(place, "%", secret) + `}}`))
	}
	f.Add([]byte("A=1\nGITHUB_TOKEN=\"" + secret + "\n\"\nB='x'"))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := Import([]Source{{Path: "x.json", Text: src}}, home)
		if err != nil {
			if secret := token.FindString(err.Error()); secret != "" {
				t.Errorf("%q is in the error %v", secret, err)
			}
			return
		}
		formatted, err := config.Format("gateway.hcl", r.HCL)
		if err != nil || !bytes.Equal(formatted, r.HCL) {
			t.Errorf("not formatted, %v:\n%s", err, r.HCL)
		}
		var tokens []string
		for _, m := range token.FindAllStringSubmatch(string(src), -1) {
			tokens = append(tokens, m[1])
		}
		isHidden(t, r, tokens)
		again, err := Import([]Source{{Path: "x.json", Text: src}}, home)
		if err != nil || text(again) != text(r) {
			t.Errorf("the second time, %v:\n%s\nthe first time:\n%s", err, again.HCL, r.HCL)
		}
	})
}

// FuzzSecret checks that whatever is where secrets are is not written, even if it
// stands elsewhere, too.
func FuzzSecret(f *testing.F) {
	for _, s := range []string{"correct horse battery", "hunter2hunter2", "${x}\"\\\n%{", "äöüäöü\u0301ß", "https://u:p@h/", "=-=-=-=-=", "Bearer x y z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		secret = strings.TrimSpace(secret)
		if len(secret) < 8 || !utf8.ValidString(secret) || reference.MatchString(secret) || plain.MatchString(secret) {
			return // not a secret, or one that refers to one
		}
		if strings.Contains(text(planted(t, "XyzzyXyzzy")), secret) {
			return // a word of our own
		}
		isHidden(t, planted(t, secret), []string{secret, config.QuoteIn(secret)})
	})
}

// planted imports a file with a secret at all the places where one may be.
func planted(t *testing.T, secret string) *Result {
	t.Helper()
	servers := map[string]any{
		"program": map[string]any{
			"command": "npx", "args": []string{"--api-key", secret, "--token=" + secret, "again " + secret}, "cwd": "/" + secret,
			"env": map[string]any{"API_KEY": secret, "OTHER": secret},
		},
		"container": map[string]any{
			"command": "docker", "args": []string{"run", "-e", "PASSWORD=" + secret, "-v", "/" + secret + ":/x", "--memory", secret, "image", secret},
		},
		"url":    map[string]any{"url": "https://x.contoso.com/?token=1", "headers": map[string]any{"Authorization": "Bearer " + secret, "X-Other": secret}},
		secret:   map[string]any{"command": secret, secret: secret, "tools": []string{secret}},
		"tagged": map[string]any{"url": "http://localhost/" + secret},
	}
	src, err := json.Marshal(map[string]any{"mcpServers": servers, "projects": map[string]any{secret: map[string]any{"mcpServers": servers}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Import([]Source{{Path: "x.json", Text: src}}, home)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// FuzzVariables checks that parsing .env files loses no line without saying so.
func FuzzVariables(f *testing.F) {
	f.Add("A=1\nexport B='x # y' # z\n# c\n\nC=\"a\nb\\n\\\"\"\nD=${A}x\r\n")
	f.Fuzz(func(t *testing.T, src string) {
		entries, err := parseVariables(src)
		if err == nil && len(entries) > strings.Count(src, "=") {
			t.Errorf("%d variables in %q", len(entries), src)
		}
		for _, e := range entries {
			if !config.IsVariable(e.name) {
				t.Errorf("%q is the name of a variable in %q", e.name, src)
			}
		}
	})
}

// FuzzWithoutComments checks that JSON stays what it is, and that no line is lost.
func FuzzWithoutComments(f *testing.F) {
	f.Add([]byte(`{"a": [1, "x // y", "/* z */"], "b": "\""}`))
	f.Add([]byte("// a\n{/* b\n */\"a\": [1,\n], }"))
	f.Fuzz(func(t *testing.T, src []byte) {
		out := withoutComments(src)
		if bytes.Count(out, []byte("\n")) != bytes.Count(src, []byte("\n")) {
			t.Errorf("lines of %q are lost: %q", src, out)
		}
		if json.Valid(src) && !bytes.Equal(src, out) {
			t.Errorf("%q became %q", src, out)
		}
	})
}
