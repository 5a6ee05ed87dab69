package lsp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/lsp"
	"github.com/mcpagg/mcpagg/policy/source"
)

// catalog is one tool, and what policies can name beside it.
func catalog() check.Input {
	return check.Input{
		Options: source.Options{Upstreams: []string{"github"}, Groups: []string{"platform"}, Apps: []string{"ide"}},
		Objects: []*policy.Object{policy.ToolObject(policy.Tool{
			Upstream: "github", Original: "create_issue", Published: "gh_create_issue", Trusted: true,
			InputSchema: json.RawMessage(`{"type":"object","required":["repo"],"properties":{"repo":{"type":"string"},"title":{"type":"string"}}}`),
		})},
	}
}

// projectOf has files under /p.
func projectOf(files ...source.File) *lsp.Project {
	p := &lsp.Project{Input: catalog(), Sets: [][]source.File{files}, Paths: map[string]string{}}
	for _, f := range files {
		p.Paths[f.Name] = "/p/" + f.Name
	}
	return p
}

func loading(p *lsp.Project) lsp.Options {
	return lsp.Options{Load: func(context.Context, string) (*lsp.Project, error) { return p, nil }}
}

// policyOf is about one tool.
func policyOf(id, tool string) string {
	return fmt.Sprintf("@id(%q) permit (principal, action == Action::\"call_tool\", resource == Tool::%q);\n", id, tool)
}

const (
	right = "github/create_issue"
	wrong = "github/craete_issue"
)

// TestDiagnostics follows a file while somebody writes it.
func TestDiagnostics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, loading(projectOf(source.File{Name: "a.cedar", Text: []byte(policyOf("a", right))}, source.File{Name: "b.cedar", Text: []byte(policyOf("b", wrong))})))
		defer c.leave()
		c.codes("file:///p/b.cedar", "unknown-tool") // though it is not open
		// A character of two UTF-16 units, and a line that ends as on Windows.
		c.open("file:///p/a.cedar", "/* 🙂 */\r\n/* 🙂é */ "+policyOf("a", wrong))
		p := c.codes("file:///p/a.cedar", "unknown-tool")
		if got, want := p.Diagnostics[0].Range, (lsp.Range{Start: lsp.Position{Line: 1, Character: 81}, End: lsp.Position{Line: 1, Character: 108}}); got != want {
			t.Errorf("it is at %+v, want %+v", got, want)
		}
		if got := p.Diagnostics[0].Message; !strings.Contains(got, "create_issue") || p.Version != 1 {
			t.Errorf("version %d: %q", p.Version, got)
		}
		// Corrected by an edit in the middle of a line.
		c.notify("textDocument/didChange", `{"textDocument":{"uri":"file:///p/a.cedar","version":2},"contentChanges":[
			{"range":{"start":{"line":1,"character":95},"end":{"line":1,"character":101}},"text":"create"}]}`)
		if p := c.codes("file:///p/a.cedar", ""); p.Version != 2 {
			t.Errorf("version %d", p.Version)
		}
		c.notify("textDocument/didChange", `{"textDocument":{"uri":"file:///p/a.cedar","version":3},"contentChanges":[{"text":"permit (princ"}]}`)
		c.codes("file:///p/a.cedar", "syntax")
		c.notify("textDocument/didClose", `{"textDocument":{"uri":"file:///p/a.cedar"}}`)
		c.codes("file:///p/a.cedar", "") // as on disk
	})
}

// TestLongFile has only the policies that changed checked at first, and what it shows of the
// others go along.
func TestLongFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		for i := range 200 {
			b.WriteString("/* 🙂 */ " + policyOf(fmt.Sprintf("p%d", i), right))
		}
		text := strings.Replace(b.String(), policyOf("p150", right), policyOf("p150", wrong), 1)
		c := connect(t, loading(projectOf()))
		defer c.leave()
		c.open("file:///p/a.cedar", text)
		at := c.codes("file:///p/a.cedar", "unknown-tool").Diagnostics[0].Range
		c.notify("textDocument/didChange", `{"textDocument":{"uri":"file:///p/a.cedar","version":2},"contentChanges":[
			{"range":{"start":{"line":9,"character":0},"end":{"line":9,"character":0}},"text":"// 🙂\n\n`+strings.TrimSpace(strings.ReplaceAll(policyOf("x", wrong), `"`, `\"`))+`"}]}`)
		p := c.codes("file:///p/a.cedar", "unknown-tool unknown-tool")
		lines := map[int]int{}
		for _, d := range p.Diagnostics {
			lines[d.Range.Start.Line] = d.Range.Start.Character
		}
		if want := (map[int]int{11: 71, at.Start.Line + 2: at.Start.Character}); !maps.Equal(lines, want) {
			t.Errorf("they are at %v, want %v", lines, want)
		}
	})
}

