//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// claudeClient is Claude Code, which has a command for signing in.
type claudeClient struct{ seat }

func openClaude(t testing.TB, s seat) signInClient {
	c := claudeClient{s}
	s.run(t, quietClaude, claude, "mcp", "add", "--transport", "http", "--scope", "user", "gateway", s.gateway)
	return c
}

// signIn gives it a terminal, without which it does not sign in.
func (c claudeClient) signIn(t testing.TB) {
	t.Helper()
	c.login(t, `(?i)authenticated|success`, quietClaude, "script", "-qfec", claude+" mcp login gateway", "/dev/null")
}

func (c claudeClient) use(t testing.TB, message string) (tools, results []string) {
	t.Helper()
	m := startModel(t, echoes("mcp__gateway__", message)...)
	c.prompt(t, m)
	return m.seen()
}

func (c claudeClient) prompt(t testing.TB, m *model) (printed string) {
	t.Helper()
	env := append([]string{"ANTHROPIC_BASE_URL=" + m.url, "ANTHROPIC_API_KEY=test", "ENABLE_TOOL_SEARCH=false"}, quietClaude...)
	return c.run(t, env, claude, "-p", "Call the tools.", "--output-format", "json", "--allowedTools", "mcp__gateway")
}

func (c claudeClient) refused(t testing.TB) (how string, asks bool) {
	t.Helper()
	m := startModel(t)
	c.prompt(t, m)
	if tools, _ := m.seen(); slices.ContainsFunc(tools, isPublished) {
		t.Fatalf("it still has %v", tools)
	}
	if list := c.run(t, quietClaude, claude, "mcp", "list"); !strings.Contains(list, "Needs authentication") {
		t.Fatalf("claude mcp list says\n%s", list)
	}
	return "`claude -p` goes on without the tools, `claude mcp list` says `Needs authentication`, and `claude mcp login` signs in", true
}

// openCodeClient is OpenCode, which has a command for signing in.
type openCodeClient struct{ seat }

func openOpenCode(_ testing.TB, s seat) signInClient { return openCodeClient{s} }

func (c openCodeClient) signIn(t testing.TB) {
	t.Helper()
	c.port.Lock()
	defer c.port.Unlock()
	c.configure(t, "http://127.0.0.1:9")
	c.login(t, `(?i)authenticat`, quietOpenCode, opencode, "mcp", "auth", "gateway")
}

func (c openCodeClient) configure(t testing.TB, model string) {
	t.Helper()
	c.write(t, "opencode.json", openCodeConfig(c.gateway, model))
}

func (c openCodeClient) use(t testing.TB, message string) (tools, results []string) {
	t.Helper()
	m := startModel(t, echoes("gateway_", message)...)
	c.configure(t, m.url)
	c.run(t, quietOpenCode, opencode, "run", "--format", "json", "Call the tools.")
	return m.seen()
}

func (c openCodeClient) refused(t testing.TB) (how string, asks bool) {
	t.Helper()
	m := startModel(t)
	c.configure(t, m.url)
	c.run(t, quietOpenCode, opencode, "run", "--format", "json", "Call the tools.")
	if tools, _ := m.seen(); slices.ContainsFunc(tools, isPublished) {
		t.Fatalf("it still has %v", tools)
	}
	if stdout, stderr, _ := c.try(t, quietOpenCode, opencode, "mcp", "list"); !strings.Contains(stdout+stderr, "needs authentication") {
		t.Fatalf("opencode mcp list says\n%s%s", stdout, stderr)
	}
	return "`opencode run` goes on without the tools, `opencode mcp list` says `needs authentication`, and `opencode mcp auth` signs in", true
}

// remoteClient is mcp-remote, a proxy that runs as long as its own client.
type remoteClient struct {
	seat
	proxy *stdioClient // nil until the first sign-in
}

func openRemote(_ testing.TB, s seat) signInClient { return &remoteClient{seat: s} }

func (c *remoteClient) signIn(t testing.TB) {
	t.Helper()
	if c.proxy == nil {
		c.proxy = stdio(t, c.sandbox, c.withBrowser(t, c.user), clients.bin("mcp-remote"), c.gateway, "--allow-http")
	}
}

func (c *remoteClient) use(t testing.TB, message string) (tools, results []string) {
	t.Helper()
	return useClient(t, c.proxy, message)
}

