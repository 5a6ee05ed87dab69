package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestEntraDemo runs examples/entra-demo in both modes, signs in there with its own
// client, and stops it.
func TestEntraDemo(t *testing.T) {
	for mode, config := range map[string]string{"broker": "gateway.hcl", "entra-compat": "compat.hcl"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			runEntraDemo(t, config)
		})
	}
}

func runEntraDemo(t *testing.T, config string) {
	example, err := filepath.Abs("../../examples/entra-demo")
	if err != nil {
		t.Fatal(err)
	}
	client := buildClient(t)
	h := newHome(t)
	entra := freeAddress(t)
	h.env = append(h.env, "MCPAGG=mcpagg", "ENTRA_DEMO=http://"+entra, "ENTRA_DEMO_ADMIN=127.0.0.1:0", "ENTRA_DEMO_CONFIG="+config)
	demo := startDemo(t, h, filepath.Join(example, "run.sh"), 2, "--listen", "127.0.0.1:0")
	for _, tt := range []struct {
		args []string
		want string // in what it prints
	}{
		{[]string{"--as", "alice@contoso.example"}, "clock_now"},
		{[]string{"--as", "alice@contoso.example", "notes_add", `{"text": "buy milk"}`}, "Noted as number 1."},
		{[]string{"--as", "alice@contoso.example", "notes_list"}, "1. buy milk"},
		{[]string{"--as", "bob@contoso.example", "notes_list"}, "There are no notes."},
		{[]string{"--as", "dave@contoso.example", "notes_list"}, "There are no notes."}, // with groups from Graph
		{[]string{"--as", "dave@contoso.example", "notes_add", `{"text": "drink it"}`}, "Noted as number 1."},
		{[]string{"--as", "carol@contoso.example", "notes_list"}, "There are no notes."},
		{[]string{"--as", "carol@contoso.example", "notes_add", `{"text": "buy wine"}`}, `unknown tool`}, // as a guest
		{[]string{"--as", "erin@contoso.example", "notes_list"}, "AADSTS50057: The user account is disabled."},
	} {
		cmd := exec.Command(client, append([]string{"--url", demo.url}, tt.args...)...)
		if out, err := cmd.CombinedOutput(); !strings.Contains(string(out), tt.want) {
			t.Errorf("%q prints %s (%v); want %q in it", tt.args, out, err, tt.want)
		}
	}
	for _, want := range []string{"dave@contoso.example", "300 groups", "admin API: http://127.0.0.1:"} {
		if !strings.Contains(demo.written(), want) {
			t.Errorf("nothing says %q", want)
		}
	}
	_ = demo.signal(t, syscall.SIGTERM) // its exit code is that of the signal
	if conn, err := net.Dial("tcp", entra); err == nil {
		conn.Close()
		t.Error("the stand-in still runs")
	}
}

// buildClient is a program that signs in and calls tools.
func buildClient(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "client")
	if out, err := exec.Command("go", "build", "-o", path, "../../examples/entra-demo/client").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// startDemo starts the script of an example, and waits until its gateway has so many
// upstreams, and knows the provider.
func startDemo(t *testing.T, h *home, script string, upstreams int, args ...string) *gatewayProcess {
	t.Helper()
	g := &gatewayProcess{home: h, exited: make(chan error, 1)}
	g.cmd = exec.Command(script, args...)
	g.cmd.Env, g.cmd.Stdout, g.cmd.Stderr = h.env, g, g
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { g.exited <- g.cmd.Wait() }()
	t.Cleanup(func() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by now
		<-g.exited
		if t.Failed() {
			t.Logf("the example wrote:\n%s", g.written())
		}
	})
	eventually(t, func() string {
		g.url = regexp.MustCompile(`http://127\.0\.0\.1:\d+/mcp`).FindString(g.written())
		if g.url == "" || !strings.Contains(g.written(), fmt.Sprintf("generation=%d", upstreams)) {
			return "no URL or no upstreams in " + g.written()
		}
		return ""
	})
	eventually(t, func() string {
		if s := h.status(t); s.SignIn != nil && s.SignIn[0].Keys == 0 {
			return "the provider's keys are not known: " + s.SignIn[0].LastError
		}
		return ""
	})
	return g
}

