// Package upstream keeps the gateway connected to one MCP server behind it.
//
// An [Upstream] is built from [Options], runs until its context ends, and
// meanwhile holds the server's tools, prompts, resources and templates as the
// raw JSON the server sent ([Upstream.Listing]) and sends it requests
// ([Upstream.Call]):
//
//	u := upstream.New(upstream.Options{Name: "files", Command: []string{"mcp-server-files", "/srv"}})
//	go u.Run(ctx)
//	<-u.Attempted()
//	result, err := u.Call(ctx, upstream.Call{Method: "tools/call", Params: params})
//
// Results, errors and arguments pass through undecoded. The package speaks the
// protocol itself instead of through the SDK's client, which decodes every
// result into structs that lose fields, delivers an answer before the
// notifications that came ahead of it, and cannot tell which call a message of
// the server belongs to.
package upstream

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"time"
)

// Protocol says which revision of MCP to speak with an upstream.
type Protocol string

const (
	// Auto asks with server/discover first and falls back to initialize.
	Auto Protocol = "auto"
	// Legacy is the newest revision with the initialize handshake. Over HTTP
	// it is Streamable HTTP.
	Legacy Protocol = "2025-11-25"
	// Modern is the stateless revision.
	Modern Protocol = "2026-07-28"
	// SSE is the HTTP+SSE transport of revision 2024-11-05.
	SSE Protocol = "sse"
)

// A Secret yields a value that must never be printed, such as a token. It is
// asked each time the value is needed, so that rotation comes free.
type Secret func(context.Context) (string, error)

// Options describe one MCP server. Exactly one of Command and URL is set.
type Options struct {
	// Name is the upstream's label, [a-z][a-z0-9-]*. It appears in logs and errors.
	Name string

	// Command is a program and its arguments, to speak MCP with over stdio.
	Command []string
	// Env is added to the process's environment, which otherwise holds only
	// the gateway's own PATH, HOME and LANG.
	Env map[string]Secret
	// Dir is the process's working directory; "" is the gateway's own.
	Dir string

	// URL is the endpoint of an HTTP upstream.
	URL *url.URL
	// Headers are sent with every HTTP request. "Host" replaces the URL's host.
	Headers map[string]Secret
	// Token, if not nil, is sent as "Authorization: Bearer".
	Token Secret

	// Protocol is the revision to speak; "" means Auto.
	Protocol Protocol
	// ConnectTimeout bounds one attempt to connect and list, including the
	// probe for the era; 0 means 10 s.
	ConnectTimeout time.Duration
	// CallTimeout bounds one request; 0 means 60 s.
	CallTimeout time.Duration
	// ToolsGrace is how long the listing of a lost upstream stays; 0 means 10 min.
	ToolsGrace time.Duration
	// MaxMessageBytes bounds one message from the upstream; 0 means 16 MiB.
	MaxMessageBytes int

	// ClientName and ClientVersion are how the gateway introduces itself;
	// "" means "mcpagg" and "dev".
	ClientName, ClientVersion string

	// Changed, if not nil, is called after the value of Listing changed. Calls
	// do not overlap. It must not block.
	Changed func()
	// Log must not be nil.
	Log *slog.Logger
}

// An Era is one of the two ways to speak MCP.
type Era string

const (
	// LegacyEra is every revision with the initialize handshake, up to 2025-11-25.
	LegacyEra Era = "legacy"
	// ModernEra is revision 2026-07-28 and later: no handshake, no session.
	ModernEra Era = "modern"
)

// A Listing is everything an upstream offers, as raw JSON. It never changes;
// a newer one replaces it.
type Listing struct {
	Era          Era
	Version      string          // negotiated protocol revision
	ServerInfo   json.RawMessage // name and version, an object, or nil
	Capabilities json.RawMessage // an object, or nil
	Instructions string

	// One element per definition, all pages joined, in the upstream's order.
	// nil where the upstream lacks the capability.
	Tools, Prompts, Resources, Templates []json.RawMessage
}

// A State is where an upstream is in its life.
type State string

const (
	Connecting State = "connecting" // not connected yet, or trying again
	Connected  State = "connected"
	Lost       State = "lost" // was connected, is not, and is being dialled again
	Stopped    State = "stopped"
)

// Status is what an operator wants to know about an upstream.
type Status struct {
	State     State
	Since     time.Time // when State was entered
	LastError string    // why the last attempt or connection failed; "" if none has
	Era       Era       // "" before the first connection
	Connects  int       // successful connections so far
}

// A Call is one request to an upstream.
type Call struct {
	// Method is an MCP method that clients may send, such as tools/call.
	Method string
	// Params is the request's params, a JSON object, or nil. It goes out byte
	// for byte except for _meta, whose keys of the hop (progressToken,
	// io.modelcontextprotocol/protocolVersion, …/clientInfo,
	// …/clientCapabilities, …/logLevel) are dropped or replaced.
	Params json.RawMessage
	// ClientInfo and ClientCapabilities are what a modern upstream is told of
	// the client; nil means the gateway's own name and no capabilities. A
	// legacy upstream is told nothing here.
	ClientInfo, ClientCapabilities json.RawMessage
	// Notify, if not nil, gets the notifications that belong to this call
	// (progress, log messages on the call's own stream), in the order in which
	// they came and all before Call returns. nil asks for no progress.
	Notify func(method string, params json.RawMessage)
}
