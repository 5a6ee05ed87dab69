package policy_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
)

// parse reads policies for the upstreams github and jira.
func parse(t testing.TB, text string, targets ...string) []*source.Policy {
	t.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "test.cedar", Text: []byte(text)}}, source.Options{
		Upstreams: []string{"github", "jira"}, Types: []string{"Repo", "Team"}, Targets: targets,
	})
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

func engine(t testing.TB, text string, change ...func(*policy.Options)) *policy.Engine {
	t.Helper()
	o := policy.Options{Digest: "d"}
	for _, f := range change {
		f(&o)
	}
	var targets []string
	for _, b := range o.Binds {
		targets = append(targets, b.Name)
	}
	o.Policies = parse(t, text, targets...)
	e, err := policy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const issueSchema = `{"type": "object", "properties": {
	"owner": {"type": "string"}, "repo": {"type": "string"}, "title": {"type": "string"}, "body": {"type": "string"},
	"labels": {"type": "array", "items": {"type": "string"}}, "milestone": {"type": "integer"},
	"amount": {"type": "number"}, "branch": {"type": "string", "default": "main"}
}, "required": ["owner", "repo"]}`

func tool(origin string) policy.Tool {
	upstream, original, _ := strings.Cut(origin, "/")
	return policy.Tool{Upstream: upstream, Original: original, Published: upstream + "_" + original, InputSchema: json.RawMessage(issueSchema)}
}

var createIssue = policy.ToolObject(tool("github/create_issue"))

// person is a caller whose groups are known.
func person(groups ...string) *policy.Principal {
	return &policy.Principal{ID: "t/alice", Subject: "alice", Name: "Alice", Tenant: "t", Groups: groups, GroupsKnown: true, Client: "vscode"}
}

// request asks for github/create_issue with these arguments.
func request(p *policy.Principal, arguments string) *policy.Request {
	return requestOf(p, createIssue, arguments)
}

func requestOf(p *policy.Principal, o *policy.Object, arguments string) *policy.Request {
	return &policy.Request{
		Principal: p, Object: o, Arguments: decode(arguments), Raw: []byte(arguments),
		IP: netip.MustParseAddr("203.0.113.7"), Now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
	}
}

// decode makes of arguments what the gateway does.
func decode(arguments string) map[string]any {
	d := json.NewDecoder(strings.NewReader(arguments))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return exact(v).(map[string]any)
}

func exact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, below := range v {
			v[name] = exact(below)
		}
	case []any:
		for i, below := range v {
			v[i] = exact(below)
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

func ids(reasons []policy.Reason) []string {
	var all []string
	for _, r := range reasons {
		all = append(all, r.ID)
	}
	return all
}

const repo = `{"owner": "contoso", "repo": "web"}`

func TestDecide(t *testing.T) {
	for name, tc := range map[string]struct {
		policies  string
		principal *policy.Principal
		arguments string
		allow     bool
		reasons   []string
	}{
		"nothing":             {``, person(), repo, false, nil},
		"everybody":           {`@id("all") permit(principal, action, resource);`, person(), repo, true, []string{"all"}},
		"a group":             {`@id("g") permit(principal in Group::"platform", action, resource);`, person("platform"), repo, true, []string{"g"}},
		"another group":       {`@id("g") permit(principal in Group::"platform", action, resource);`, person("staff"), repo, false, nil},
		"a group as text":     {`@id("g") permit(principal, action, resource) when { principal.groups.contains("platform") };`, person("platform"), repo, true, []string{"g"}},
		"a forbid wins":       {`@id("p") permit(principal, action, resource); @id("f") forbid(principal, action, resource in Upstream::"github");`, person(), repo, false, []string{"f"}},
		"all forbids":         {`@id("b") forbid(principal, action, resource); @id("p") permit(principal, action, resource); @id("a") forbid(principal, action, resource == Tool::"github/create_issue");`, person(), repo, false, []string{"b", "a"}},
		"another tool":        {`permit(principal, action, resource == Tool::"github/get_issue");`, person(), repo, false, nil},
		"another action":      {`permit(principal, action == Action::"read_resource", resource);`, person(), repo, false, nil},
		"an argument":         {`@id("a") permit(principal, action, resource) when { context.input.owner == "contoso" };`, person(), repo, true, []string{"a"}},
		"another argument":    {`@id("a") permit(principal, action, resource) when { context.input.owner == "fabrikam" };`, person(), repo, false, nil},
		"a default":           {`@id("a") permit(principal, action, resource) when { context.input.branch == "main" };`, person(), repo, true, []string{"a"}},
		"an absent argument":  {`@id("a") permit(principal, action, resource) when { context.input has milestone };`, person(), repo, false, nil},
		"there is an input":   {`@id("a") permit(principal, action, resource) when { context has input && context has size };`, person(), repo, true, []string{"a"}},
		"null is absent":      {`@id("a") permit(principal, action, resource) unless { context.input has milestone };`, person(), `{"owner": "o", "repo": "r", "milestone": null}`, true, []string{"a"}},
		"bytes":               {`@id("a") permit(principal, action, resource) when { context.bytes == 35 };`, person(), repo, true, []string{"a"}},
		"the size of a text":  {`@id("a") permit(principal, action, resource) when { context.size.owner == 7 };`, person(), repo, true, []string{"a"}},
		"the size of a list":  {`@id("a") permit(principal, action, resource) when { context.size.labels == 3 };`, person(), `{"owner": "o", "repo": "r", "labels": ["a", "a", "b"]}`, true, []string{"a"}},
		"the app":             {`@id("a") permit(principal, action, resource) when { context.app == App::"vscode" && context.app.name == "vscode" };`, person(), repo, true, []string{"a"}},
		"the network":         {`@id("a") permit(principal, action, resource) when { context.ip.isInRange(ip("203.0.113.0/24")) };`, person(), repo, true, []string{"a"}},
		"the time":            {`@id("a") permit(principal, action, resource) when { context.now < datetime("2026-11-28T12:00:01Z") };`, person(), repo, true, []string{"a"}},
		"a person":            {`@id("a") permit(principal == User::"t/alice", action, resource);`, person(), repo, true, []string{"a"}},
		"another person":      {`@id("a") permit(principal == User::"t/bob", action, resource);`, person(), repo, false, nil},
		"cautious annotation": {`@id("a") forbid(principal, action, resource) when { resource.destructive }; permit(principal, action, resource);`, person(), repo, false, []string{"a"}},
		"ToolHive":            {`@id("a") permit(principal == Client::"alice", action == Action::"call_tool", resource == Tool::"github/create_issue") when { context.arg_owner == "contoso" && !(context has arg_labels_present) };`, person(), repo, true, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := engine(t, tc.policies).Decide(request(tc.principal, tc.arguments))
			if d.Allow != tc.allow {
				t.Errorf("allowed: %v (%s, %v)", d.Allow, d.Why, d.Errors)
			}
			if diff := cmp.Diff(tc.reasons, ids(d.Reasons)); diff != "" {
				t.Error("reasons", diff)
			}
		})
	}
}

// TestGroupsComplete has a forbid and a negated permit on groups decide for callers
// whose membership is not known: neither may let them through.
func TestGroupsComplete(t *testing.T) {
	unknown := func(why string) *policy.Principal {
		p := person()
		p.GroupsKnown, p.GroupsWhy = false, why
		return p
	}
	unresolved := person("staff")
	unresolved.Unresolved = []string{"contractors"}
	policies := map[string]string{
		"a forbid":                     `permit(principal, action, resource); forbid(principal in Group::"contractors", action, resource);`,
		"a negated permit":             `permit(principal, action, resource) unless { principal in Group::"contractors" };`,
		"a forbid on texts":            `permit(principal, action, resource); forbid(principal, action, resource) when { principal.groups.contains("contractors") };`,
		"a negated permit on claims":   `permit(principal, action, resource) when { !principal.claim_groups.contains("contractors") };`,
		"a forbid in ToolHive's words": `permit(principal, action, resource); forbid(principal in THVGroup::"contractors", action, resource);`,
		"a comparison with a variable": `permit(principal, action, resource) unless { principal in resource };`,
	}
	for name, text := range policies {
		e := engine(t, text)
		for why, p := range map[string]*policy.Principal{
			"the claim is absent": unknown("the token has no groups"), "overage": unknown("the groups are too many for the token"), "nobody says why": unknown(""), "the alias is unknown": unresolved,
		} {
			if d := e.Decide(request(p, repo)); d.Allow {
				t.Errorf("%s, %s: allowed", name, why)
			}
			if e.GroupsNeeded(p) == "" {
				t.Errorf("%s, %s: nothing is said", name, why)
			}
			if slices.Contains(e.View(p, []*policy.Object{createIssue}), true) {
				t.Errorf("%s, %s: tools are shown", name, why)
			}
		}
		if d := e.Decide(request(person("staff"), repo)); !d.Allow {
			t.Errorf("%s: who is in other groups is denied: %s", name, d.Why)
		}
	}
	e := engine(t, `permit(principal, action, resource);`)
	if d := e.Decide(request(unknown("absent"), repo)); !d.Allow {
		t.Error("groups matter to policies that name none")
	}
}

func TestErrors(t *testing.T) {
	const text = `@id("p") permit(principal, action, resource);
@id("broken") forbid(principal, action, resource) when { context.input.milestone > 3 };
@id("p2") permit(principal, action, resource) when { context.input.milestone > 3 };`
	d := engine(t, text).Decide(request(person(), repo))
	if d.Allow || !slices.Equal(ids(d.Reasons), []string{"broken"}) {
		t.Errorf("a forbid that cannot be evaluated does not deny: %+v", d)
	}
	if diff := cmp.Diff([]string{"broken", "p2"}, ids(d.Errors)); diff != "" {
		t.Error("errors", diff)
	}
	skips := func(o *policy.Options) { o.SkipErrors = true }
	if d := engine(t, text, skips).Decide(request(person(), repo)); !d.Allow {
		t.Error("SkipErrors does not skip")
	}
}

func TestUnholdable(t *testing.T) {
	const looks = `permit(principal, action, resource) when { context.input.amount.lessThan(decimal("10.0")) };`
	for arguments, allow := range map[string]bool{
		`{"owner": "o", "repo": "r", "amount": 1.5}`:                                  true,
		`{"owner": "o", "repo": "r", "amount": 1.00001}`:                              false,
		`{"owner": "o", "repo": "r", "amount": 0.30000000000000000001}`:               false,
		`{"owner": "o", "repo": "r", "amount": 99999999999999999}`:                    false,
		`{"owner": "o", "repo": "r", "amount": 9}`:                                    true,
		`{"owner": "o", "repo": "r", "amount": 1, "milestone": 99999999999999999999}`: true, // nobody looks at it
	} {
		if d := engine(t, looks).Decide(request(person(), arguments)); d.Allow != allow {
			t.Errorf("%s: allowed %v: %s", arguments, d.Allow, d.Why)
		}
	}
}

// TestArgumentsAgainstTheSchema has forbids that nothing satisfies which the schema
// accepts: what it does not accept is denied, too.
func TestArgumentsAgainstTheSchema(t *testing.T) {
	for _, condition := range []string{`!(context.input has repo)`, `context.input.repo == 1`, `context.input.repo == "web"`} {
		e := engine(t, `permit(principal, action, resource); forbid(principal, action, resource) when { `+condition+` };`)
		for _, arguments := range []string{`{"owner": "contoso"}`, `{"owner": "contoso", "repo": 1}`} {
			if e.Decide(request(person(), arguments)).Allow {
				t.Errorf("%s: %s is allowed", condition, arguments)
			}
		}
	}
}

func TestMessages(t *testing.T) {
	byDefault := func(o *policy.Options) { o.DenyMessage = "ask" }
	for name, tc := range map[string]struct{ policies, want string }{
		"the block's":       {``, "ask"},
		"a forbid's":        {`@deny_message("no") forbid(principal, action, resource); permit(principal, action, resource);`, "no"},
		"a permit's":        {`@deny_message("only contoso") permit(principal, action, resource) when { context.input.owner == "fabrikam" };`, "only contoso"},
		"not of other ones": {`@deny_message("no") forbid(principal, action, resource == Tool::"jira/x");`, "ask"},
		"the first":         {`forbid(principal, action, resource); @deny_message("b") forbid(principal, action, resource); @deny_message("c") forbid(principal, action, resource);`, "b"},
	} {
		if d := engine(t, tc.policies, byDefault).Decide(request(person(), repo)); d.Allow || d.Message != tc.want {
			t.Errorf("%s: %q, want %q", name, d.Message, tc.want)
		}
	}
}

func TestObserve(t *testing.T) {
	e := engine(t, `@id("f") forbid(principal, action, resource);`, func(o *policy.Options) { o.Observe = true })
	if d := e.Decide(request(person(), repo)); !d.Allow || !d.WouldDeny || !slices.Equal(ids(d.Reasons), []string{"f"}) {
		t.Errorf("%+v", d)
	}
	if !e.View(person(), []*policy.Object{createIssue})[0] {
		t.Error("a tool is hidden though nothing is enforced")
	}
	e = engine(t, `permit(principal, action, resource); @id("o") @observe forbid(principal, action, resource); @id("q") @observe permit(principal, action, resource);`)
	d := e.Decide(request(person(), repo))
	if !d.Allow || d.WouldDeny {
		t.Errorf("an observed forbid is in effect: %+v", d)
	}
	if diff := cmp.Diff([]string{"o", "q"}, ids(d.Observed)); diff != "" {
		t.Error(diff)
	}
	if engine(t, `@observe permit(principal, action, resource);`).Decide(request(person(), repo)).Allow {
		t.Error("an observed permit is in effect")
	}
	r := request(person(), repo)
	r.Observed = true
	if d := engine(t, ``).Decide(r); !d.Allow || !d.WouldDeny {
		t.Error("an observed upstream is enforced")
	}
}

func TestCandidate(t *testing.T) {
	candidate := func(text string) func(*policy.Options) {
		return func(o *policy.Options) { o.Candidate, o.CandidateDigest = parse(t, text), "next" }
	}
	e := engine(t, `permit(principal, action, resource);`, candidate(`@id("no") forbid(principal, action, resource);`))
	d := e.Decide(request(person(), repo))
	if !d.Allow || d.Candidate == nil || d.Candidate.Allow || d.Candidate.Digest != "next" || !slices.Equal(ids(d.Candidate.Reasons), []string{"no"}) {
		t.Errorf("%+v", d)
	}
	e = engine(t, `permit(principal, action, resource);`, candidate(`permit(principal, action, resource);`))
	if d := e.Decide(request(person(), repo)); d.Candidate != nil {
		t.Error("a difference where there is none")
	}
	unknown := person()
	unknown.GroupsKnown = false
	e = engine(t, `permit(principal, action, resource);`, candidate(`permit(principal in Group::"g", action, resource);`))
	if d := e.Decide(request(unknown, repo)); !d.Allow || d.Candidate == nil {
		t.Errorf("a candidate that needs groups decides for what is in effect: %+v", d)
	}
}

func TestObligations(t *testing.T) {
	e := engine(t, `
@rate("10/m") @max_bytes_in("1KiB") permit(principal, action, resource);
@max_bytes_in("512B") @max_bytes_out("2KiB") @redact_result("$.email") permit(principal, action, resource);
@rate("1/m") @audit("full") permit(principal, action, resource) when { context.input.owner == "fabrikam" };`)
	o := e.Decide(request(person(), repo)).Obligations
	if o.MaxBytesIn != 512 || o.MaxBytesOut != 2048 || o.Audit || len(o.Redact) != 1 {
		t.Errorf("%+v", o)
	}
}

const teams = `[
{"uid": {"type": "Team", "id": "web"}, "parents": [], "attrs": {"group": {"__entity": {"type": "Group", "id": "web-team"}}}},
{"uid": {"type": "Repo", "id": "contoso/web"}, "parents": [], "attrs": {"owner": {"__entity": {"type": "Team", "id": "web"}}}}]`

func ownFacts(t testing.TB) func(*policy.Options) {
	f, err := facts.Load([]source.File{
		{Name: "teams.json", Text: []byte(teams)},
		{Name: "teams.cedarschema", Text: []byte(`entity Team = { group: Group }; entity Repo = { owner: Team };`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *policy.Options) {
		o.Facts = f
		o.Binds = []facts.Bind{{Name: "target", Type: "Repo", ID: []facts.Part{
			{Argument: []string{"owner"}, Case: "lower"}, {Literal: "/"}, {Argument: []string{"repo"}, Case: "lower"},
		}}}
	}
}

// TestOwnTeam lets people write to the repositories of their own team.
func TestOwnTeam(t *testing.T) {
	e := engine(t, `permit(principal, action, resource) when { principal in context.target.owner.group };`, ownFacts(t))
	for name, tc := range map[string]struct {
		principal *policy.Principal
		arguments string
		allow     bool
	}{
		"own":        {person("web-team"), `{"owner": "Contoso", "repo": "WEB"}`, true},
		"another":    {person("staff"), repo, false},
		"unknown":    {person("web-team"), `{"owner": "contoso", "repo": "api"}`, false},
		"in one":     {person("web-team"), `{"owner": "contoso/web", "repo": ""}`, false},
		"in another": {person("web-team"), `{"owner": "", "repo": "contoso/web"}`, false},
	} {
		if d := e.Decide(request(tc.principal, tc.arguments)); d.Allow != tc.allow {
			t.Errorf("%s: allowed %v: %s %v", name, d.Allow, d.Why, d.Errors)
		}
	}
	p := person()
	p.GroupsKnown = false
	if e.Decide(request(p, repo)).Allow {
		t.Error("allowed though nobody knows the groups")
	}
	if !e.View(person("web-team"), []*policy.Object{createIssue})[0] {
		t.Error("the tool is hidden from the team")
	}
	if !e.LooksAtArguments(createIssue) {
		t.Error("a bind looks at arguments")
	}
}

// TestUnknownTargetDenies has everything else permitted.
func TestUnknownTargetDenies(t *testing.T) {
	e := engine(t, `permit(principal, action, resource); forbid(principal, action, resource) when { context.target.owner == Team::"ops" };`, ownFacts(t))
	if e.Decide(request(person(), `{"owner": "contoso", "repo": "nope"}`)).Allow {
		t.Error("a repository of which nothing is known is let through")
	}
	if !e.Decide(request(person(), repo)).Allow {
		t.Error("one that is known is not")
	}
}

func TestLooked(t *testing.T) {
	e := engine(t, `permit(principal in Group::"platform", action, resource) when { context.input.owner == "contoso" && !resource.read_only && principal.tenant == "t" && !(principal has email) && !(context.input has title) && !(context has arg_title) };`)
	got, err := json.Marshal(e.Decide(request(person("platform", "staff"), repo)).Looked())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"context.arg_owner":"contoso","context.arg_title":null,"context.input.owner":"contoso","context.input.title":null,"principal in":["Group::\"platform\""],"principal.email":null,"principal.tenant":"t","resource.read_only":false}`
	if string(got) != want {
		t.Errorf("%s", got)
	}
}

// TestClasses has callers that differ in nothing that matters share what is known
// of them, and others not.
func TestClasses(t *testing.T) {
	e := engine(t, `permit(principal in Group::"platform", action, resource) when { principal.tenant == "t" };`)
	key := func(change func(*policy.Principal)) string {
		p := person("platform")
		change(p)
		return e.ViewKey(p)
	}
	same := key(func(*policy.Principal) {})
	if key(func(p *policy.Principal) { p.ID, p.Name, p.Groups = "t/bob", "Bob", []string{"staff", "platform"} }) != same {
		t.Error("a name tells callers apart though no policy looks at it")
	}
	for name, other := range map[string]string{
		"groups":   key(func(p *policy.Principal) { p.Groups = nil }),
		"tenant":   key(func(p *policy.Principal) { p.Tenant = "u" }),
		"workload": key(func(p *policy.Principal) { p.Workload = true }),
	} {
		if other == same {
			t.Errorf("%s does not tell callers apart", name)
		}
	}
}

func TestClaims(t *testing.T) {
	p := person()
	p.Claims = json.RawMessage(`{"sub": "s1", "level": 3, "admin": true, "dept": "sales", "amr": ["mfa", "pwd"], "mixed": [1, "a"], "deep": {"a": {"b": "c"}}, "share": 0.25, "huge": 1e30, "n": null}`)
	for text, allow := range map[string]bool{
		`principal.claim_level == 3`:                                      true,
		`principal.claim_admin`:                                           true,
		`principal.claim_dept == "sales"`:                                 true,
		`principal.claim_amr.contains("mfa")`:                             true,
		`principal.claim_deep.a.b == "c"`:                                 true,
		`principal.claim_share == decimal("0.25")`:                        true,
		`principal has claim_mixed`:                                       false,
		`principal has claim_huge`:                                        false,
		`principal has claim_n`:                                           false,
		`principal.hasTag("dept") && principal.getTag("dept") == "sales"`: true,
		`principal.hasTag("level")`:                                       false,
		`principal in Client::"s1"`:                                       true,
		`context.claim_dept == "sales"`:                                   true,
	} {
		e := engine(t, `permit(principal, action, resource) when { `+text+` };`)
		if d := e.Decide(request(p, repo)); d.Allow != allow {
			t.Errorf("%s: %v %v", text, d.Allow, d.Errors)
		}
	}
}

func TestAuth(t *testing.T) {
	p := person()
	p.Auth = policy.Auth{Contexts: []string{"c1"}, Methods: []string{"pwd", "mfa"}, Time: time.Date(2026, 11, 28, 11, 50, 0, 0, time.UTC)}
	for text, allow := range map[string]bool{
		`context.auth.mfa`:                           true,
		`context.auth.acrs.contains("c1")`:           true,
		`context.auth.age < duration("15m")`:         true,
		`context.auth.age < duration("5m")`:          false,
		`context.session.calls == 7`:                 true,
		`context.session.labels.contains("private")`: true,
	} {
		r := request(p, repo)
		r.Session = policy.Session{Calls: 7, Labels: []string{"private"}}
		if d := engine(t, `permit(principal, action, resource) when { `+text+` };`).Decide(r); d.Allow != allow {
			t.Errorf("%s: %v %v", text, d.Allow, d.Errors)
		}
	}
	r := request(person(), repo)
	r.IP = netip.Addr{}
	if engine(t, `permit(principal, action, resource) when { context has ip || context.auth has age };`).Decide(r).Allow {
		t.Error("an address or a time that nobody knows is there")
	}
}

// TestStepUp tells a denial for want of stronger authentication from all others.
func TestStepUp(t *testing.T) {
	const text = `permit(principal, action, resource) when { context.input.owner == "contoso" && context.auth.acrs.contains("c1") };`
	e := engine(t, text)
	for arguments, want := range map[string]string{repo: "c1", `{"owner": "fabrikam", "repo": "web"}`: ""} {
		r := request(person(), arguments)
		if got := e.StepUp(r, e.Decide(r)); got != want {
			t.Errorf("%s: %q, want %q", arguments, got, want)
		}
	}
	r := request(person(), repo)
	r.Principal.Auth.Contexts = []string{"c1"}
	if d := e.Decide(r); !d.Allow || e.StepUp(r, d) != "" {
		t.Error("who is signed in strongly is asked to")
	}
}
