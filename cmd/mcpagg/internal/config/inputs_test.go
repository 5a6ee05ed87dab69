package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// inputsOf are those of loading paths, with or without mistakes.
func inputsOf(t *testing.T, paths ...string) *Inputs {
	t.Helper()
	c, err := Load(paths, func(string) (string, bool) { return "", false })
	var mistakes *Mistakes
	if errors.As(err, &mistakes) {
		return mistakes.Inputs
	}
	must(t, err)
	return c.Inputs
}

// TestInputs checks that everything is noticed that would change what is loaded.
func TestInputs(t *testing.T) {
	t.Chdir(t.TempDir())
	const block = "upstream \"%\" {\n  url   = \"http://localhost:1\"\n  token = try(file(\"token\"), null)\n}\n"
	first, second := strings.Replace(block, "%", "a", 1), strings.Replace(block, "%", "b", 1)
	write(t, "main.hcl", "server {}\n", 0o600)
	write(t, "conf.d/policy.hcl", "policy {\n  dir = \"p\"\n  candidate = \"next\"\n  entities = [\"teams.json\"]\n  toolhive = \"authz.json\"\n}\n", 0o600)
	write(t, "conf.d/1.hcl", first, 0o600)
	for _, change := range []struct {
		name string
		make func()
	}{
		{"another file in a directory", func() { write(t, "conf.d/2.hcl", second, 0o600) }},
		{"another content", func() { write(t, "conf.d/2.hcl", second+"\n", 0o600) }},
		{"a syntax error", func() { write(t, "conf.d/2.hcl", "upstream {", 0o600) }},
		{"a mistake", func() { write(t, "conf.d/2.hcl", second+"nonsense = 1\n", 0o600) }},
		{"a file that is read and was not there", func() { write(t, "conf.d/token", "one", 0o600) }},
		{"another content of that", func() { write(t, "conf.d/token", "two", 0o600) }},
		{"policies", func() { write(t, "conf.d/p/a.cedar", "permit (principal, action, resource);", 0o600) }},
		{"another policy", func() { write(t, "conf.d/p/below/b.cedar", "forbid (principal, action, resource);", 0o600) }},
		{"another content of that", func() { write(t, "conf.d/p/below/b.cedar", "forbid (principal, action", 0o600) }},
		{"a policy less", func() { must(t, os.Remove("conf.d/p/below/b.cedar")) }},
		{"a candidate", func() { write(t, "conf.d/next/a.cedar", "permit (principal, action, resource);", 0o600) }},
		{"entities", func() { write(t, "conf.d/teams.json", "[]", 0o600) }},
		{"another content of those", func() { write(t, "conf.d/teams.json", "[ ]", 0o600) }},
		{"policies of ToolHive", func() { write(t, "conf.d/authz.json", "{}", 0o600) }},
		{"what was reviewed", func() { write(t, "mcpagg.lock", "{}", 0o600) }},
		{"a file less", func() { must(t, os.Remove("conf.d/2.hcl")) }},
		{"that file without which nothing goes", func() { must(t, os.Remove("main.hcl")) }},
	} {
		before := inputsOf(t, "main.hcl", "conf.d")
		if !before.Equal(before.Now()) || !before.Now().Equal(before.Now().Now()) {
			t.Errorf("before %s: what is loaded seems to change by itself", change.name)
		}
		write(t, "conf.d/README", change.name, 0o600)
		if !before.Equal(before.Now()) {
			t.Errorf("before %s: a file that is not read counts", change.name)
		}
		change.make()
		if before.Equal(before.Now()) {
			t.Errorf("%s is not noticed", change.name)
		}
		if after := inputsOf(t, "main.hcl", "conf.d"); !after.Equal(after.Now()) {
			t.Errorf("after %s: what is loaded seems to change by itself", change.name)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "conf.d/1.hcl", "one = 1\n", 0o600)
	write(t, "conf.d/2.hcl", "two = 2\n", 0o600)
	in := inputsOf(t, "conf.d", "conf.d/1.hcl")
	dir, err := os.Getwd()
	must(t, err)
	if want := []string{filepath.Join(dir, "conf.d/1.hcl"), filepath.Join(dir, "conf.d/2.hcl")}; !slices.Equal(in.Files, want) {
		t.Errorf("files %q, want %q", in.Files, want)
	}
	sum := sha256.Sum256([]byte("one = 1\ntwo = 2\n"))
	if want := hex.EncodeToString(sum[:]); in.Digest() != want {
		t.Errorf("digest %s, want %s", in.Digest(), want)
	}
}

// TestInputsState tells apart configurations whose policies or lock differ, and does not tell
// of secrets.
func TestInputsState(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, os.Mkdir("policies", 0o700))
	write(t, "main.hcl", "policy {\n  dir      = \"policies\"\n  entities = [\"teams.json\"]\n}\nupstream \"a\" {\n  url   = \"http://localhost:1\"\n  token = file(\"token\")\n}\n", 0o600)
	write(t, "policies/a.cedar", "permit (principal, action, resource);\n", 0o600)
	write(t, "teams.json", "[]", 0o600)
	write(t, "token", "one", 0o600)
	before := inputsOf(t, "main.hcl").State()
	for _, change := range []struct {
		name, text string
		counts     bool
	}{
		{"token", "another", false},
		{"policies/a.cedar", "forbid (principal, action, resource);\n", true},
		{"policies/b.cedar", "permit (principal, action, resource);\n", true},
		{"teams.json", `[{"uid": {"type": "Group", "id": "x"}, "attrs": {}, "parents": []}]`, true},
		{"mcpagg.lock", `{"version": 1, "upstreams": {}}` + "\n", true},
		{"main.hcl", "policy {\n  dir = \"policies\"\n}\n", true},
	} {
		write(t, change.name, change.text, 0o600)
		after := inputsOf(t, "main.hcl").State()
		if (after != before) != change.counts {
			t.Errorf("%s: %s becomes %s", change.name, before, after)
		}
		before = after
	}
}

