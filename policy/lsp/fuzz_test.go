package lsp_test

import (
	"io"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/lsp"
	"github.com/mcpagg/mcpagg/policy/source"
)

// FuzzMessages sends a message to a server that has a file open.
func FuzzMessages(f *testing.F) {
	for _, method := range []string{"didOpen", "didChange", "didClose", "formatting", "completion", "hover", "definition"} {
		f.Add(`{"jsonrpc":"2.0","id":2,"method":"textDocument/`+method+`","params":{"textDocument":{"uri":"file:///p/a.cedar","version":2,"text":"permit (","languageId":"cedar"},"contentChanges":[{"range":{"start":{"line":0,"character":3},"end":{"line":0,"character":1}},"text":"@"},{"text":"x"}],"position":{"line":0,"character":12}}}`, "permit (principal in Group::\"")
	}
	f.Add(`[]`, "")
	f.Add(`{"id":1,"result":null}`, "@")
	f.Fuzz(func(t *testing.T, message, text string) {
		in := frame(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"rootUri":"file:///p"}}`) +
			frame(`{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///p/a.cedar","text":`+jsonText(text)+`}}}`) +
			frame(message) + frame(`{"jsonrpc":"2.0","id":9,"method":"shutdown"}`)
		var out strings.Builder
		_ = lsp.Serve(t.Context(), strings.NewReader(in), struct{ io.Writer }{&out}, loading(projectOf(source.File{Name: "a.cedar"}))) // most are refused
		if !strings.Contains(out.String(), `"serverInfo"`) {
			t.Errorf("it said %q", out.String())
		}
	})
}
