package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestFingerprint checks which changes of a configuration need a new
// connection, for every attribute and block of an upstream.
func TestFingerprint(t *testing.T) {
	const (
		program = "command = [\"mcpagg\", \"a\"]\n"
		server  = "url = \"http://localhost:1/mcp\"\n"
	)
	tests := map[string]struct {
		base, changed string // the content of the upstream's block
		same          bool   // the connection stays
	}{
		"command":         {base: program, changed: "command = [\"mcpagg\", \"b\"]\n"},
		"env":             {base: program + `env = { A = "one" }`, changed: program + `env = { A = "two" }`},
		"dir":             {base: program, changed: program + `dir = "."`},
		"url":             {base: server, changed: "url = \"http://localhost:2/mcp\"\n"},
		"headers":         {base: server + `headers = { A = "one" }`, changed: server + `headers = { A = "two" }`},
		"container":       {base: "container {\n  image = \"a\"\n}\n", changed: "container {\n  image = \"b\"\n}\n"},
		"token":           {base: server + `token = "one"`, changed: server + `token = "two"`},
		"protocol":        {base: server, changed: server + `protocol = "2025-11-25"`},
		"connect_timeout": {base: server, changed: server + `connect_timeout = "1s"`},
		"call_timeout":    {base: server, changed: server + `call_timeout = "1s"`},
		"tools_grace":     {base: server, changed: server + `tools_grace = "1s"`},

		"prefix":          {base: server, changed: server + `prefix = "p"`, same: true},
		"isolation":       {base: server, changed: server + `isolation = "session"`, same: true},
		"requests":        {base: server, changed: server + `requests = ["sampling"]`, same: true},
		"tags":            {base: server, changed: server + `tags = ["t"]`, same: true},
		"max_instances":   {base: server, changed: server + `max_instances = 3`, same: true},
		"idle_timeout":    {base: server, changed: server + `idle_timeout = "1s"`, same: true},
		"trust":           {base: server, changed: server + `trust = "hints"`, same: true},
		"policy_mode":     {base: server, changed: server + `policy_mode = "observe"`, same: true},
		"drift":           {base: server, changed: server + `drift = "hide"`, same: true},
		"extra_arguments": {base: server, changed: server + `extra_arguments = "allow"`, same: true},
		"tools":           {base: server, changed: server + "tools {\n  deny = [\"a\"]\n}", same: true},
	}
	s := schemaOf(reflect.TypeFor[upstreamBlock]())
	for _, f := range append(s.attributes, s.blocks...) {
		t.Run(f.name, func(t *testing.T) {
			test, ok := tests[f.name]
			if !ok {
				t.Fatalf("does %q belong to the connection? Say so here, and in fingerprint if it does", f.name)
			}
			base := fingerprintOf(t, "", test.base)
			if again := fingerprintOf(t, "", test.base); again != base {
				t.Errorf("%s and %s for the same", base, again)
			}
			if changed := fingerprintOf(t, "", test.changed); (changed == base) != test.same {
				t.Errorf("%s, and %s when it is changed; want the same: %v", base, changed, test.same)
			}
		})
	}
	const boxed = "container {\n  image = \"a\"\n  network = \"egress\"\n  egress {\n    allow = [\"%s.example.com:443\"]\n  }\n}\n"
	if fingerprintOf(t, "", fmt.Sprintf(boxed, "a")) == fingerprintOf(t, "", fmt.Sprintf(boxed, "b")) {
		t.Error("what a container may connect to does not count")
	}
	if limits := "server {\n  limits {\n    response_bytes = \"1MiB\"\n  }\n}\n"; fingerprintOf(t, limits, server) == fingerprintOf(t, "", server) {
		t.Error("the limit of an answer's size does not count")
	}
}

// fingerprintOf is that of an upstream whose block holds the lines.
func fingerprintOf(t *testing.T, rest, lines string) string {
	t.Helper()
	out := run(t, archive("-- gateway.hcl --\n"+rest+"upstream \"x\" {\n"+strings.TrimSuffix(lines, "\n")+"\n}\n"))
	if out.err != nil {
		t.Fatal(out.err)
	}
	return out.config.Gateway.Upstreams[0].Fingerprint
}
