package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// FuzzParseProfile looks for a profile that grants more than it says.
func FuzzParseProfile(f *testing.F) {
	for _, text := range []string{
		`{"name":"x","read":["/a:/b","/c"],"write":["/d"],"network":{"outbound":{"allow_host":["api.github.com",".a.example"],"allow_port":[443,80]}}}`,
		`{"network":{"mode":"bridge","outbound":{"insecure_allow_all":true}}}`,
		`{"network":{"mode":"none","outbound":{"allow_transport":["tcp"]},"inbound":{"allow_host":["localhost"]}},"privileged":false}`,
		`{"privileged":true,"Privileged":false}`, `{"network":null}`, `{"network":{"outbound":{"allow_host":["*"],"allow_port":[1]}}}`, `{}`, `[]`, ``,
		`{"network":{"outbound":{"allow_host":["127.0.0.1"],"allow_port":[80]}}}`, `{"network":{"outbound":{"allow_host":["[::1]"],"allow_port":[80]}}}`,
		`{"network":{"outbound":{"allow_host":["0.0.0.0"],"allow_port":[80]}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		granted, problems := parseProfile(text)
		if len(problems) > 0 {
			if granted.network != "" || granted.allow != nil || granted.mounts != nil {
				t.Fatalf("%s grants %+v and has problems %q", text, granted, problems)
			}
			return
		}
		var p profile
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatalf("%s is no JSON: %v", text, err)
		}
		out := p.Network.Outbound
		switch {
		case p.Privileged:
			t.Fatalf("%s is privileged", text)
		case granted.network == "bridge" && !out.InsecureAllowAll,
			granted.network == "egress" && len(granted.allow) == 0,
			granted.network != "egress" && granted.allow != nil,
			!slices.Contains([]string{"none", "bridge", "egress"}, granted.network):
			t.Fatalf("%s has the network %q and may connect to %v", text, granted.network, granted.allow)
		}
		var allowed []string
		for _, host := range out.AllowHost {
			host = strings.ToLower(host)
			allowed = append(allowed, strings.TrimSuffix(host, "."))
			if domain, ok := strings.CutPrefix(strings.TrimSuffix(host, "."), "."); ok {
				allowed = append(allowed, domain, "*."+domain)
			}
		}
		for _, rule := range granted.allow {
			if addr, err := netip.ParseAddrPort(rule.String()); err == nil && (addr.Addr().IsLoopback() || addr.Addr().IsUnspecified()) {
				t.Fatalf("%s allows this machine, %v", text, rule)
			}
			colon := strings.LastIndex(rule.String(), ":")
			if host := rule.String()[:colon]; !slices.Contains(allowed, host) && !slices.Contains(allowed, strings.Trim(host, "[]")) {
				t.Fatalf("%s allows %v", text, rule)
			}
		}
		if len(granted.mounts) != len(p.Read)+len(p.Write) {
			t.Fatalf("%s mounts %v", text, granted.mounts)
		}
		for i, m := range granted.mounts {
			if m.Writable != (i >= len(p.Read)) || !strings.HasPrefix(m.Source, "/") || !strings.HasPrefix(m.Target, "/") {
				t.Fatalf("%s mounts %+v", text, m)
			}
		}
	})
}

// TestEgressOptions checks what becomes of rules and profiles.
func TestEgressOptions(t *testing.T) {
	out := run(t, archive(`-- profile.json --
{"write": ["/dev:/target"], "network": {"outbound": {"allow_host": ["api.github.com", ".a.example"], "allow_port": [443, 80]}}}
-- gateway.hcl --
upstream "a" {
  container {
    image   = "x"
    network = "egress"
    egress {
      allow = ["*.Atlassian.net.:443", "10.0.0.0/8:1"]
    }
  }
}
upstream "b" {
  container {
    image              = "x"
    permission_profile = "./profile.json"
    mounts             = ["volume:/own"]
  }
}
upstream "c" {
  container {
    image              = "x"
    permission_profile = "network"
  }
}
`))
	if out.err != nil {
		t.Fatal(out.err)
	}
	for i, want := range []string{
		"egress [*.atlassian.net:443 10.0.0.0/8:1] []",
		"egress [api.github.com:443 api.github.com:80 a.example:443 a.example:80 *.a.example:443 *.a.example:80] [{/dev /target true} {volume /own false}]",
		"bridge [] []",
	} {
		c := out.config.Gateway.Upstreams[i].Container
		if got := fmt.Sprint(c.Network, " ", c.Allow, " ", c.Mounts); got != want {
			t.Errorf("upstream %d has %s, want %s", i, got, want)
		}
	}
}
