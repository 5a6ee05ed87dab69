//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// egressTo are the attributes of a container that may connect to a few places.
func egressTo(allow ...string) []string {
	return []string{`network = "egress"`, fmt.Sprintf("egress {\n      allow = %s\n    }", encode(allow))}
}

// echoServer sends back what it gets, until the test has ended.
func echoServer(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

// TestEgress has containers reach what they may, and nothing else.
func TestEgress(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		listed, other := echoServer(t), echoServer(t)
		g := startContainerGateway(t,
			e.probe("out", "stdio", egressTo(listed, "api.github.com:443")...),
			e.probe("web", "http 127.0.0.1:8000", append(egressTo(other), "port = 8000", `path = "/any"`)...),
			e.probe("none", "stdio"),
			e.probe("bridged", "stdio", `network = "bridge"`),
		)
		g.awaitTools(t, "out", "web", "none", "bridged")
		for _, door := range g.doors(t) {
			checkEcho(t, door, "out")
			checkEcho(t, door, "web")
		}
		c := modern(t, g.url)
		for _, call := range []struct {
			tool      string
			arguments object
			want      string
		}{
			{"out_tunnel", object{"target": listed}, "HTTP/1.1 200 Connection established\r\n\r\nhello"},
			{"out_tunnel", object{"target": other}, `403 Forbidden`},
			{"out_tunnel", object{"target": other}, `mcpagg: upstream "out": ` + other + " is not listed"},
			{"out_tunnel", object{"target": "169.254.169.254:80"}, "403 Forbidden"},
			{"out_tunnel", object{"target": "evil.example.com:443"}, `add "evil.example.com:443" to container.egress.allow`},
			{"out_tunnel", object{"target": "api.github.com:443"}, "502 Bad Gateway"}, // there is no name server
			{"web_tunnel", object{"target": other}, "HTTP/1.1 200 Connection established\r\n\r\nhello"},
			{"web_tunnel", object{"target": listed}, "403 Forbidden"},
			{"out_dial", object{"address": listed}, "connection refused"},
			{"out_dial", object{"address": strings.TrimPrefix(g.url[:strings.LastIndex(g.url, "/")], "http://")}, "connection refused"},
			{"out_dial", object{"address": "169.254.169.254:80"}, "network is unreachable"},
			{"out_dial", object{"address": "192.0.2.1:443"}, "network is unreachable"},
			{"out_dial", object{"address": "[2001:db8::1]:443"}, "connect: "},
			{"out_dial", object{"address": "api.github.com:443"}, "lookup api.github.com"},
			{"none_tunnel", object{"target": listed}, "127.0.0.1:3128: connect: connection refused"}, // no other container has the proxy
			{"bridged_tunnel", object{"target": listed}, "127.0.0.1:3128: connect: connection refused"},
			{"out_read", object{"path": "/run/mcpagg/out.sock"}, "no such file"},
			{"out_variable", object{"name": "https_proxy"}, `"http://127.0.0.1:3128" true`},
		} {
			if got := text(t, c, call.tool, call.arguments); !strings.Contains(got, call.want) {
				t.Errorf("%s %v gives %q, want %q", call.tool, call.arguments, got, call.want)
			}
		}
		said := strings.Split(text(t, c, "out_confinement", object{}), "\n")
		for _, want := range []string{"interfaces=lo", "CapEff=0000000000000000", "NoNewPrivs=1", "writable /=false"} {
			if !slices.Contains(said, want) {
				t.Errorf("no %q in\n%s", want, said)
			}
		}
		for _, want := range []string{
			`msg="egress allowed" upstream=out to=` + listed, `msg="egress ended" upstream=out to=` + listed,
			`msg="egress refused" upstream=out to=169.254.169.254:80`, `msg="egress refused" upstream=web to=` + listed,
		} {
			if !strings.Contains(g.stderr.String(), want) {
				t.Errorf("the log lacks %s", want)
			}
		}
	})
}

// TestEgressRelayDies kills what holds the network of a container.
func TestEgressRelayDies(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		listed := echoServer(t)
		g := startContainerGateway(t, e.probe("out", "deaf", egressTo(listed)...))
		g.awaitTools(t, "out")
		c := modern(t, g.url)
		relays := slices.DeleteFunc(e.containersOf(t, g), func(name string) bool { return !strings.HasSuffix(name, "-egress") })
		if len(relays) != 1 {
			t.Fatalf("the relays are %v", relays)
		}
		got := strings.TrimSpace(e.run(t, "inspect", "--format",
			"{{.HostConfig.NetworkMode}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.ReadonlyRootfs}} {{.Config.User}}", relays[0]))
		if want := fmt.Sprintf("none %d 32 true 65534:65534", 64<<20); got != want {
			t.Errorf("the relay has %s, want %s", got, want)
		}
		if err := e.kill(relays[0]); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string {
			if got := g.status(t, "out").LastError; !strings.Contains(got, "the container was ended, since the one that holds its network has: it was killed") {
				return fmt.Sprintf("the error is %q", got)
			}
			return ""
		})
		eventuallyText(t, c, "out_tunnel", object{"target": listed}, "\r\n\r\nhello")
		if got := e.containersOf(t, g); len(got) != 2 || slices.Contains(got, relays[0]) {
			t.Errorf("the containers are %v, with the relay %s before", got, relays[0])
		}
		g.stop(t)
		left, err := filepath.Glob(filepath.Join(g.home, ".local/state/mcpagg/run/containers/*/s"))
		if err != nil || len(left) > 0 {
			t.Errorf("sockets are left: %v, %v", left, err)
		}
	})
}
