package main

// An era is one of the two ways to speak MCP, by its protocol revision.
type era string

const (
	legacy era = "2025-11-25" // with the initialize handshake and sessions
	modern era = "2026-07-28" // every request stands alone
)

var eras = []era{legacy, modern}

func (e era) String() string {
	if e == modern {
		return "modern"
	}
	return "legacy"
}

// The keys of a modern request's _meta.
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaClient       = "io.modelcontextprotocol/clientInfo"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

const (
	sessionHeader = "Mcp-Session-Id"
	versionHeader = "Mcp-Protocol-Version"
	methodHeader  = "Mcp-Method"
	nameHeader    = "Mcp-Name"
)

// The tools of the upstream besides the fillers.
const (
	echoTool  = "echo"
	sleepTool = "sleep"
	blobTool  = "blob"
)
