package replay_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/replay"
)

// allowed is a line about a call that was allowed, by policies of some digest.
func allowed(tool, caller, groups, digest, reason, looked string) string {
	return fmt.Sprintf(`{"time":"2026-11-28T09:30:00.000000Z","kind":"decision","decision":"allow","action":"call_tool","upstream":"github","object":%q,"caller":"User::\"t/%s\"","principal":{"groups":[%s]},"reasons":[{"id":%q}],"looked":{%s},"policies":%q}`+"\n",
		tool, caller, groups, reason, looked, digest)
}

// TestSuggest has three people use tools: what all of the staff use is for the staff,
// what one of the leads uses for the leads. What was allowed under a condition only, or
// denied, is not permitted.
func TestSuggest(t *testing.T) {
	const staff, lead = `"staff"`, `"lead","staff"`
	log := `{"time":"2026-11-28T09:00:00.000000Z","kind":"opened","version":1,"salt":"S","mode":"hashed"}` + "\n" +
		allowed("get", "ann", lead, "new", "all", "") + allowed("get", "bob", staff, "new", "all", "") + allowed("get", "cid", staff, "other", "gone", "") +
		allowed("merge", "ann", lead, "new", "all", "") +
		allowed("create", "bob", staff, "new", "own", "") +
		allowed("delete", "bob", staff, "other", "gone", `"context.input.repo":"web"`) + // as policies were that are gone
		allowed("list", "dan", "", "new", "all", "") +
		strings.Replace(allowed("drop", "bob", staff, "new", "all", ""), `"allow"`, `"would_deny"`, 1)
	engine := engineOf(t, `@id("all") permit(principal, action, resource); @id("own") permit(principal, action, resource) when { context.input.repo == "web" };`)
	s, err := replay.Suggest([]replay.Log{memory([]byte(log))}, replay.Options{Engine: engine}, false)
	if err != nil {
		t.Fatal(err)
	}
	text := s.Cedar()
	suggested := engineOf(t, text)
	for _, test := range []struct {
		tool  string
		group string
		id    string
		want  bool
	}{
		{"get", "staff", "t/x", true},
		{"merge", "lead", "t/x", true},
		{"merge", "staff", "t/x", false},
		{"create", "staff", "t/bob", false},
		{"delete", "staff", "t/bob", false},
		{"drop", "staff", "t/bob", false},
		{"list", "", "t/dan", true},
		{"list", "staff", "t/x", false},
	} {
		tool := policy.ToolObject(policy.Tool{Upstream: "github", Original: test.tool})
		p := &policy.Principal{ID: test.id, GroupsKnown: true, Groups: []string{test.group}}
		if got := suggested.Decide(&policy.Request{Principal: p, Object: tool}).Allow; got != test.want {
			t.Errorf("%s for %s in %q: %v, want %v\n%s", test.tool, test.id, test.group, got, test.want, text)
		}
	}
	for _, want := range []string{"3 times by 3", `"github/create"`, "context.input.repo", "draft"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestSuggestIsNoWider has a call that was allowed to one group of the caller, and such of
// which is not certain to whom: they are for that group, and for the person.
func TestSuggestIsNoWider(t *testing.T) {
	opened := `{"time":"2026-11-28T09:00:00.000000Z","kind":"opened","version":1,"salt":"S","mode":"hashed"}` + "\n"
	log := opened + allowed("get", "ann", `"lead","all"`, "new", "leads", `"principal in":["Group::\"lead\""]`) +
		allowed("own", "ann", `"lead","all"`, "new", "ann", "") +
		allowed("old", "ann", `"lead","all"`, "other", "gone", `"principal in":["Group::\"lead\""]`)
	engine := engineOf(t, `@id("leads") permit(principal in Group::"lead", action, resource == Tool::"github/get");
		@id("ann") permit(principal == User::"t/ann", action, resource == Tool::"github/own");`)
	s, err := replay.Suggest([]replay.Log{memory([]byte(log))}, replay.Options{Engine: engine}, false)
	if err != nil {
		t.Fatal(err)
	}
	suggested := engineOf(t, s.Cedar())
	for _, test := range []struct {
		tool, id, group string
		want            bool
	}{
		{"get", "t/x", "lead", true},
		{"get", "t/x", "all", false},
		{"own", "t/ann", "", true},
		{"own", "t/x", "lead", false},
		{"own", "t/x", "all", false},
		{"old", "t/ann", "", true},
		{"old", "t/x", "lead", false},
		{"old", "t/x", "all", false},
	} {
		r := &policy.Request{
			Principal: &policy.Principal{ID: test.id, GroupsKnown: true, Groups: []string{test.group}},
			Object:    policy.ToolObject(policy.Tool{Upstream: "github", Original: test.tool}),
		}
		if got := suggested.Decide(r).Allow; got != test.want {
			t.Errorf("%s for %s in %q: %v, want %v\n%s", test.tool, test.id, test.group, got, test.want, s.Cedar())
		}
	}
}

// TestCover counts reasons, and names what a permit never allowed.
func TestCover(t *testing.T) {
	log := allowed("get", "ann", "", "new", "all", "") + allowed("get", "bob", "", "other", "all", "") + allowed("get", "bob", "", "other", "gone", "")
	engine := engineOf(t, `@id("all") permit(principal, action, resource); @id("none") forbid(principal, action, resource == Tool::"github/merge");`)
	objects := []*policy.Object{policy.ToolObject(policy.Tool{Upstream: "github", Original: "get"}), policy.ToolObject(policy.Tool{Upstream: "github", Original: "merge"})}
	c, err := replay.Cover([]replay.Log{memory([]byte(log))}, replay.Options{Engine: engine, Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	all, none := c.Policies[0], c.Policies[1]
	if c.Others != 2 || c.Gone != 1 || all.Decided != 2 || all.Last.IsZero() || none.Decided != 0 || !none.Last.IsZero() {
		t.Errorf("%+v: %+v, %+v", c, all, none)
	}
	if got := strings.Join(all.Unused, " "); got != `Tool::"github/merge"` || none.Unused != nil {
		t.Errorf("never allowed are %s and %v", got, none.Unused)
	}
}
