package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
)

// filed is an engine with entities from a file.
func filed(t testing.TB, entities, policies string) *policy.Engine {
	t.Helper()
	f, err := facts.Load([]source.File{
		{Name: "more.json", Text: []byte(entities)},
		{Name: "more.cedarschema", Text: []byte(`entity Team in [Upstream];`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	parsed, _, err := source.Parse([]source.File{{Name: "test.cedar", Text: []byte(policies)}}, source.Options{Types: f.Types, Attributes: f.Attributes})
	if err != nil {
		t.Fatal(err)
	}
	e, err := policy.New(policy.Options{Policies: parsed, Facts: f})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestFiledEntities has files say more of what the gateway knows.
func TestFiledEntities(t *testing.T) {
	const entities = `[
{"uid": {"type": "Tool", "id": "github/create_issue"}, "parents": [{"type": "Tag", "id": "writes"}], "attrs": {"level": 3, "name": "another"}},
{"uid": {"type": "Group", "id": "staff"}, "parents": [{"type": "Group", "id": "everybody"}], "attrs": {"floor": 2}},
{"uid": {"type": "Upstream", "id": "github"}, "parents": [{"type": "Tag", "id": "scm"}], "attrs": {"region": "eu"}},
{"uid": {"type": "User", "id": "t/alice"}, "parents": [{"type": "Team", "id": "web"}], "attrs": {"floor": 7}},
{"uid": {"type": "Team", "id": "web"}, "parents": [{"type": "Upstream", "id": "github"}], "attrs": {}},
{"uid": {"type": "App", "id": "vscode"}, "parents": [{"type": "Tag", "id": "approved"}], "attrs": {"vendor": "m"}}]`
	tagged := tool("github/create_issue")
	tagged.Tags = []string{"production"}
	o := policy.ToolObject(tagged)
	for text, allow := range map[string]bool{
		`permit(principal, action, resource in Tag::"writes");`:                                                     true,
		`permit(principal, action, resource) when { resource.level == 3 };`:                                         true,
		`permit(principal, action, resource) when { resource.name == "create_issue" };`:                             true, // files do not replace
		`permit(principal, action, resource) when { Tool::"github/create_issue" has upstream };`:                    true,
		`permit(principal, action, resource) when { Tool::"github/create_issue" in Tag::"production" };`:            true,
		`permit(principal, action, resource in Tag::"scm");`:                                                        true,
		`permit(principal, action, resource) when { Upstream::"github" in Tag::"production" };`:                     true,
		`permit(principal, action, resource) when { Upstream::"github" in Tag::"writes" };`:                         false, // which is the tool's alone
		`permit(principal, action, resource) when { Upstream::"github".region == "eu" };`:                           true,
		`permit(principal, action, resource) when { Upstream::"github".name == "github" };`:                         true,
		`permit(principal in Group::"everybody", action, resource);`:                                                true,
		`permit(principal, action, resource) when { Group::"staff".floor == 2 };`:                                   true,
		`permit(principal in Team::"web", action, resource) when { principal.floor == 7 };`:                         true,
		`permit(principal in Tag::"production", action, resource);`:                                                 true, // through the team
		`permit(principal, action, resource) when { context.app in Tag::"approved" && context.app.vendor == "m" };`: true,
		`permit(principal, action, resource) when { context.app.name == "vscode" };`:                                true,
	} {
		e := filed(t, entities, text)
		r := requestOf(person("staff"), o, repo)
		if d := e.Decide(r); d.Allow != allow {
			t.Errorf("%s allowed: %v %v", text, d.Allow, d.Errors)
		}
		if e.View(r.Principal, []*policy.Object{o})[0] != allow || e.MayDecide(r) != allow {
			t.Errorf("%s lists say otherwise", text)
		}
	}
}

// TestFiledGroups has a group be in a role: who may be in the group may be in it.
func TestFiledGroups(t *testing.T) {
	e := filed(t, `[{"uid": {"type": "Group", "id": "contractors"}, "parents": [{"type": "Role", "id": "outsider"}], "attrs": {}}]`,
		`permit(principal, action, resource); forbid(principal in Role::"outsider", action, resource);`)
	if !e.Decide(request(person("staff"), repo)).Allow || e.Decide(request(person("contractors"), repo)).Allow {
		t.Error("groups do not lead to roles")
	}
	unknown := person()
	unknown.GroupsKnown = false
	unresolved := person()
	unresolved.Unresolved = []string{"contractors"}
	if e.Decide(request(unknown, repo)).Allow || e.Decide(request(unresolved, repo)).Allow {
		t.Error("allowed though nobody knows who is in the group")
	}
}

// TestTemplates shows a template to who may read some resource of it.
func TestTemplates(t *testing.T) {
	const entities = `[
{"uid": {"type": "Resource", "id": "github/file:///handbook"}, "parents": [{"type": "Tag", "id": "public"}], "attrs": {"level": 1}},
{"uid": {"type": "Resource", "id": "jira/secret"}, "parents": [{"type": "Tag", "id": "secret"}], "attrs": {}}]`
	template := []*policy.Object{policy.TemplateObject(policy.Resource{Upstream: "github", URI: "file:///{path}", Tags: []string{"production"}})}
	for text, shown := range map[string]bool{
		`permit(principal, action, resource in Tag::"public");`:                                      true,
		`permit(principal, action, resource in Tag::"secret");`:                                      false,
		`permit(principal, action, resource in Tag::"production");`:                                  true,
		`permit(principal, action, resource == Resource::"github/file:///handbook");`:                true,
		`permit(principal, action, resource == Resource::"jira/secret");`:                            false,
		`permit(principal, action, resource) when { resource.level == 1 };`:                          true,
		`permit(principal, action, resource) when { resource.uri like "file:///h*" };`:               true,
		`permit(principal, action, resource) when { resource.upstream == "jira" };`:                  true, // too much: attributes are not known
		`permit(principal, action == Action::"call_tool", resource);`:                                false,
		`permit(principal, action, resource); forbid(principal, action, resource in Tag::"public");`: true,
		`permit(principal, action, resource); forbid(principal, action, resource is Resource);`:      false,
	} {
		if got := filed(t, entities, text).View(person(), template)[0]; got != shown {
			t.Errorf("%s shown: %v", text, got)
		}
	}
}

// TestManyFiledResources has files say of very many resources what they are in, which
// is not looked up anew for each template.
func TestManyFiledResources(t *testing.T) {
	var entities strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&entities, `,{"uid": {"type": "Resource", "id": "github/file:///%d"}, "parents": [{"type": "Tag", "id": "t%d"}], "attrs": {}}`, i, i%100)
	}
	e := filed(t, "["+entities.String()[1:]+"]", `permit(principal, action, resource in Tag::"t42");`)
	var templates []*policy.Object
	for i := range 2_000 {
		templates = append(templates, policy.TemplateObject(policy.Resource{Upstream: "github", URI: fmt.Sprintf("file:///%d/{path}", i)}))
	}
	other := policy.TemplateObject(policy.Resource{Upstream: "git", URI: "file:///{path}"})
	started := time.Now()
	shown := e.View(person(), append(templates, other))
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("a view of 2,000 templates took %v", took)
	}
	if shown[len(templates)] || slices.Contains(shown[:len(templates)], false) {
		t.Error("templates are shown by what resources of another upstream are in")
	}
}

// TestInputIsThere has a policy look at nothing of the arguments but that they are
// there.
func TestInputIsThere(t *testing.T) {
	for _, name := range []string{"input", "size", "bytes", "now", "session", "auth", "app"} {
		e := engine(t, `permit(principal, action, resource); forbid(principal, action, resource) when { context has `+name+` };`)
		if e.Decide(request(person(), repo)).Allow {
			t.Errorf("context has no %s", name)
		}
	}
}

// TestFiledAnybody has files name one user, of whom what is said holds for nobody
// else.
func TestFiledAnybody(t *testing.T) {
	e := filed(t, `[{"uid": {"type": "User", "id": "anybody"}, "parents": [{"type": "Group", "id": "g"}], "attrs": {}}]`,
		`permit(principal is User in Group::"h", action, resource);`)
	if u := e.Uncallable([]*policy.Object{createIssue}); u != nil {
		t.Errorf("of everybody it is said %+v", u)
	}
}
