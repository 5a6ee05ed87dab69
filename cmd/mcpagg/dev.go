package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"
)

func newDevCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dev",
		Short:   "Helpers for trying things out",
		Example: "  mcpagg dev upstream notes\n  mcpagg dev fake-entra",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDevUpstreamCommand(), newDevFakeEntraCommand())
	return cmd
}

// demos are the demonstration upstreams by name.
var demos = map[string]func() *mcp.Server{"notes": newNotesServer, "clock": newClockServer}

func newDevUpstreamCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "upstream notes|clock",
		Short: "Run a small MCP server on standard input and output",
		Long: `Run a small MCP server on standard input and output, for a first gateway.hcl that
needs nothing else installed. "notes" keeps notes in memory and offers tools, a
prompt and resources; "clock" tells the time.`,
		Example: `  upstream "notes" {
    command = ["mcpagg", "dev", "upstream", "notes"]
  }`,
		ValidArgs: sortedDemos(),
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			transport := &mcp.IOTransport{Reader: io.NopCloser(cmd.InOrStdin()), Writer: nopCloser{cmd.OutOrStdout()}}
			err := demos[args[0]]().Run(cmd.Context(), transport)
			if err == nil || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
				return nil
			}
			return &exitError{Code: exitRunTime, Err: err}
		},
	}
}

func sortedDemos() []string {
	var names []string
	for name := range demos {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// notes are the state of one notes server.
type notes struct {
	server *mcp.Server
	mu     sync.Mutex
	texts  []string // guarded by mu; note n is texts[n-1]
}

func newNotesServer() *mcp.Server {
	n := &notes{server: mcp.NewServer(&mcp.Implementation{Name: "notes", Version: programVersion()}, &mcp.ServerOptions{
		Instructions: "Keeps notes for as long as the server runs.",
		Capabilities: &mcp.ServerCapabilities{Resources: &mcp.ResourceCapabilities{ListChanged: true}},
	})}
	mcp.AddTool(n.server, &mcp.Tool{Name: "add", Description: "Add a note."}, n.add)
	mcp.AddTool(n.server, &mcp.Tool{
		Name: "list", Description: "List all notes.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	}, n.list)
	n.server.AddPrompt(&mcp.Prompt{Name: "summarize", Description: "Summarize all notes."}, n.summarize)
	return n.server
}

type addArgs struct {
	Text string `json:"text" jsonschema:"what to note down"`
}

func (n *notes) add(_ context.Context, _ *mcp.CallToolRequest, args addArgs) (*mcp.CallToolResult, any, error) {
	n.mu.Lock()
	n.texts = append(n.texts, args.Text)
	number := len(n.texts)
	n.mu.Unlock()
	uri := fmt.Sprintf("note:///%d", number)
	n.server.AddResource(&mcp.Resource{Name: fmt.Sprintf("note %d", number), URI: uri, MIMEType: "text/plain"},
		func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: "text/plain", Text: args.Text}}}, nil
		})
	return text("Noted as number %d.", number), nil, nil
}

func (n *notes) list(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
	return text("%s", n.all()), nil, nil
}

func (n *notes) summarize(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{
		Role: "user", Content: &mcp.TextContent{Text: "Summarize these notes:\n\n" + n.all()},
	}}}, nil
}

func (n *notes) all() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.texts) == 0 {
		return "There are no notes."
	}
	var b strings.Builder
	for i, t := range n.texts {
		fmt.Fprintf(&b, "%d. %s\n", i+1, t)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

type nowArgs struct {
	Zone string `json:"zone,omitempty" jsonschema:"IANA time zone such as Europe/Berlin; UTC if absent"`
}

func newClockServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "clock", Version: programVersion()}, nil)
	mcp.AddTool(server, &mcp.Tool{
		Name: "now", Description: "Tell the current time.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	}, func(_ context.Context, _ *mcp.CallToolRequest, args nowArgs) (*mcp.CallToolResult, any, error) {
		zone, err := time.LoadLocation(args.Zone)
		if err != nil {
			return nil, nil, fmt.Errorf("unknown time zone %q", args.Zone)
		}
		return text("%s", time.Now().In(zone).Format(time.RFC1123Z)), nil, nil
	})
	return server
}

func text(format string, args ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}
}
