package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy"
)

func objects(origins ...string) []*policy.Object {
	var all []*policy.Object
	for _, origin := range origins {
		all = append(all, policy.ToolObject(tool(origin)))
	}
	return all
}

func TestChanges(t *testing.T) {
	old := engine(t, `permit(principal in Group::"platform", action, resource == Tool::"github/a"); permit(principal, action, resource == Tool::"github/b");`)
	now := engine(t, `permit(principal in Group::"platform", action, resource in Upstream::"github"); forbid(principal, action, resource == Tool::"github/b");`)
	prompt := policy.PromptObject(policy.Prompt{Upstream: "github", Original: "review"})
	got := policy.Changes(old, now, append(objects("github/a", "github/b", "github/c"), prompt))
	want := []policy.Change{
		{Group: "", Removed: []string{"github/b"}, ToolsRemoved: 1},
		{Group: "platform", Added: []string{"github/c", "github/review"}, Removed: []string{"github/b"}, ToolsAdded: 1, ToolsRemoved: 1},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := policy.Changes(now, now, objects("github/a")); got != nil {
		t.Errorf("nothing has changed, and it says %v", got)
	}
}

// TestUncallable has nobody be able to use a tool, and only then.
func TestUncallable(t *testing.T) {
	for text, want := range map[string]string{
		``: "no policy permits it",
		`permit(principal, action, resource == Tool::"jira/x");`:                                                            "no policy permits it",
		`permit(principal, action == Action::"read_resource", resource);`:                                                   "no policy permits it",
		`@observe permit(principal, action, resource);`:                                                                     "no policy permits it",
		`permit(principal, action, resource); @id("no") forbid(principal, action, resource in Upstream::"github");`:         "always forbidden by no",
		`permit(principal, action, resource); @id("no") forbid(principal, action, resource) when { resource.destructive };`: "always forbidden by no",
		`@id("p") permit(principal, action, resource) when { context.input.nothing == 1 };`:                                 "every permit for it fails: p",
		`permit(principal in Group::"admins", action, resource);`:                                                           "",
		`permit(principal == User::"t/root", action, resource);`:                                                            "",
		`permit(principal, action, resource) when { principal.claim_dept == "it" && context.input.owner == "contoso" };`:    "",
		`permit(principal, action, resource); forbid(principal, action, resource) unless { principal in Group::"admins" };`: "",
		`permit(principal is Workload, action, resource);`:                                                                  "",
		`permit(principal, action, resource) when { context.app == App::"vscode" };`:                                        "",
	} {
		var got string
		for _, u := range engine(t, text).Uncallable([]*policy.Object{createIssue}) {
			got = u.Why
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestUncallableForWantOfTrust has nobody be able to use a tool of which nobody
// believes what it says of itself: it is said what to do.
func TestUncallableForWantOfTrust(t *testing.T) {
	const (
		readers = `permit(principal, action, resource is Tool) when { resource.read_only };`
		trust   = ", as what it says of itself is not believed: set trust to hints in its upstream, or review it with mcpagg lock"
		review  = ", as nobody has reviewed it as it is now: see mcpagg lock"
	)
	says := func(annotations string) policy.Tool {
		asked := tool("github/search")
		asked.Annotations = json.RawMessage(annotations)
		return asked
	}
	reader := says(`{"readOnlyHint": true}`)
	trusted, drifted, pinned := reader, reader, reader
	trusted.Trusted, drifted.Trusted, drifted.Drifted, pinned.Pinned = true, true, true, true
	for _, test := range []struct {
		tool           policy.Tool
		policies, want string
	}{
		{reader, readers, "no policy permits it" + trust},
		{says(`{"readOnlyHint": false}`), readers, "no policy permits it"},
		{says(``), readers, "no policy permits it"},
		{trusted, readers, ""},
		{pinned, readers, ""},
		{drifted, readers, "no policy permits it" + review},
		{trusted, `permit(principal, action, resource is Tool) when { resource.pinned };`, "no policy permits it" + review},
		{reader, `permit(principal, action, resource); @id("no") forbid(principal, action, resource is Tool) when { resource.destructive };`, "always forbidden by no" + trust},
		{reader, `permit(principal, action == Action::"get_prompt", resource);`, "no policy permits it"},
	} {
		var got string
		for _, u := range engine(t, test.policies).Uncallable([]*policy.Object{policy.ToolObject(test.tool)}) {
			got = u.Why
		}
		if got != test.want {
			t.Errorf("%+v by %s: %q, want %q", test.tool, test.policies, got, test.want)
		}
	}
}

// TestSchemaChangesUnderAPolicy has an argument become another one: decisions follow
// the schema that there is.
func TestSchemaChangesUnderAPolicy(t *testing.T) {
	e := engine(t, `permit(principal, action, resource) when { context.input.owner == "contoso" };`)
	if !e.Decide(request(person(), repo)).Allow {
		t.Fatal("the tool as it was is denied")
	}
	changed := tool("github/create_issue")
	changed.InputSchema = json.RawMessage(`{"type": "object", "properties": {"organization": {"type": "string"}}}`)
	o := policy.ToolObject(changed)
	if e.Decide(requestOf(person(), o, `{"organization": "contoso", "owner": "contoso"}`)).Allow {
		t.Error("an argument counts that the schema does not have any more")
	}
}

// TestManyCallersAtOnce has more callers than an engine remembers decide and list at
// the same time.
func TestManyCallersAtOnce(t *testing.T) {
	e := engine(t, `permit(principal, action, resource) when { principal.name == "even" || principal.claim_n == 7 };`)
	all := objects("github/a", "github/b")
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 1500 {
				p := person()
				p.Claims = json.RawMessage(fmt.Sprintf(`{"n": %d}`, worker*10_000+i+100))
				if i%2 == 0 {
					p.Name = "even"
				}
				for range 2 {
					if d := e.Decide(requestOf(p, all[i%2], repo)); d.Allow != (i%2 == 0) {
						t.Errorf("caller %d: allowed %v", i, d.Allow)
					}
					if v := e.View(p, all); v[0] != (i%2 == 0) {
						t.Errorf("caller %d: sees %v", i, v)
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestSameReasons decides one request often.
func TestSameReasons(t *testing.T) {
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "@id(\"p%d\") permit(principal, action, resource);\n", i)
	}
	e := engine(t, text.String())
	first := e.Decide(request(person(), repo)).Reasons
	for range 100 {
		if d := cmp.Diff(first, e.Decide(request(person(), repo)).Reasons); d != "" {
			t.Fatal(d)
		}
	}
	if len(first) != 20 || first[0].ID != "p0" || first[19].Line != 20 {
		t.Errorf("reasons are %v", first)
	}
}
