package lsp_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mcpagg/mcpagg/policy/lsp"
)

// at opens a text without its mark ‸, and is the parameters of a request for that place.
func (c *client) at(text string) string {
	c.t.Helper()
	before, after, ok := strings.Cut(text, "‸")
	if !ok {
		c.t.Fatalf("%q has no mark", text)
	}
	c.open("file:///p/x.cedar", before+after)
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return fmt.Sprintf(`{"textDocument":{"uri":"file:///p/x.cedar"},"position":{"line":%d,"character":%d}}`,
		strings.Count(before, "\n"), len([]rune(line)))
}

func known() *lsp.Project {
	p := projectOf()
	p.Input.Published = map[string]string{"github/create_issue": "gh_create_issue"}
	p.Schemas = map[string]json.RawMessage{`Tool::"github/create_issue"`: json.RawMessage(`{"properties":{"repo":{"description":"owner/name, never ` + "```" + `"}}}`)}
	p.Definitions = map[string]lsp.Definition{"Group::platform": {Path: "/p/gateway.hcl", Line: 3}}
	return p
}

// TestCompletion lists what can be written where somebody is writing.
func TestCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, loading(known()))
		defer c.leave()
		synctest.Wait() // until the project is loaded
		head := `permit (principal, action, resource == Tool::"github/create_issue") when { `
		for text, want := range map[string]string{
			`permit (principal in Group::"‸`:                            "platform",
			`permit (principal in Group::"pl‸at");`:                     "platform",
			`permit (principal, action == Action::"c‸`:                  "call_tool get_prompt read_resource",
			`permit (principal, action, resource == Tool::"git‸);`:      "github/create_issue",
			`permit (principal, action, resource == Prompt::"‸`:         "",
			`permit (principal, action, resource in Upstream::"‸"`:      "github",
			head + `context.app == App::"‸`:                             "ide",
			head + `context.input.‸`:                                    "repo title",
			head + `context.input.re‸ }`:                                "repo title",
			head + `context.input has ‸`:                                "repo title",
			head + `context.auth.‸`:                                     "mfa acrs age",
			head + `context.input.repo.‸`:                               "",
			head + `nothing.‸`:                                          "",
			head + `context.app.n‸`:                                     "name",
			"// a\n\n@ra‸":                                              "id deny_message observe rate max_bytes_in max_bytes_out redact_result audit",
			"permit (principal, action, resource); // no.\n@‸\n permit": "id deny_message observe rate max_bytes_in max_bytes_out redact_result audit",
		} {
			var list struct {
				Items []struct{ Label string }
			}
			if err := json.Unmarshal([]byte(c.call("textDocument/completion", c.at(text))), &list); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, i := range list.Items {
				got = append(got, i.Label)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s\ngot %q, want %q", text, got, want)
			}
		}
		got := c.call("textDocument/completion", c.at(`permit (principal, action, resource == Tool::"git‸);`))
		if want := `"textEdit":{"range":{"start":{"line":0,"character":46},"end":{"line":0,"character":49}},"newText":"github/create_issue"}`; !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := c.call("textDocument/completion", c.at("per‸")); !strings.Contains(got, `"permit"`) {
			t.Errorf("got %s", got)
		}
	})
}

// TestHover tells of tools, arguments, attributes and annotations.
func TestHover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, loading(known()))
		defer c.leave()
		synctest.Wait()
		head := `permit (principal, action, resource == Tool::"github/create_issue") when { `
		for text, want := range map[string][]string{
			`permit (principal, action, resource == Tool::"github/‸create_issue");`: {`Published as gh\\_create\\_issue`, "````json", "owner/name", "context.input: { repo: String, title?: String }"},
			head + `context.input.ti‸tle == "x" };`:                                 {"title: String", "may be missing"},
			head + `context.input.‸repo == "x" };`:                                  {"repo: String", "owner/name"},
			head + `resource.read‸_only };`:                                         {"read_only: Bool"},
			head + `context.auth.m‸fa };`:                                           {"mfa: Bool"},
			`@ra‸te("1/m") permit (principal, action, resource);`:                   {"per s, m, h or d"},
			head + `true && ‸ false };`:                                             {"null"},
			`permit (principal, action, resource == Tool::"no‸thing");`:             {"null"},
		} {
			got := c.call("textDocument/hover", c.at(text))
			if slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(got, w) }) {
				t.Errorf("%s\ngot %s, want %q", text, got, want)
			}
		}
	})
}

// TestDefinition finds the blocks of aliases.
func TestDefinition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, loading(known()))
		defer c.leave()
		synctest.Wait()
		got := c.call("textDocument/definition", c.at(`permit (principal in Group::"plat‸form", action, resource);`))
		if want := `{"uri":"file:///p/gateway.hcl","range":{"start":{"line":2,"character":0},"end":{"line":2,"character":0}}}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, text := range []string{`permit (principal in Group::"oth‸ers", action, resource);`, `per‸mit`, `‸`} {
			if got := c.call("textDocument/definition", c.at(text)); got != "null" {
				t.Errorf("%s: got %s", text, got)
			}
		}
	})
}