// useClient uses the tools through a client that hands back answers.
func useClient(t testing.TB, c client, message string) (tools, results []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	list, err := listTools(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range upstreamTools {
		results = append(results, outcome(callTool(ctx, c, tool, object{"message": message})))
	}
	return names(list), results
}

// refused lets the stream of mcp-remote end with the token. What comes of the
// attempt to open a new one is a sign-in whose answer mcp-remote does not listen
// for, and for the next ten seconds calls wait for that one.
func (c *remoteClient) refused(t testing.TB) (how string, asks bool) {
	t.Helper()
	eventually(t, func() string {
		if log := c.browserSays(); !strings.Contains(log, "connection refused") {
			return "the browser has not tried to call mcp-remote back: " + log
		}
		return ""
	})
	select {
	case <-time.After(11 * time.Second):
	case <-t.Context().Done():
	}
	useClient(t, c.proxy, "any")
	c.proxy.await(t, `Re-authorized with the remote server`)
	return "the call opens the browser, waits, and goes on; at the end of the token it has opened one already, whose answer it does not take", true
}

// inspectorClient is the Inspector's command line.
type inspectorClient struct{ seat }

func openInspector(_ testing.TB, s seat) signInClient { return inspectorClient{s} }

// command keeps tokens in a file, as the Inspector does where there is no
// keychain.
func (c inspectorClient) command(method string, options ...string) []string {
	return inspectorCommand([]string{c.gateway}, method, options...)
}

func (c inspectorClient) environment() []string {
	return []string{"MCP_AUTO_OPEN_ENABLED=true", "MCP_INSPECTOR_SECRET_STORE=file"}
}

func (c inspectorClient) signIn(t testing.TB) {
	t.Helper()
	c.port.Lock()
	defer c.port.Unlock()
	c.login(t, `"recorder_echo"`, c.environment(), c.command("tools/list")...)
}

func (c inspectorClient) use(t testing.TB, message string) (tools, results []string) {
	t.Helper()
	var list struct{ Tools []struct{ Name string } }
	c.answer(t, &list, c.command("tools/list", "--stored-auth-only"))
	for _, tool := range list.Tools {
		tools = append(tools, tool.Name)
	}
	for _, tool := range upstreamTools {
		var result struct{ Content []struct{ Text string } }
		c.answer(t, &result, c.command("tools/call", "--stored-auth-only", "--tool-name", tool, "--tool-arg", "message="+message))
		if len(result.Content) == 1 {
			results = append(results, result.Content[0].Text)
		}
	}
	return tools, results
}

func (c inspectorClient) answer(t testing.TB, result any, argv []string) {
	t.Helper()
	out := c.run(t, c.environment(), argv...)
	answer := struct{ Result any }{result}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v in %s", err, short(out))
	}
}

func (c inspectorClient) refused(t testing.TB) (how string, asks bool) {
	t.Helper()
	stdout, stderr, code := c.try(t, c.environment(), c.command("tools/list", "--stored-auth-only")...)
	if code == 0 || !strings.Contains(stderr, `"auth_required"`) {
		t.Fatalf("it exits with %d\n%s%s", code, stdout, stderr)
	}
	return "the next command opens the browser, or with `--stored-auth-only` fails with `auth_required`", true
}

// typeScriptClient is a running signin.mjs.
type typeScriptClient struct {
	seat
	*daemon
	lines *bufio.Scanner

	authorize string // where it waits for its user to sign in; "" if it does not
}

func openTypeScript(major string) func(testing.TB, seat) signInClient {
	return func(t testing.TB, s seat) signInClient {
		t.Helper()
		r, w := io.Pipe()
		argv := append(s.script(t, "signin.mjs"), major, s.gateway, fmt.Sprint(freePort(t)), s.id)
		c := &typeScriptClient{seat: s, daemon: s.start(t, w, nil, argv...), lines: bufio.NewScanner(r)}
		go func() {
			<-c.exited
			w.Close()
		}()
		return c
	}
}

// A typeScriptAnswer is a line that signin.mjs prints.
type typeScriptAnswer struct {
	Authorize, Text, Error string
	Tools                  []string
}

func (c *typeScriptClient) next(t testing.TB) (a typeScriptAnswer) {
	t.Helper()
	if !c.lines.Scan() {
		t.Fatalf("signin.mjs ends: %v\n%s", c.lines.Err(), c.stderr)
	}
	if err := json.Unmarshal(c.lines.Bytes(), &a); err != nil || a.Error != "" {
		t.Fatalf("%v in %s", err, c.lines.Text())
	}
	return a
}

