package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
)

// TestCallSignedIn calls a tool through a gateway that wants to know who calls.
func TestCallSignedIn(t *testing.T) {
	gateway := startSignedIn(t, "the-token")
	h := newHome(t)
	h.write(t, "token", "Bearer the-token\n")
	h.write(t, "wrong", "another-token")
	call := func(more ...string) []string {
		return append([]string{"call", "notes_add", "--input", `{"text":"hello"}`, "--url", gateway}, more...)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{call("--token-file", "token"), 0, "Noted as number 1."},
		{call(), exitRunTime, "give it the access token of somebody who has signed in, with --token-file"},
		{call("--token-file", "wrong"), exitRunTime, "sign-in required"},
		{call("--token-file", "missing"), exitUsage, "--token-file: open missing"},
		{[]string{"call", "notes_add", "--token-file", "token"}, exitUsage, "goes with --url"},
	} {
		stdout, stderr, code := h.run(t, tt.args...)
		if code != tt.code || !strings.Contains(stdout+stderr, tt.want) || strings.Contains(stdout+stderr, "another-token") {
			t.Errorf("%q exits with %d: %s%s", tt.args, code, stdout, stderr)
		}
	}
}

// startSignedIn runs a gateway with the notes that takes one token, and returns
// its endpoint.
func startSignedIn(t *testing.T, token string) string {
	t.Helper()
	notes := newNotesServer()
	server := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return notes }, nil))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := aggregator.New(aggregator.Options{
		Upstreams: []aggregator.Upstream{{Options: upstream.Options{Name: "notes", URL: u}, Prefix: "notes"}},
		Log:       slog.New(slog.DiscardHandler),
		Authenticate: func(r *http.Request) (*oauth.Caller, *oauth.Refusal) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				return nil, &oauth.Refusal{Status: http.StatusUnauthorized, Challenge: "Bearer", Message: "sign-in required"}
			}
			return &oauth.Caller{ID: "ann"}, nil
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-stopped
	})
	front := httptest.NewServer(g.Handler())
	t.Cleanup(front.Close)
	if err := g.Settled(ctx); err != nil {
		t.Fatal(err)
	}
	return front.URL + "/mcp"
}
