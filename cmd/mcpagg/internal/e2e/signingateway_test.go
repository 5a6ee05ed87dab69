//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// upstreamTools are what the gateways that people sign in to publish: one tool
// of a server over HTTP, and one of a process.
var upstreamTools = []string{"recorder_echo", "talker_echo"}

// clockSkew is what the gateways allow.
const clockSkew = time.Second

// A signInGateway is one that people have to sign in to. It logs as much as it
// can, and what its upstreams are sent is kept, so that all can be searched for
// what must not be there.
type signInGateway struct {
	*gateway
	public   string // URL of the MCP endpoint for clients
	admin    string // URL
	recorder *recorder
}

// A signInConfig is what gateways that people have to sign in to differ in.
type signInConfig struct {
	server string // further attributes of the server block, a line each
	blocks string // the auth block, and maybe others
	env    []string
	flags  []string
}

// startSignInGateway runs a gateway with an auth block.
func startSignInGateway(t testing.TB, c signInConfig) *signInGateway {
	t.Helper()
	g := &signInGateway{recorder: startRecorder(t)}
	talker := recorded(t, "talker", newSandbox(t).write(t, "talker.json", encode(object{"tools": []any{echoTool}})))
	talker.env[talkativeEnv] = "yes"
	s, port := newSandbox(t), freePort(t)
	s.write(t, "gateway.hcl", c.file(upstream{label: "recorder", url: g.recorder.url}, talker))
	g.admin = fmt.Sprintf("http://127.0.0.1:%d", port)
	g.gateway = s.serve(t, c.env, append(c.flags, "--log-level", "debug", "--admin", strings.TrimPrefix(g.admin, "http://"))...)
	g.public = g.url
	eventually(t, func() string { // a client that lists the tools before sees some of them
		for _, label := range []string{"recorder", "talker"} {
			if !strings.Contains(g.stderr.String(), "msg=connected upstream="+label) {
				return label + " is not connected"
			}
		}
		return ""
	})
	return g
}

// file is the gateway.hcl with upstreams.
func (c signInConfig) file(upstreams ...upstream) []byte {
	const server = "server {\n"
	return append([]byte(c.blocks), bytes.Replace(configuration(upstreams), []byte(server), []byte(server+c.server), 1)...)
}

var echoTool = object{"name": "echo", "inputSchema": object{
	"type": "object", "properties": object{"message": object{"type": "string"}},
}}

// A recorder is an MCP server with an echo tool that keeps all that it is sent.
type recorder struct {
	url string

	mu       sync.Mutex
	sent     bytes.Buffer // guarded by mu
	problems []string     // guarded by mu
}

func startRecorder(t testing.TB) *recorder {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "recorder", Version: "1"}, nil)
	type arguments struct {
		Message string `json:"message"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, a arguments) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: a.Message}}}, nil, nil
	})
	r := &recorder{}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.record(req)
		handler.ServeHTTP(w, req)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	r.url = s.URL + "/mcp"
	return r
}

// record keeps a request, and notes what no upstream may get.
func (r *recorder) record(req *http.Request) {
	body, err := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.problems = append(r.problems, err.Error())
	}
	fmt.Fprintf(&r.sent, "%s %s\n", req.Method, req.URL)
	_ = req.Header.Write(&r.sent) // into memory
	r.sent.Write(body)
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Forwarded", "X-Forwarded-For", "Origin", "Referer"} {
		if req.Header.Get(name) != "" {
			r.problems = append(r.problems, fmt.Sprintf("%s %s came with %s", req.Method, req.URL, name))
		}
	}
}

// checkSecrets searches everything that came out of the gateway for what the
// provider and the clients keep from others.
func (g *signInGateway) checkSecrets(t *testing.T, p provider) {
	pieces := secretPieces(t, p.journal())
	for name, text := range g.outputs(t) {
		for i := range len(text) - pieceSize + 1 {
			if whose := pieces[text[i:i+pieceSize]]; whose != "" {
				t.Errorf("%s has a part of a secret from %s, after %q", name, whose, text[max(0, i-100):i])
				break
			}
		}
	}
	g.recorder.mu.Lock()
	defer g.recorder.mu.Unlock()
	for _, problem := range g.recorder.problems {
		t.Errorf("the upstream: %s", problem)
	}
}

// pieceSize is how many bytes of a secret nothing else has by chance.
const pieceSize = 16

// secretPieces cuts all secrets of a journal to pieces, so that one is found even
// where a part of it is missing, and says whose request each was in.
func secretPieces(t testing.TB, journal []journalEntry) map[string]string {
	t.Helper()
	pieces, users := map[string]string{}, map[string]bool{}
	for _, e := range journal {
		users[e.User] = true
		for _, secret := range e.Secrets {
			if len(secret) < pieceSize {
				t.Errorf("%s has a secret of only %d bytes", e, len(secret))
			}
			secret = secretPart(secret)
			for _, form := range []string{secret, url.QueryEscape(secret)} {
				for len(form) >= pieceSize {
					pieces[form[:pieceSize]] = e.String()
					form = form[pieceSize:]
				}
			}
		}
	}
	if len(pieces) < 100*len(users) {
		t.Errorf("the provider has only %d pieces of secrets for %d users", len(pieces), len(users))
	}
	return pieces
}

// secretPart is what must not get around of a secret. Where it begins with the id of
// what it is for, which the log may name, that is what comes after it.
func secretPart(secret string) string {
	const (
		refresh = "mcpagg_rt_"
		id      = 27 // characters, with the number that follows
	)
	if rest, ok := strings.CutPrefix(secret, refresh); ok {
		return rest[id:]
	}
	parts := strings.Split(secret, ".")
	if len(parts) == 2 && len(parts[1]) >= pieceSize {
		return parts[1]
	}
	return secret
}

// outputs is everything that came out of the gateway, by where it did.
func (g *signInGateway) outputs(t testing.TB) map[string]string {
	t.Helper()
	g.recorder.mu.Lock()
	all := map[string]string{"the upstream": g.recorder.sent.String()}
	g.recorder.mu.Unlock()
	for _, path := range []string{"/metrics", "/health/ready"} {
		all[path] = get(t, g.admin+path)
	}
	mcpagg := os.Getenv(binaryEnv)
	for _, command := range [][]string{
		{"status"}, {"status", "--json"}, {"config", "show"}, {"validate", "--json"}, {"reload"},
	} {
		stdout, stderr, _ := g.try(t, nil, append([]string{mcpagg}, command...)...)
		all["mcpagg "+strings.Join(command, " ")] = stdout + stderr
	}
	all["the gateway"] = g.stderr.String()
	if !strings.Contains(all["the gateway"], `"method":"tools/call"`) && !strings.Contains(all["the gateway"], `\"method\":\"tools/call\"`) {
		t.Error("the process behind the gateway has not written what it was sent")
	}
	err := filepath.WalkDir(g.home, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(file)
		all[file] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range all {
		if text == "" && !strings.HasPrefix(name, g.home) {
			t.Errorf("%s has nothing to search", name)
		}
	}
	return all
}

func get(t testing.TB, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
