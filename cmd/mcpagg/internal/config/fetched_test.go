package config

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mcpagg/mcpagg/upstream"
)

// fetchedFrom is a configuration with one file source, in files of the folder
// secrets, and the lines in an upstream.
func fetchedFrom(t *testing.T, lines string, files map[string]string) *Config {
	t.Helper()
	text := "-- gateway.hcl --\nsecrets \"file\" \"f\" {\n  dir = \"secrets\"\n  ttl = \"1ns\"\n}\nupstream \"x\" {\n" + lines + "\n}\n"
	for name, value := range files {
		text += "-- secrets/" + name + " --\n" + value + "\n"
	}
	out := run(t, archive(text))
	must(t, out.err)
	t.Cleanup(out.config.CloseSecrets)
	return out.config
}

// TestFetchedWhenUsed checks that nothing is fetched when the configuration is
// loaded, and that a rotated value arrives.
func TestFetchedWhenUsed(t *testing.T) {
	c := fetchedFrom(t, `
		url     = "https://a"
		token   = secret("f", "token")
		headers = {
			X-Both = "${secret("f", "user")}:${secret("f", "token")}!"
			X-One  = coalesce(null, secret("f", "user"), secret("f", "token"))
			X-Try  = try(secret("f", "missing"), "never")
			X-None = format("%s", "plain")
		}`, map[string]string{"user": "octocat"})
	u := c.Gateway.Upstreams[0]
	const missing = "secret f/token: there is no such file in the folder"
	for _, test := range []struct {
		name string
		of   upstream.Secret
		want string
	}{
		{"token", u.Token, missing},
		{"X-Both", u.Headers["X-Both"], missing},
		{"X-One", u.Headers["X-One"], "octocat"},
		{"X-Try", u.Headers["X-Try"], "secret f/missing: there is no such file in the folder"},
		{"X-None", u.Headers["X-None"], "plain"},
	} {
		if got := reveal(test.of); got != test.want {
			t.Errorf("%s is %q, want %q", test.name, got, test.want)
		}
	}
	for _, value := range []string{"ghp_one", "ghp_two"} {
		c := fetchedFrom(t, `
			url     = "https://a"
			headers = { X-Both = "${secret("f", "user")}:${secret("f", "token")}!" }`, map[string]string{"user": "octocat", "token": "old"})
		s := c.Gateway.Upstreams[0].Headers["X-Both"]
		reveal(s)
		write(t, "secrets/token", value+"\n", 0o600)
		if got, want := reveal(s), "octocat:"+value+"!"; got != want {
			t.Errorf("after the rotation it is %q, want %q", got, want)
		}
	}
}

// TestPartsAreConcealed checks that an upstream knows what is secret in a text
// that is a secret as a whole: a server may well repeat only that.
func TestPartsAreConcealed(t *testing.T) {
	c := fetchedFrom(t, `
		command = ["/bin/sh", "-c", "p=$${URL#user:}; echo the password $${p%@host} is wrong >&2; exit 1"]
		env     = { URL = "user:${secret("f", "s")}@host" }`, map[string]string{"s": "hunter2hunter2"})
	var log bytes.Buffer
	opts := c.Gateway.Upstreams[0].Options
	opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	u := upstream.New(opts)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { u.Run(ctx); close(done) }()
	<-u.Attempted()
	stop()
	<-done
	if got := log.String(); !strings.Contains(got, "the password [redacted] is wrong") || strings.Contains(got, "hunter2") {
		t.Errorf("logged %s", got)
	}
	if got := u.Status().LastError; !strings.Contains(got, "the password [redacted] is wrong") {
		t.Errorf("the error is %s", got)
	}
}

// TestRotatedToGarbage checks that a value is checked each time it is fetched,
// and never shown.
func TestRotatedToGarbage(t *testing.T) {
	const store = "; store another one"
	for value, want := range map[string]struct{ header, variable string }{
		"hunter2\nX-Admin: yes": {
			"secret f/s: its value contains a line break or another control character, which an HTTP header cannot hold" + store,
			"hunter2\nX-Admin: yes",
		},
		" hunter2":     {"secret f/s: its value begins or ends with white space" + store, " hunter2"},
		"hunter2\n":    {"secret f/s: its value begins or ends with white space" + store, "hunter2\n"},
		"hunter\x002":  {"secret f/s: its value contains a line break or another control character, which an HTTP header cannot hold" + store, "secret f/s: its value contains a NUL character" + store},
		"hunter2 \xff": {"secret f/s: its value is not text in UTF-8", "secret f/s: its value is not text in UTF-8"},
		"":             {"secret f/s: its value is empty; store another one", "secret f/s: its value is empty; store another one"},
	} {
		c := fetchedFrom(t, `
			url     = "https://a"
			token   = secret("f", "s")
			headers = { X-A = "Bearer ${secret("f", "s")}" }`, nil)
		write(t, "secrets/s", value+"\n", 0o600)
		u := c.Gateway.Upstreams[0]
		for name, s := range map[string]upstream.Secret{"token": u.Token, "X-A": u.Headers["X-A"]} {
			if got := reveal(s); got != want.header {
				t.Errorf("%q makes %s %q, want %q", value, name, got, want.header)
			}
		}
		c = fetchedFrom(t, `
			command = ["npx"]
			env     = { A = secret("f", "s") }`, nil)
		write(t, "secrets/s", value+"\n", 0o600)
		if got := reveal(c.Gateway.Upstreams[0].Env["A"]); got != want.variable {
			t.Errorf("%q makes the variable %q, want %q", value, got, want.variable)
		}
	}
}

