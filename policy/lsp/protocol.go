package lsp

import "encoding/json"

// What of the protocol is used here, by the names that its specification has (LSP 3.17).

// A Position is one in a text. Character counts UTF-16 code units, which is what every
// client can do.
type Position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

// A Range is from Start to before End.
type Range struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// A Location is a place in a file.
type Location struct {
	URI   string `json:"uri"`
	Range Range  `json:"range"`
}

type textEdit struct {
	Range   Range  `json:"range"`
	NewText string `json:"newText"`
}

// A diagnostic is a finding as editors show it.
type diagnostic struct {
	Range    Range  `json:"range"`
	Severity int    `json:"severity"` // 1 error, 2 warning, 3 information
	Code     string `json:"code,omitempty"`
	Source   string `json:"source"`
	Message  string `json:"message"`
}

type publishParams struct {
	URI         string       `json:"uri"`
	Version     *int         `json:"version,omitempty"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

type initializeParams struct {
	RootURI          string `json:"rootUri"`
	RootPath         string `json:"rootPath"`
	WorkspaceFolders []struct {
		URI string `json:"uri"`
	} `json:"workspaceFolders"`
}

type documentParams struct {
	TextDocument struct {
		URI     string `json:"uri"`
		Version int    `json:"version"`
		Text    string `json:"text"`
	} `json:"textDocument"`
	ContentChanges []contentChange `json:"contentChanges"`
	Position       Position        `json:"position"`
}

// A contentChange replaces a part of a text, or all of it.
type contentChange struct {
	Range *Range `json:"range"`
	Text  string `json:"text"`
}

// Errors of the protocol.
const (
	codeInvalidParams  = -32602
	codeInvalidRequest = -32600
	codeMethodNotFound = -32601
	codeNotInitialized = -32002
)

// capabilities are what the server can do.
func capabilities(version string) json.RawMessage {
	raw, _ := json.Marshal(map[string]any{ // of texts, numbers and truths alone
		"capabilities": map[string]any{
			"positionEncoding": "utf-16",
			"textDocumentSync": map[string]any{
				"openClose": true, "change": 2, // parts of texts
				"save": map[string]any{"includeText": false},
			},
			"documentFormattingProvider": true,
			"completionProvider":         map[string]any{"triggerCharacters": []string{".", "@", "\"", "/"}},
			"hoverProvider":              true,
			"definitionProvider":         true,
		},
		"serverInfo": map[string]any{"name": "mcpagg", "version": version},
	})
	return raw
}
