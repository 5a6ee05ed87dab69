package lsp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/lsp"
	"github.com/mcpagg/mcpagg/policy/source"
)

// many are a thousand policies in one file or in fifty, and a thousand tools.
func many(files int) *lsp.Project {
	p := &lsp.Project{Paths: map[string]string{}, Sets: [][]source.File{nil}}
	for i := range 1000 {
		upstream := fmt.Sprintf("u%d", i/50)
		if i%50 == 0 {
			p.Input.Options.Upstreams = append(p.Input.Options.Upstreams, upstream)
		}
		p.Input.Objects = append(p.Input.Objects, policy.ToolObject(policy.Tool{
			Upstream: upstream, Original: fmt.Sprintf("tool_%d", i), Published: fmt.Sprintf("tool_%d", i), Trusted: true,
			InputSchema: json.RawMessage(fmt.Sprintf(`{"type":"object","properties":{"path":{"type":"string"},"n%d":{"type":"integer"}}}`, i%20)),
		}))
	}
	for f := range files {
		var b strings.Builder
		for i := range 1000 / files {
			writePolicy(&b, f*1000/files+i)
		}
		name := fmt.Sprintf("f%d.cedar", f)
		p.Sets[0] = append(p.Sets[0], source.File{Name: name, Text: []byte(b.String())})
		p.Paths[name] = "/p/" + name
	}
	return p
}

func writePolicy(b *strings.Builder, i int) {
	fmt.Fprintf(b, "@id(\"p%d\")\npermit (principal in Group::\"g%d\", action == Action::\"call_tool\", resource", i, i%50)
	switch i % 4 {
	case 0:
		fmt.Fprintf(b, " == Tool::\"u%d/tool_%d\");\n", i/50, i)
	case 1:
		fmt.Fprintf(b, " in Upstream::\"u%d\")\nwhen { context.input has path && context.input.path like \"/%d/*\" };\n", i/50, i)
	case 2:
		fmt.Fprintf(b, ")\nwhen { context.input has n%d && context.input.n%d < %d };\n", i%20, i%20, i)
	default:
		fmt.Fprintf(b, ")\nwhen { resource.read_only && resource.name like \"*%d*\" };\n", i)
	}
}

// TestSpeed measures from a keystroke to what it shows. The bound is for machines that
// are busy, and for the race detector; it takes a tenth of a second on an idle core.
func TestSpeed(t *testing.T) {
	for _, files := range []int{50, 1} {
		p := many(files)
		c := connect(t, loading(p))
		text := string(p.Sets[0][0].Text)
		c.open("file:///p/f0.cedar", text)
		for version := range 6 {
			wrong := strings.Replace(text, "u0/tool_0", "u0/toll_0", (version+1)%2)
			start := time.Now()
			c.notify("textDocument/didChange", fmt.Sprintf(`{"textDocument":{"uri":"file:///p/f0.cedar","version":%d},"contentChanges":[{"text":%s}]}`, version+2, jsonText(wrong)))
			for m := range c.come {
				told := false
				for _, d := range m.Diagnostics {
					told = told || d.Code == "unknown-tool"
				}
				if m.URI == "file:///p/f0.cedar" && m.Version == version+2 && told == (version%2 == 0) {
					break
				}
			}
			took := time.Since(start)
			t.Logf("%d files: %v", files, took)
			if took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		}
		c.leave()
	}
}