// TestOwnTeam runs examples/own-team, where people change the repositories of their
// own team.
func TestOwnTeam(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../examples/own-team/run.sh")
	if err != nil {
		t.Fatal(err)
	}
	client := buildClient(t)
	h := newHome(t)
	h.env = append(h.env, "MCPAGG=mcpagg", "ENTRA_DEMO=http://"+freeAddress(t), "ENTRA_DEMO_ADMIN=127.0.0.1:0")
	demo := startDemo(t, h, script, 1, "--listen", "127.0.0.1:0")
	const (
		alice = "alice@contoso.example" // platform and data
		bob   = "bob@contoso.example"   // data
		carol = "carol@contoso.example" // neither

		create  = `{"owner": "contoso", "repo": "%s", "title": "Rename it"}`
		denied  = "This repository belongs to another team."
		unowned = "Ask for access at https://access.contoso.com/mcp"
		opened  = `"title":"Rename it"`
	)
	printed := map[string]string{}
	for _, tt := range []struct{ who, tool, arguments, want string }{
		{alice, "github_create_issue", fmt.Sprintf(create, "shop"), opened},
		{bob, "github_create_issue", fmt.Sprintf(create, "site"), opened},
		{bob, "github_create_issue", fmt.Sprintf(create, "Site"), opened},
		{bob, "github_create_issue", fmt.Sprintf(create, "shop"), denied},
		{bob, "github_create_issue", fmt.Sprintf(create, "../contoso/site"), unowned},
		{alice, "github_create_issue", fmt.Sprintf(create, "unknown"), unowned},
		{carol, "github_create_issue", fmt.Sprintf(create, "site"), denied},
		{carol, "github_list_issues", `{"owner": "contoso", "repo": "shop"}`, opened},
		{carol, "github_list_issues", `{"owner": "contoso", "repo": "unknown"}`, unowned},
		{carol, "github_search_repositories", `{"query": "shop"}`, "contoso/shop"},
		{alice, "github_delete_repository", `{"owner": "contoso", "repo": "shop"}`, "unknown tool"},
	} {
		out, err := exec.Command(client, "--url", demo.url, "--as", tt.who, tt.tool, tt.arguments).CombinedOutput()
		if !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: %s %s prints %s (%v); want %q in it", tt.who, tt.tool, tt.arguments, out, err, tt.want)
		}
		printed[tt.arguments+tt.who] = regexp.MustCompile(`Reference: \w+`).ReplaceAllString(string(out), "Reference: K7QXM2VATB")
	}
	for _, repo := range []string{"site", "shop"} {
		arguments := fmt.Sprintf(create, repo)
		inReadme(t, "../../examples/own-team/README.md",
			"$ $client --as "+bob+" github_create_issue '"+arguments+"'\n"+printed[arguments+bob])
	}
}

// inReadme checks that the page of an example shows what the client prints.
func inReadme(t *testing.T, path, shown string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), shown) {
		t.Errorf("%s does not show this:\n%s", path, shown)
	}
}

// startFakeEntra runs mcpagg dev fake-entra until the end of the test, and returns
// what it prints for gateway.hcl.
func startFakeEntra(t *testing.T, h *home) (block string) {
	t.Helper()
	fake := &gatewayProcess{home: h, exited: make(chan error, 1)}
	fake.cmd = h.command("dev", "fake-entra", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	fake.cmd.Stdout, fake.cmd.Stderr = fake, fake
	if err := fake.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { fake.exited <- fake.cmd.Wait() }()
	t.Cleanup(func() {
		if err := fake.signal(t, syscall.SIGTERM); err != nil {
			t.Errorf("the stand-in ends with %v", err)
		}
	})
	eventually(t, func() string {
		if !strings.Contains(fake.written(), `group "data"`) {
			return "no groups in " + fake.written()
		}
		return ""
	})
	_, block, _ = strings.Cut(fake.written(), "In gateway.hcl:\n\n")
	return block
}

// TestFakeEntraBlock has a gateway take what the stand-in prints for it.
func TestFakeEntraBlock(t *testing.T) {
	h := newHome(t)
	h.write(t, "gateway.hcl", startFakeEntra(t, h)+"\n"+clockBlock)
	if stdout, stderr, code := h.run(t, "fmt", "--check", "gateway.hcl"); code != 0 {
		t.Errorf("the block is not formatted: %s%s", stdout, stderr)
	}
	g := h.start(t)
	eventually(t, func() string {
		if code, body := g.get(t, "/health/ready"); code != 200 || !strings.Contains(body, `"keys": 2`) {
			return body
		}
		return ""
	})
}
