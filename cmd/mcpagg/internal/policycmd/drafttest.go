package policycmd

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
)

// testNow is when tests of policies take place unless they say otherwise.
var testNow = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// mostTested bounds of how many tools a first test has calls.
const mostTested = 3

// A draftTest writes the first test of a draft: what is expected is what the policies
// together decide now.
type draftTest struct {
	strings.Builder
	w      *workspace.Workspace
	d      *draft
	engine *policy.Engine
	unmade []string // tools for which no arguments could be made up
}

// A madeUp is a call of a test.
type madeUp struct {
	tool  *policy.Object
	input map[string]any
}

// write writes the test file.
func (t *draftTest) write(file string) {
	fmt.Fprintf(t, "# Tests of %s. Run them with: mcpagg policy test\n", cli.Visible(file))
	inside, outside := t.insider(), "somebody else"
	t.persona(inside, t.d.group)
	if t.d.group != "" {
		t.persona(outside, "")
	}
	held, failed := t.calls(true), t.calls(false)
	t.test(t.d.id, inside, t.d.group, held)
	if len(t.d.when) > 0 {
		t.test(t.d.id+", with other arguments", inside, t.d.group, failed)
	}
	if t.d.group != "" {
		t.test(t.d.id+", for others", outside, "", held)
	}
}

func (t *draftTest) insider() string {
	if t.d.group == "" {
		return "anybody"
	}
	return t.d.group
}

func (t *draftTest) persona(name, group string) {
	fmt.Fprintf(t, "\npersona %s {", hclText(name))
	if group != "" {
		fmt.Fprintf(t, "\n  groups = [%s]\n", hclText(group))
	}
	t.WriteString("}\n")
}

// calls are some of tools that the draft is about, with arguments for which its
// conditions hold, or do not.
func (t *draftTest) calls(hold bool) []madeUp {
	var calls []madeUp
	for _, tool := range t.tools() {
		given := map[string]any{}
		for i := range t.d.when {
			given[t.d.when[i].argument] = t.d.when[i].example(hold || i > 0)
		}
		if input := sampleArguments(t.schema(tool), given); input != nil {
			calls = append(calls, madeUp{tool, input})
		} else {
			t.unmade = append(t.unmade, tool.Origin())
		}
	}
	return calls
}

// tools are some that the draft is about, and one that it is not.
func (t *draftTest) tools() []*policy.Object {
	if t.d.tools != nil {
		return t.d.tools[:min(len(t.d.tools), mostTested)]
	}
	var about []*policy.Object
	var other *policy.Object
	for _, o := range t.w.Objects {
		switch {
		case t.w.Tool(o) == nil:
		case (t.d.upstream == "" || o.Upstream() == t.d.upstream) && (!t.d.readOnly || t.w.Tool(o).Effects().ReadOnly):
			about = append(about, o)
		case other == nil:
			other = o
		}
	}
	about = about[:min(len(about), mostTested)]
	if other != nil {
		about = append(about, other)
	}
	return about
}

func (t *draftTest) schema(o *policy.Object) json.RawMessage {
	if schema := t.w.Tool(o).InputSchema; schema != nil {
		return schema
	}
	return json.RawMessage(`{"type":"object"}`)
}

func (t *draftTest) test(name, as, group string, calls []madeUp) {
	if len(calls) == 0 {
		return
	}
	fmt.Fprintf(t, "\ntest %s {\n  as = %s\n", hclText(name), hclText(as))
	for _, c := range calls {
		expect, by := t.decide(c, group)
		fmt.Fprintf(t, "\n  call %s {\n    input  = %s\n    expect = %q\n", hclText(t.w.Published(c.tool)), hclValue(c.input), expect)
		if len(by) > 0 {
			fmt.Fprintf(t, "    by     = [%s]\n", strings.Join(by, ", "))
		}
		t.WriteString("  }\n")
	}
	t.WriteString("}\n")
}

// decide is what the policies say of a call, and which of them.
func (t *draftTest) decide(c madeUp, group string) (expect string, by []string) {
	p := &policy.Principal{ID: "somebody", Subject: "somebody", GroupsKnown: true}
	if group != "" {
		p.Groups = []string{group}
	}
	raw, _ := json.Marshal(c.input) // it came out of JSON
	d := t.engine.Decide(&policy.Request{Principal: p, Object: c.tool, Arguments: exact(c.input), Raw: raw, Now: testNow})
	expect = "deny"
	if d.Allow && !d.WouldDeny {
		expect = "allow"
	}
	for _, r := range d.Reasons {
		by = append(by, hclText(r.ID))
	}
	return expect, by
}

// exact are arguments with int64 for whole numbers, as calls have them.
func exact(v map[string]any) map[string]any {
	made := map[string]any{}
	for name, member := range v {
		made[name] = exactValue(member)
	}
	return made
}

func exactValue(v any) any {
	switch v := v.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	case map[string]any:
		return exact(v)
	case []any:
		list := make([]any, len(v))
		for i, member := range v {
			list[i] = exactValue(member)
		}
		return list
	}
	return v
}