// TestFetchedFingerprint checks that secrets are compared by where they come
// from.
func TestFetchedFingerprint(t *testing.T) {
	const source = "secrets \"exec\" \"e\" {\n  command = [\"npx\"]\n  env = { A = secret(\"f\", \"x\") }\n}\n"
	const files = "secrets \"file\" \"f\" {\n  dir = \"a\"\n}\n"
	const lines = "url = \"https://a\"\ntoken = secret(\"e\", \"x\")"
	for name, test := range map[string]struct {
		rest, lines string
		same        bool
	}{
		"nothing":          {source + files, lines, true},
		"order":            {files + source, lines, true},
		"name":             {source + files, strings.Replace(lines, `"x"`, `"y"`, 1), false},
		"text around":      {source + files, strings.Replace(lines, `secret("e", "x")`, `"a${secret("e", "x")}"`, 1), false},
		"a literal":        {source + files, "url = \"https://a\"\ntoken = \"x\"", false},
		"command":          {strings.Replace(source, `"npx"`, `"npx", "a"`, 1) + files, lines, false},
		"source of source": {source + strings.Replace(files, `"a"`, `"b"`, 1), lines, false},
		"name in source":   {strings.Replace(source, `"x"`, `"y"`, 1) + files, lines, false},
		"lifetime":         {source + strings.Replace(files, "}", "  ttl = \"1m\"\n}", 1), lines, false},
	} {
		// The folder differs from test to test, and with it the whole path of dir.
		t.Run(name, func(t *testing.T) {
			absolute := strings.NewReplacer(`"a"`+"\n}", `"/a"`+"\n}", `"b"`+"\n}", `"/b"`+"\n}", `"npx"`, `"mcpagg"`, `dir = "a"`, `dir = "/a"`).Replace
			base := fingerprintOf(t, absolute(source+files), lines)
			got := fingerprintOf(t, absolute(test.rest), test.lines)
			if (got == base) != test.same {
				t.Errorf("%s and %s, want the same: %v", base, got, test.same)
			}
		})
	}
}

// TestReloadKeepsValues checks that an unchanged source need not be asked again.
func TestReloadKeepsValues(t *testing.T) {
	a := txtar.Parse([]byte("-- gateway.hcl --\nsecrets \"file\" \"f\" {\n  dir = \"secrets\"\n}\nupstream \"x\" {\n  url = \"https://a\"\n  token = secret(\"f\", \"s\")\n}\n-- secrets/s --\nghp_one\n"))
	out := run(t, a)
	must(t, out.err)
	first := out.config
	t.Cleanup(first.CloseSecrets)
	token := func(c *Config) string { return reveal(c.Gateway.Upstreams[0].Token) }
	if got := token(first); got != "ghp_one" {
		t.Fatal(got)
	}
	must(t, os.Remove("secrets/s"))
	again := func() *Config {
		c, err := Load([]string{"gateway.hcl"}, func(string) (string, bool) { return "", false })
		must(t, err)
		c.UseSecrets(slog.New(slog.DiscardHandler), first)
		t.Cleanup(c.CloseSecrets)
		return c
	}
	if got := token(again()); got != "ghp_one" {
		t.Errorf("after a reload: %s", got)
	}
	src, err := os.ReadFile("gateway.hcl")
	must(t, err)
	write(t, "gateway.hcl", strings.Replace(string(src), "dir =", "ttl = \"1m\"\n  dir =", 1), 0o600)
	if got := token(again()); !strings.Contains(got, "no such file") {
		t.Errorf("with another definition: %s", got)
	}
}

// TestSecretsAreLogged checks that an outage is logged where the gateway logs.
func TestSecretsAreLogged(t *testing.T) {
	c := fetchedFrom(t, `
		url   = "https://a"
		token = secret("f", "s")`, nil)
	var log bytes.Buffer
	c.UseSecrets(slog.New(slog.NewTextHandler(&log, nil)), nil)
	if _, err := c.Gateway.Upstreams[0].Token(context.Background()); err == nil {
		t.Error("there is a secret")
	}
	if got := log.String(); !strings.Contains(got, `"a secret cannot be fetched" source=f secret=s err="the folder cannot be opened: no such file or directory"`) {
		t.Errorf("logged %s", got)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("Bearer ", "user", true, 3)
	f.Fuzz(func(t *testing.T, before, after string, whole bool, cut int) {
		rs := newReferences()
		r := rs.to("kv", "x")
		text := r.text
		if cut = max(cut, 0)%(len(text)-12) + 12; !whole {
			text = text[:cut]
		}
		parts, ok := rs.split(before + text + after)
		joined := ""
		for _, p := range parts {
			if joined += p.literal; p.reference != nil {
				joined += p.reference.text
			}
		}
		if ok && joined != before+text+after {
			t.Errorf("%q became %q", before+text+after, joined)
		}
		if ok != whole && !(ok && strings.HasPrefix(after, r.text[cut:])) {
			t.Errorf("%q: %v", before+text+after, ok)
		}
	})
}