func (c *typeScriptClient) ask(t testing.TB, tool, message string) typeScriptAnswer {
	t.Helper()
	if _, err := fmt.Fprintln(c.stdin, tool, message); err != nil {
		t.Fatal(err)
	}
	return c.next(t)
}

func (c *typeScriptClient) signIn(t testing.TB) {
	t.Helper()
	if c.authorize == "" {
		c.refused(t)
	}
	if _, err := browse(t.Context(), c.user, c.authorize); err != nil {
		t.Fatal(err)
	}
	c.authorize = ""
	if a := c.next(t); a.Text == "" {
		t.Fatalf("after signing in: %+v", a)
	}
}

func (c *typeScriptClient) use(t testing.TB, message string) (tools, results []string) {
	t.Helper()
	for _, tool := range upstreamTools {
		a := c.ask(t, tool, message)
		if a.Authorize != "" {
			t.Fatal("it asks to sign in again")
		}
		tools, results = a.Tools, append(results, a.Text)
	}
	return tools, results
}

func (c *typeScriptClient) refused(t testing.TB) (how string, asks bool) {
	t.Helper()
	a := c.ask(t, upstreamTools[0], "any")
	if c.authorize = a.Authorize; a.Authorize == "" {
		t.Fatalf("it does not ask to sign in: %+v", a)
	}
	return "the call throws `UnauthorizedError` once it has asked the program to send its user to sign in", true
}

// goClient is the Go SDK's client with its own handler for signing in.
type goClient struct {
	seat
	session *mcp.ClientSession
	asked   atomic.Int32 // how often it has asked for a code
}

func openGo(t testing.TB, s seat) signInClient {
	t.Helper()
	return &goClient{seat: s}
}

func (c *goClient) handler(t testing.TB) auth.OAuthHandler {
	t.Helper()
	redirect := fmt.Sprintf("http://127.0.0.1:%d/callback", freePort(t))
	h, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName:              "Go SDK",
			RedirectURIs:            []string{redirect},
			GrantTypes:              []string{"authorization_code", "refresh_token"},
			TokenEndpointAuthMethod: "none",
		}},
		RequestRefreshToken: true,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			c.asked.Add(1)
			return fetchCode(ctx, c.user, redirect, args.URL)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// fetchCode signs a user in and takes the callback.
func fetchCode(ctx context.Context, user, redirect, address string) (*auth.AuthorizationResult, error) {
	callback, err := url.Parse(redirect)
	if err != nil {
		return nil, err
	}
	answers := make(chan url.Values, 1)
	server := &http.Server{Addr: callback.Host, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case answers <- r.URL.Query():
		default: // a second one
		}
	})}
	go server.ListenAndServe()
	defer server.Close()
	if _, err := browse(ctx, user, address); err != nil {
		return nil, err
	}
	q := <-answers
	return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}

func (c *goClient) signIn(t testing.TB) {
	t.Helper()
	if c.session != nil {
		return // it has signed in as soon as it was refused
	}
	transport := &mcp.StreamableClientTransport{Endpoint: c.gateway, OAuthHandler: c.handler(t)}
	var err error
	c.session, err = mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.session.Close() })
}

func (c *goClient) use(t testing.TB, message string) (tools, results []string) {
	t.Helper()
	before := c.asked.Load()
	tools, results = c.try(t, message)
	if c.asked.Load() != before {
		t.Fatal("it asks to sign in again")
	}
	return tools, results
}

func (c *goClient) try(t testing.TB, message string) (tools, results []string) {
	t.Helper()
	list, err := c.session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		tools = append(tools, tool.Name)
	}
	for _, name := range upstreamTools {
		result, err := c.session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: object{"message": message}})
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, string(encode(result.Content)))
	}
	return tools, results
}

func (c *goClient) refused(t testing.TB) (how string, asks bool) {
	t.Helper()
	before := c.asked.Load()
	c.try(t, "any")
	if c.asked.Load() == before {
		t.Fatal("it does not ask to sign in")
	}
	return "the call asks the program for a code, waits, and goes on", true
}

// isPublished reports whether an agent's name for a tool is that of a published
// one.
func isPublished(name string) bool {
	return slices.ContainsFunc(upstreamTools, func(tool string) bool { return strings.HasSuffix(name, tool) })
}