// TestSocket finds the socket of a gateway, whatever else is wrong here.
func TestSocket(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	must(t, err)
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"XDG_STATE_HOME": "/state", "HOME": "/home/me"}[name]
		return value, ok
	}
	const standard = "/state/mcpagg/run/mcpagg.sock"
	upstream := "upstream \"a\" {\n  url   = \"http://localhost:1\"\n  token = env(\"MISSING\")\n}\n"
	for _, test := range []struct{ name, text, want, from string }{
		{"default", upstream, standard, ""},
		{"named", "server {\n  socket = \"run/s\"\n}\n" + upstream, dir + "/run/s", "server.socket"},
		{"store", "store {\n  dir = \"state\"\n}\n", dir + "/state/run/mcpagg.sock", "store.dir"},
		{"both", "store {\n  dir = \"state\"\n}\nserver {\n  socket = \"/s\"\n}\n", "/s", "server.socket"},
		{"syntax error behind it", "server {\n  socket = \"/s\"\n}\nupstream {", "/s", "server.socket"},
		{"unknown", "server {\n  socket = env(\"MISSING\")\n}\n", "", ""},
		{"invalid", "store {\n  dir = \"\"\n}\n", "", ""},
	} {
		write(t, "gateway.hcl", test.text, 0o600)
		got, from, err := Socket([]string{"gateway.hcl"}, env)
		if got != test.want || from != test.from || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q from %q, %v; want %q from %q", test.name, got, from, err, test.want, test.from)
		}
	}
	if path, _, err := Socket([]string{"missing.hcl"}, env); err == nil {
		t.Errorf("without a file: %q", path)
	}
	for _, test := range []struct{ state, home, want string }{
		{"", "/home/me", map[bool]string{true: "/var/lib", false: "/home/me/.local/state"}[os.Geteuid() == 0] + "/mcpagg/run/mcpagg.sock"},
		{"relative", "/home/me", map[bool]string{true: "/var/lib", false: "/home/me/.local/state"}[os.Geteuid() == 0] + "/mcpagg/run/mcpagg.sock"},
		{"/state", "", standard},
	} {
		got := DefaultSocket(func(name string) (string, bool) {
			return map[string]string{"XDG_STATE_HOME": test.state, "HOME": test.home}[name], true
		})
		if got != test.want {
			t.Errorf("XDG_STATE_HOME=%s HOME=%s: %q, want %q", test.state, test.home, got, test.want)
		}
	}
}
