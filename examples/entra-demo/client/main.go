// Command client signs in to a gateway, as any MCP client does, and calls a tool
// or lists all of them.
//
//	go run ./examples/entra-demo/client notes_add '{"text": "buy milk"}'
//
// It prints the address to open in a browser. With --as it is the browser itself,
// and fills in the pages of the gateway and of the stand-in for Entra.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func main() {
	endpoint := flag.String("url", "http://127.0.0.1:8081/mcp", "URL of the gateway's MCP endpoint")
	as := flag.String("as", "", "sign in as this person, such as alice@contoso.example, without a browser")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *endpoint, *as, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, endpoint, as string, args []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the end of the sign-in: %w", err)
	}
	s := &signIn{answers: make(chan url.Values, 1), as: as}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // it ends with Close alone
	defer server.Close()
	handler, err := s.handler(listener)
	if err != nil {
		return err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "entra-demo", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: handler}, nil)
	if err != nil {
		return err
	}
	defer session.Close()
	if len(args) == 0 {
		return list(ctx, session)
	}
	return call(ctx, session, args)
}

func list(ctx context.Context, session *mcp.ClientSession) error {
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return fmt.Errorf("listing the tools: %w", err)
		}
		fmt.Printf("%-12s %s\n", tool.Name, tool.Description)
	}
	return nil
}

// call calls the tool args[0] with the JSON object args[1], or none.
func call(ctx context.Context, session *mcp.ClientSession, args []string) error {
	arguments := json.RawMessage("{}")
	if len(args) > 1 {
		arguments = json.RawMessage(args[1])
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: args[0], Arguments: arguments})
	if err != nil {
		return fmt.Errorf("calling %s: %w", args[0], err)
	}
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok {
			fmt.Println(text.Text)
		}
	}
	if result.IsError {
		return errors.New("the tool reports an error")
	}
	return nil
}

// callbackPath is where the browser comes back to.
const callbackPath = "/callback"

// A signIn is where the browser comes back to.
type signIn struct {
	answers chan url.Values
	as      string
}

// handler registers with the gateway and has the person sign in, when the gateway
// asks for it.
func (s *signIn) handler(listener net.Listener) (*auth.AuthorizationCodeHandler, error) {
	redirect := fmt.Sprintf("http://localhost:%d%s", listener.Addr().(*net.TCPAddr).Port, callbackPath)
	return auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "entra-demo", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"},
		}},
		AuthorizationCodeFetcher: s.fetchCode,
	})
}

// ServeHTTP takes the answer that the browser brings.
func (s *signIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != callbackPath {
		http.NotFound(w, r)
		return
	}
	answer := r.URL.Query()
	select {
	case s.answers <- answer:
	default: // a second one
	}
	title, text := "You are signed in", "You can close this window, and go back to the terminal."
	if answer.Get("error") != "" {
		title, text = "You are not signed in", "The terminal says why. You can close this window."
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, page, title, title, text)
}

// page is what the person sees at the end: a title twice, and a text.
const page = `<!DOCTYPE html><html lang="en"><meta name="viewport" content="width=device-width"><title>%s</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; color: #1c2333; max-width: 26rem; margin: 20vh auto; padding: 0 1.5rem } h1 { font-size: 1.5rem }</style>
<h1>%s</h1><p>%s</p></html>
`

// fetchCode waits for the browser to come back with a code.
func (s *signIn) fetchCode(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	if s.as == "" {
		fmt.Fprintf(os.Stderr, "Open this in a browser:\n\n  %s\n\n", args.URL)
	} else if err := browse(ctx, args.URL, s.as); err != nil {
		return nil, err
	}
	select {
	case a := <-s.answers:
		if a.Get("error") != "" {
			return nil, fmt.Errorf("signing in: %s: %s", a.Get("error"), a.Get("error_description"))
		}
		return &auth.AuthorizationResult{Code: a.Get("code"), State: a.Get("state"), Iss: a.Get("iss")}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	complaint  = regexp.MustCompile(`role="alert">([^<]*)<`)
)

// mostPages bounds how many pages a sign-in has.
const mostPages = 5

// browse goes through the pages of the gateway and of the stand-in, up to the
// callback: it lets the program in, and signs in.
func browse(ctx context.Context, address, as string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar}
	page, at, err := visit(ctx, browser, http.MethodGet, address, nil)
	for range mostPages {
		action := formAction.FindStringSubmatch(page)
		switch {
		case err != nil:
			return err
		case action == nil && at.Path == callbackPath: // this program has been called back
			return nil
		case action == nil:
			return fmt.Errorf("the sign-in ends at %s://%s%s; open it in a browser to see why", at.Scheme, at.Host, at.Path)
		}
		form := url.Values{}
		for _, field := range formHidden.FindAllStringSubmatch(page, -1) {
			form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
		}
		switch {
		case strings.Contains(page, `name="answer" value="approve"`):
			form.Set("answer", "approve")
		case strings.Contains(page, `name="answer" value="accept"`):
			form.Set("answer", "accept")
		case strings.Contains(page, `name="login"`):
			form.Set("login", as)
			form.Set("passwd", "anything")
		}
		to, parseErr := at.Parse(html.UnescapeString(action[1]))
		if parseErr != nil {
			return fmt.Errorf("the form at %s is sent nowhere: %w", at, parseErr)
		}
		page, at, err = visit(ctx, browser, http.MethodPost, to.String(), form)
		if wrong := complaint.FindStringSubmatch(page); err == nil && wrong != nil {
			return fmt.Errorf("%s says: %s", at.Host, html.UnescapeString(wrong[1]))
		}
	}
	return fmt.Errorf("there is no end of forms, the last one at %s", at)
}

// visit returns a page, and where redirects have led.
func visit(ctx context.Context, browser *http.Client, method, address string, form url.Values) (string, *url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := browser.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(page), resp.Request.URL, err
}
