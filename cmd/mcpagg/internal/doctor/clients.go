package doctor

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
)

// A Client is an MCP client, and how it is told of a gateway.
type Client struct {
	Name  string // on the command line
	Title string
	// Where says where the snippet belongs: "in a terminal".
	Where string
	// Next says what opens the browser, after the snippet.
	Next string
	// Redirects are where it has people sent back to, as they are registered with
	// Entra: on localhost without the port, which is another each time.
	Redirects []string

	snippet string // URL stands for that of the MCP endpoint
	also    string // a redirect URI of some versions; ID stands for what they make of the URL
}

// Clients are those that are known, in the order of docs/clients.md.
var Clients = []Client{
	{
		Name: "claude", Title: "Claude Code", Where: "in a terminal",
		Next:      "in Claude Code: /mcp, then gateway, Authenticate",
		Redirects: []string{"http://localhost/callback"},
		snippet:   "claude mcp add --transport http gateway URL",
	},
	{
		Name: "opencode", Title: "OpenCode", Where: "in opencode.json",
		Next:      "in a terminal: opencode mcp auth gateway",
		Redirects: []string{"http://127.0.0.1:19876/mcp/oauth/callback"},
		snippet: `{
  "mcp": {
    "gateway": {
      "type": "remote",
      "url": "URL",
      "enabled": true
    }
  }
}`,
	},
	{
		Name: "vscode", Title: "VS Code", Where: "in .vscode/mcp.json",
		Next:      "Start, above the entry",
		Redirects: []string{"http://127.0.0.1:33418/", "https://vscode.dev/redirect"},
		snippet: `{
  "servers": {
    "gateway": {
      "type": "http",
      "url": "URL"
    }
  }
}`,
	},
	{
		Name: "cursor", Title: "Cursor", Where: "in ~/.cursor/mcp.json",
		Next:      "Settings, MCP, gateway, Needs login",
		Redirects: []string{"cursor://anysphere.cursor-mcp/oauth/callback"},
		snippet: `{
  "mcpServers": {
    "gateway": {
      "url": "URL"
    }
  }
}`,
	},
	{
		Name: "codex", Title: "Codex", Where: "in ~/.codex/config.toml",
		Next:      "in a terminal: codex mcp login gateway",
		Redirects: []string{"http://127.0.0.1:1456/callback"},
		also:      "http://127.0.0.1:1456/callback/ID",
		snippet: `mcp_oauth_callback_port = 1456

[mcp_servers.gateway]
url = "URL"`,
	},
	{
		Name: "gemini", Title: "Gemini CLI", Where: "in ~/.gemini/settings.json",
		Next:      "in Gemini CLI: /mcp auth gateway",
		Redirects: []string{"http://localhost/oauth/callback"},
		snippet: `{
  "mcpServers": {
    "gateway": {
      "type": "http",
      "url": "URL"
    }
  }
}`,
	},
	{
		Name: "mcp-remote", Title: "mcp-remote", Where: "in the settings of a client that only starts programs",
		Next:      "the browser opens when the client starts it",
		Redirects: []string{"http://localhost/oauth/callback"},
		snippet: `{
  "mcpServers": {
    "gateway": {
      "command": "npx",
      "args": ["-y", "mcp-remote", "URL"]
    }
  }
}`,
	},
	{
		Name: "inspector", Title: "MCP Inspector", Where: "in a terminal",
		Next:      "the browser opens",
		Redirects: []string{"http://127.0.0.1:6276/oauth/callback"},
		snippet:   "npx @modelcontextprotocol/inspector --cli URL --transport http --method tools/list",
	},
	{
		Name: "claude-ai", Title: "Claude.ai and Claude Desktop", Where: "in Settings, Connectors, Add custom connector",
		Next:      "Connect",
		Redirects: []string{"https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"},
		snippet:   "URL",
	},
}

// ClientNames are the names of the clients, in their order.
func ClientNames() []string {
	var names []string
	for _, c := range Clients {
		names = append(names, c.Name)
	}
	return names
}

// FindClient looks a client up by its name; nil if there is none.
func FindClient(name string) *Client {
	i := slices.IndexFunc(Clients, func(c Client) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &Clients[i]
}

// Snippet is what has to be pasted for an MCP endpoint.
func (c *Client) Snippet(endpoint string) string {
	return strings.ReplaceAll(c.snippet, "URL", endpoint)
}

// Also is a redirect URI that only some versions of the client have; "" if there is
// none. Those of Codex put an identifier of the endpoint behind theirs.
func (c *Client) Also(endpoint string) string {
	digest := sha256.Sum256([]byte(endpoint))
	return strings.ReplaceAll(c.also, "ID", base64.RawURLEncoding.EncodeToString(digest[:9]))
}