// TestFormatting edits no more than what changes.
func TestFormatting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, loading(projectOf()))
		defer c.leave()
		for text, want := range map[string]string{
			"// a\npermit(principal,action,resource);\n\n// b\nforbid (principal, action, resource);\n": `[{"range":{"start":{"line":1,"character":0},"end":{"line":2,"character":0}},"newText":"permit (principal, action, resource);\n"}]`,
			"// a\npermit (principal, action, resource);\n":                                             `[]`,
			"permit(principal": `[]`,
			"":                 `[]`,
		} {
			c.open("file:///p/x.cedar", text)
			if got := c.call("textDocument/formatting", `{"textDocument":{"uri":"file:///p/x.cedar"},"options":{}}`); got != want {
				t.Errorf("%q: got %s, want %s", text, got, want)
			}
		}
	})
}

// TestReload reads what changes on disk, and says what is wrong with it.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		project, stamp := projectOf(source.File{Name: "a.cedar", Text: []byte(policyOf("a", wrong))}), "1"
		var failed error
		var mu sync.Mutex // guards all three
		c := connect(t, lsp.Options{
			Load: func(context.Context, string) (*lsp.Project, error) {
				mu.Lock()
				defer mu.Unlock()
				return project, failed
			},
			Stamp: func() string {
				mu.Lock()
				defer mu.Unlock()
				return stamp
			},
		})
		defer c.leave()
		c.codes("file:///p/a.cedar", "unknown-tool")
		mu.Lock()
		failed, stamp = errors.New("a mistake in the configuration"), "2"
		mu.Unlock()
		synctest.Wait()
		c.notify("workspace/didChangeWatchedFiles", `{"changes":[]}`)
		synctest.Wait()
		c.mu.Lock()
		if len(c.messages) != 1 || !strings.Contains(c.messages[0], "a mistake in the configuration") {
			t.Errorf("it showed %q", c.messages)
		}
		c.mu.Unlock()
		mu.Lock()
		project, failed, stamp = projectOf(source.File{Name: "a.cedar", Text: []byte(policyOf("a", right))}), nil, "3"
		mu.Unlock()
		c.codes("file:///p/a.cedar", "")
	})
}

// TestTurns refuses what comes before or after its time, or is too much.
func TestTurns(t *testing.T) {
	const (
		initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`
		shutdown   = `{"jsonrpc":"2.0","id":2,"method":"shutdown"}`
		exit       = `{"jsonrpc":"2.0","method":"exit"}`
	)
	for name, tt := range map[string]struct {
		in          string
		said, ended string
	}{
		"as it should be":     {frame(initialize) + frame(shutdown) + frame(exit), `"result":null`, ""},
		"without shutdown":    {frame(initialize) + frame(exit), "", "without a shutdown request"},
		"before its time":     {frame(shutdown), "-32002", "without a shutdown request"},
		"after its time":      {frame(initialize) + frame(shutdown) + frame(strings.ReplaceAll(initialize, "initialize", "textDocument/hover")), "-32600", ""},
		"what is not known":   {frame(initialize) + frame(`{"jsonrpc":"2.0","id":7,"method":"x/y"}`), "-32601", "without a shutdown"},
		"other parameters":    {frame(initialize) + frame(`{"jsonrpc":"2.0","id":7,"method":"textDocument/formatting","params":[]}`), "-32602", "without a shutdown"},
		"too long":            {"Content-Length: 99999999\r\n\r\n", "", "may have 16777216 bytes"},
		"without length":      {"Content-Type: x\r\n\r\n{}", "", "no Content-Length"},
		"a header of a novel": {strings.Repeat("x", 5000), "", "more than 4096 bytes"},
		"no JSON":             {frame("permit"), "", "serving an editor"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := lsp.Serve(t.Context(), strings.NewReader(tt.in), &out, loading(projectOf()))
			if !strings.Contains(out.String(), tt.said) {
				t.Errorf("it said %q, want %q", out.String(), tt.said)
			}
			if (err == nil) != (tt.ended == "") || err != nil && !strings.Contains(err.Error(), tt.ended) {
				t.Errorf("it ended with %v, want %q", err, tt.ended)
			}
		})
	}
}

func frame(message string) string {
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(message), message)
}

func jsonText(s string) string {
	raw, _ := json.Marshal(s) // texts are JSON
	return string(raw)
}
