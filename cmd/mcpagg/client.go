package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// targetFlags say which gateway a command works with: one that runs, by URL,
// or one of its own, from a configuration.
type targetFlags struct {
	config    []string
	url       string
	headers   []string
	tokenFile string
	timeout   time.Duration
}

func (f *targetFlags) add(cmd *cobra.Command) {
	addConfigFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", "", "MCP endpoint of a running gateway, instead of a configuration")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, `header to send to --url, as "Name: value" (repeatable)`)
	flags.StringVar(&f.tokenFile, "token-file", "", "file with an access token for --url, of somebody who has signed in")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "longest time to connect, and to wait for an answer")
	cmd.MarkFlagsMutuallyExclusive("config", "url")
}

// A client asks one gateway. Exactly one of the two is set.
type client struct {
	gateway *aggregator.Gateway // a gateway of the command's own
	remote  *upstream.Upstream  // one that runs elsewhere

	run func(context.Context) // keeps it connected until the context ends
}

// with connects, runs use and disconnects again.
func (f *targetFlags) with(ctx context.Context, stderr io.Writer, use func(context.Context, *client) error) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	c, err := f.client(stderr)
	if err != nil {
		return err
	}
	return connected(ctx, c, use)
}

// connected connects, runs use and disconnects again.
func connected(ctx context.Context, c *client, use func(context.Context, *client) error) error {
	var running sync.WaitGroup
	defer running.Wait()
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	running.Go(func() { c.run(runCtx) })
	if err := c.settle(ctx); err != nil {
		return &exitError{Code: exitRunTime, Err: err}
	}
	return use(ctx, c)
}

func (f *targetFlags) client(stderr io.Writer) (*client, error) {
	if f.url == "" {
		if f.tokenFile != "" {
			return nil, usageError("--token-file goes with --url: nobody has to sign in to a configuration that is tried out")
		}
		cfg, err := loadConfig(f.config, stderr)
		if err != nil {
			return nil, err
		}
		return ownGateway(cfg, stderr), nil
	}
	opts, err := f.remoteOptions(errorLog(stderr))
	if err != nil {
		return nil, err
	}
	u := upstream.New(opts)
	return &client{remote: u, run: u.Run}, nil
}

// ownGateway is a gateway of the command's own.
func ownGateway(cfg *config.Config, stderr io.Writer) *client {
	g := newGateway(cfg, errorLog(stderr))
	return &client{gateway: g, run: func(ctx context.Context) {
		defer cfg.CloseSecrets()
		g.Run(ctx)
	}}
}

// errorLog has nothing but errors.
func errorLog(stderr io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

func (f *targetFlags) remoteOptions(log *slog.Logger) (upstream.Options, error) {
	u, err := url.Parse(f.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return upstream.Options{}, usageError("--url %q is not a URL such as http://127.0.0.1:8080/mcp", f.url)
	}
	headers := map[string]upstream.Secret{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return upstream.Options{}, usageError(`--header needs "Name: value"`)
		}
		headers[strings.TrimSpace(name)] = func(context.Context) (string, error) { return strings.TrimSpace(value), nil }
	}
	token, err := f.token()
	if err != nil {
		return upstream.Options{}, err
	}
	return upstream.Options{
		Name: "gateway", URL: u, Headers: headers, Token: token, Log: log, ClientVersion: programVersion(),
		ConnectTimeout: f.timeout, CallTimeout: f.timeout,
	}, nil
}

// token is the one that requests to --url have, nil for none.
func (f *targetFlags) token() (upstream.Secret, error) {
	if f.tokenFile == "" {
		return nil, nil
	}
	token, err := readTokenFile(f.tokenFile)
	if err != nil {
		return nil, err
	}
	return func(context.Context) (string, error) { return token, nil }, nil
}

func (c *client) settle(ctx context.Context) error {
	if c.gateway != nil {
		return c.gateway.Settled(ctx)
	}
	select {
	case <-c.remote.Attempted():
	case <-ctx.Done():
		return ctx.Err()
	}
	if s := c.remote.Status(); s.State != upstream.Connected {
		return fmt.Errorf("connecting: %s%s", s.LastError, signInHint(s.LastError))
	}
	return nil
}

// signInHint is what to do where a gateway wants to know who calls.
func signInHint(problem string) string {
	if !strings.Contains(problem, "sign-in required") {
		return ""
	}
	return "\nThis gateway wants to know who calls: give it the access token of somebody who has signed in, with --token-file."
}

// tools lists what the gateway publishes. Origins are known only of a gateway
// of the command's own.
func (c *client) tools() []policy.Tool {
	tools := []policy.Tool{}
	if c.gateway != nil {
		for _, t := range c.gateway.Catalog().Tools() {
			tools = append(tools, t.Policy())
		}
		return tools
	}
	for _, raw := range c.remote.Listing().Tools {
		def, _ := rawjson.ParseObject(raw) // a definition that is no object has no name
		name, _ := def.GetString("name")
		tools = append(tools, policy.Tool{Published: name, Annotations: def.Get("annotations"), InputSchema: def.Get("inputSchema")})
	}
	return tools
}

// uncallable are the tools that no policy lets anybody use, as far as that is known.
func (c *client) uncallable() []policy.Uncallable {
	if c.gateway == nil || c.gateway.Catalog().Policy == nil {
		return nil
	}
	var objects []*policy.Object
	for _, t := range c.tools() {
		objects = append(objects, policy.ToolObject(t))
	}
	return c.gateway.Catalog().Policy.Uncallable(objects)
}

// call makes one tool call.
func (c *client) call(ctx context.Context, tool string, input json.RawMessage) (json.RawMessage, error) {
	params := rawjson.Object{}
	params.Set("name", rawjson.String(tool))
	params.Set("arguments", input)
	if c.remote != nil {
		return c.remote.Call(ctx, upstream.Call{Method: "tools/call", Params: params.Bytes()})
	}
	result, _, err := c.gateway.Serve(ctx, aggregator.Request{
		Caller: oauth.Anonymous, Era: upstream.LegacyEra, Method: "tools/call", Params: params,
	})
	return result, err
}
