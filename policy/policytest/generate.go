package policytest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/policy"
)

// Upstreams are those of all cases.
var Upstreams = []string{"github", "jira"}

// A Generator makes random cases. Equal seeds make equal ones.
type Generator struct{ *rand.Rand }

// NewGenerator makes a generator.
func NewGenerator(seed uint64) *Generator { return &Generator{rand.New(rand.NewPCG(seed, 7))} }

func pick[T any](g *Generator, all ...T) T { return all[g.IntN(len(all))] }

func (g *Generator) chance(percent int) bool { return g.IntN(100) < percent }

// Case makes one whose policies can be read: what no request has is a mistake in a
// policy, and made by chance now and then.
func (g *Generator) Case() *Case {
	for {
		c := g.any()
		if _, err := c.Engine(true); err == nil {
			return c
		}
	}
}

func (g *Generator) any() *Case {
	c := &Case{Facts: g.chance(25), Caller: g.Caller(), Object: g.Object(), Now: moments[g.IntN(len(moments))]}
	c.Policies = g.Policies(c.Facts)
	c.Arguments = g.Arguments(c.Object)
	if g.chance(90) {
		c.IP = pick(g, "10.1.2.3", "203.0.113.7", "2001:db8::1", "::ffff:10.0.0.1")
	}
	c.Session = policy.Session{Calls: int64(g.IntN(5)), Labels: g.some("private", "secret")}
	return c
}

var moments = []time.Time{
	time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
	time.Date(2027, 1, 1, 0, 0, 0, 5_000_000, time.UTC),
}

// some are a few of all.
func (g *Generator) some(all ...string) []string {
	var few []string
	for _, s := range all {
		if g.chance(40) {
			few = append(few, s)
		}
	}
	return few
}

// Caller makes a caller.
func (g *Generator) Caller() Caller {
	c := Caller{
		ID: pick(g, "alice", "bob"), Workload: g.chance(20), Groups: g.some("g1", "g2", "g3"),
		Roles: g.some("reader", "admin"), Client: pick(g, "", "vscode", "claude"), Guest: g.chance(20),
	}
	claims := map[string]any{"sub": c.ID}
	if g.chance(70) {
		claims["dept"] = pick[any](g, "sales", "it", "", 7)
	}
	if g.chance(50) {
		claims["level"] = g.IntN(4)
	}
	if g.chance(30) {
		claims["admin"] = g.chance(50)
	}
	if g.chance(30) {
		claims["amr"] = g.some("mfa", "pwd")
	}
	if g.chance(20) {
		claims["share"] = 0.25
		claims["deep"] = map[string]any{"a": map[string]any{"b": "c"}}
	}
	c.Claims, _ = json.Marshal(claims) // which are JSON
	c.Auth = policy.Auth{Contexts: g.some("c1", "c2"), Methods: g.some("mfa", "pwd")}
	if g.chance(70) {
		c.Auth.Time = moments[0].Add(-time.Duration(g.IntN(90)) * time.Minute)
	}
	return c
}

// Schema is that of every tool with arguments.
const Schema = `{"type": "object", "properties": {
	"owner": {"type": "string", "enum": ["acme", "contoso"]}, "repo": {"type": "string"}, "title": {"type": "string"},
	"branch": {"type": "string", "default": "main"}, "count": {"type": "integer"}, "amount": {"type": "number"},
	"force": {"type": "boolean"}, "labels": {"type": "array", "items": {"type": "string"}},
	"since": {"type": "string", "format": "date-time"}, "host": {"type": "string", "format": "ipv4"},
	"issue": {"type": "object", "properties": {"id": {"type": "integer"}, "state": {"type": "string"}}, "required": ["id"]},
	"body": {"type": ["string", "null"]}, "a-b": {"type": "string"}
}, "required": ["owner", "repo"]}`

// schemas are those of some tools, instead of Schema.
var schemas = []string{
	// The same names with other types, some of which Cedar cannot hold.
	`{"type": "object", "properties": {
	"owner": {"type": "integer", "minimum": 0}, "repo": {"type": ["string", "null"]}, "title": {"type": "string", "enum": ["x", "fix: y"]},
	"branch": {"type": "string", "enum": ["main"]}, "count": {"type": "integer", "default": 2}, "amount": {"type": "integer"}, "force": {"type": "boolean", "default": true},
	"labels": {"type": "array", "items": {}}, "since": {"type": "string", "format": "date"}, "host": {"type": "string"}, "issue": {"type": "object"},
	"body": {"anyOf": [{"type": "string"}, {"type": "integer"}]}, "a-b": {"type": "array", "items": {"type": "string", "enum": ["c", "d"]}}
	}, "required": ["owner", "branch"], "additionalProperties": false}`,
	// What a list of issues takes.
	`{"type": "object", "properties": {
	"repo": {"type": "string", "default": "web"}, "state": {"type": "string", "enum": ["all", "closed", "open"], "default": "open"}, "limit": {"type": "integer", "default": 20, "maximum": 100},
	"codes": {"type": "array", "items": {"type": "integer"}}, "when": {"type": "string", "format": "date-time"}, "a_b": {"type": "integer"}, "labels": {"type": "array", "items": {"type": "string"}, "default": ["bug"]}
	}}`,
	`{"type": "object"}`,
}

// Object makes one of few.
func (g *Generator) Object() Object {
	upstream := pick(g, Upstreams...)
	tags := g.some("prod", "scm")
	switch g.IntN(10) {
	case 0:
		return Object{Prompt: &policy.Prompt{Upstream: upstream, Original: "review", Tags: tags, Arguments: json.RawMessage(`[{"name": "repo", "required": true}, {"name": "title"}]`)}}
	case 1:
		return Object{Resource: &policy.Resource{Upstream: upstream, URI: pick(g, "file:///a", "file:///b/c"), Name: pick(g, "", "a"), MIMEType: pick(g, "", "text/plain"), Tags: tags}}
	}
	t := &policy.Tool{
		Upstream: upstream, Original: pick(g, "get", "create", "delete"), Tags: tags, Pinned: g.chance(50), Trusted: g.chance(50), Title: pick(g, "", "T"),
		InputSchema: json.RawMessage(Schema), Annotations: json.RawMessage(pick(g, `{}`, `{"readOnlyHint": true}`, `{"destructiveHint": false}`, `{"openWorldHint": false, "idempotentHint": true}`)),
	}
	if g.chance(25) {
		t.InputSchema = json.RawMessage(pick(g, schemas...))
	}
	t.Published = t.Upstream + "_" + t.Original
	return Object{Tool: t}
}

// Arguments makes arguments that the object's schema accepts; nil for none.
func (g *Generator) Arguments(o Object) json.RawMessage {
	var m map[string]any
	switch {
	case o.Tool != nil && string(o.Tool.InputSchema) != Schema:
		m = g.otherArguments(o.Tool.InputSchema)
	case o.Tool != nil:
		m = g.toolArguments()
	case o.Prompt != nil:
		m = map[string]any{"repo": pick(g, "web", "api", "")}
		g.maybe(m, "title", pick(g, "x", ""))
	default:
		return nil
	}
	raw, _ := json.Marshal(m) // which is JSON
	return raw
}

func (g *Generator) toolArguments() map[string]any {
	m := map[string]any{"owner": pick(g, "acme", "contoso"), "repo": pick(g, "web", "API", "ops", "")}
	g.maybe(m, "title", pick(g, "x", "fix: y", "äöü"))
	g.maybe(m, "branch", pick(g, "main", "dev", "release-1"))
	g.maybe(m, "count", pick[any](g, 0, 1, 5, -1, int64(1<<53-1), 3.0, nil))
	g.maybe(m, "amount", pick[any](g, 0.25, 1, json.Number("1.5000"), json.Number("12e2"), -0.5))
	g.maybe(m, "force", g.chance(50))
	g.maybe(m, "labels", append([]string{}, g.some("bug", "p1", "bug")...))
	g.maybe(m, "since", pick(g, "2026-11-28T12:00:00Z", "2020-01-01T00:00:00.5Z", "2026-11-28T12:00:00+01:00"))
	g.maybe(m, "host", pick(g, "10.0.0.1", "203.0.113.9"))
	g.maybe(m, "body", pick[any](g, "b", nil))
	g.maybe(m, "a-b", "c")
	if g.chance(30) {
		m["issue"] = map[string]any{"id": g.IntN(4)}
		g.maybe(m["issue"].(map[string]any), "state", pick(g, "open", "closed"))
	}
	return m
}

// otherArguments are those of another of the schemas.
func (g *Generator) otherArguments(schema json.RawMessage) map[string]any {
	m := map[string]any{}
	switch string(schema) {
	case schemas[0]:
		m["owner"], m["branch"] = g.IntN(5), "main"
		g.maybe(m, "repo", pick[any](g, "web", nil))
		g.maybe(m, "title", pick(g, "x", "fix: y"))
		g.maybe(m, "count", g.IntN(6))
		g.maybe(m, "force", g.chance(50))
		g.maybe(m, "labels", []any{"bug", 1, nil})
		g.maybe(m, "since", "2026-11-28")
		g.maybe(m, "host", "10.0.0.1")
		g.maybe(m, "issue", map[string]any{"id": 1, "state": "open"})
		g.maybe(m, "body", pick[any](g, "b", 1))
		g.maybe(m, "a-b", g.some("c", "d"))
	case schemas[1]:
		g.maybe(m, "repo", pick(g, "web", "ops"))
		g.maybe(m, "state", pick(g, "all", "closed", "open"))
		g.maybe(m, "limit", pick(g, 1, 9, 10, 20, 100))
		g.maybe(m, "codes", pick(g, []int{}, []int{1}, []int{1, 2}))
		g.maybe(m, "when", "2026-11-28T12:00:00Z")
		g.maybe(m, "a_b", g.IntN(3))
	}
	return m
}

func (g *Generator) maybe(m map[string]any, name string, v any) {
	if g.chance(45) {
		m[name] = v
	}
}

// Policies makes a few policies.
func (g *Generator) Policies(facts bool) string {
	var b strings.Builder
	for i := range 1 + g.IntN(5) {
		fmt.Fprintf(&b, "@id(\"p%d\")\n%s(%s, %s, %s)", i, pick(g, "permit", "permit", "permit", "forbid"), g.principal(facts), g.action(), g.resource(facts))
		for range g.IntN(3) {
			fmt.Fprintf(&b, "\n%s { %s }", pick(g, "when", "when", "unless"), g.condition(3, facts))
		}
		b.WriteString(";\n")
	}
	return b.String()
}

func (g *Generator) principal(facts bool) string {
	if facts && g.chance(15) {
		return pick(g, `principal in Team::"ops"`, `principal in Tag::"filed"`, `principal is User in Team::"api"`)
	}
	return pick(g, "principal", "principal", "principal", `principal in Group::"g1"`, `principal in Group::"g2"`, `principal == User::"t/alice"`,
		`principal is User`, `principal is Workload`, `principal is User in Group::"g1"`, `principal in Role::"admin"`, `principal in THVGroup::"g1"`, `principal in Client::"alice"`)
}

func (g *Generator) action() string {
	return pick(g, "action", "action", "action", `action == Action::"call_tool"`, `action in [Action::"call_tool", Action::"get_prompt"]`, `action == Action::"read_resource"`)
}

func (g *Generator) resource(facts bool) string {
	if facts && g.chance(15) {
		return pick(g, `resource in Tag::"filed"`, `resource in Team::"api"`, `resource is Resource in Tag::"filed"`)
	}
	return pick(g, "resource", "resource", "resource", `resource == Tool::"github/get"`, `resource == Tool::"github/create"`, `resource in Upstream::"github"`,
		`resource in Tag::"prod"`, `resource is Tool`, `resource is Tool in Upstream::"jira"`, `resource in MCP::"jira"`, `resource == Resource::"github/file:///a"`, `resource is Prompt`)
}

// condition makes a boolean expression, seldom one that fails.
func (g *Generator) condition(depth int, facts bool) string {
	if depth > 0 && g.chance(45) {
		a, b := g.condition(depth-1, facts), g.condition(depth-1, facts)
		return pick(g, a+" && "+b, "("+a+") || ("+b+")", "!("+a+")", "(if "+a+" then "+b+" else "+g.condition(depth-1, facts)+")", "("+a+") == ("+b+")")
	}
	if facts && g.chance(40) {
		return pick(g, factConditions...)
	}
	if g.chance(25) {
		return pick(g, oddConditions...)
	}
	return pick(g, conditions...)
}

// conditions are such about everything that policies see.
var conditions = []string{
	`true`, `false`, `context.input.owner == "acme"`, `context.input has title`, `context.input has title && context.input.title like "fix:*"`,
	`context.input.title like "*x*"`, `context.input.branch == "main"`, `context.input has count && context.input.count < 3`, `context.input.count + 1 > 2`,
	`context.input.count * 3 == 3`, `context.input.count * 9007199254740991 > 0`, `-context.input.count < 0`, `context.input.amount.lessThan(decimal("1.0"))`, `context.input has amount && context.input.amount == decimal("1.5")`,
	`context.input has force && context.input.force`, `context.input.force`, `context.input has labels && context.input.labels.contains("bug")`,
	`context.input.labels.containsAll(["bug", "p1"])`, `context.input.labels.containsAny(["p1"])`, `context.input has labels && context.input.labels.isEmpty()`,
	`context.input has since && context.input.since < context.now`, `context.now > datetime("2026-12-01")`, `context.input has host && context.input.host.isInRange(ip("10.0.0.0/8"))`,
	`context.input has issue.state && context.input.issue.state == "open"`, `context.input.issue.id > 1`, `context.input["a-b"] == "c"`, `context.input has body`,
	`context has input`, `context has size && context has bytes`, `context has session`, `context.input has nothing`, `context.input.nothing == 1`, `context.input.repo == 1`, `["web", "ops"].contains(context.input.repo)`,
	`context.input == {"owner": "acme", "repo": "web", "branch": "main"}`,
	`context.arg_owner == "acme"`, `context has arg_title && context.arg_title == "x"`, `context has arg_labels_present`, `resource.arg_repo == "web"`,
	`context.bytes < 60`, `context.size.repo < 4`, `context.size has title && context.size.title == 3`, `context.size has labels && context.size.labels > 1`,
	`context.app == App::"vscode"`, `context.app.name like "c*"`, `context.auth.mfa`, `context.auth.acrs.contains("c1")`, `context.auth has age && context.auth.age < duration("1h")`,
	`context.session.calls > 2`, `context.session.labels.contains("private")`, `context has ip && context.ip.isInRange(ip("10.0.0.0/8"))`, `context.ip.isIpv4()`,
	`principal in Group::"g1"`, `principal in [Group::"g2", Role::"admin"]`, `principal == User::"t/bob"`, `principal is Workload`, `principal.guest`, `principal.tenant == "t"`,
	`principal.groups.contains("g3")`, `principal.roles.containsAny(["admin"])`, `principal has claim_dept && principal.claim_dept == "it"`, `principal.claim_dept == "sales"`,
	`principal.claim_level > 1`, `principal.claim_level >= context.input.count`, `principal has claim_admin && principal.claim_admin`, `context.claim_dept == "it"`,
	`principal.hasTag("dept") && principal.getTag("dept") like "s*"`, `principal.getTag("dept") == "it"`, `principal.claim_deep.a.b == "c"`, `principal.name == "alice"`,
	`principal.claim_groups.contains("g1")`, `principal has email`,
	`resource in Upstream::"jira"`, `resource == Tool::"jira/delete"`, `resource in Tag::"scm"`, `resource is Tool && resource.read_only`, `resource.destructive`, `resource.pinned`,
	`resource.name == "get"`, `resource has title`, `resource has readOnlyHint && resource.readOnlyHint`, `resource.upstream == "github"`, `resource has uri && resource.uri like "*b*"`,
	`resource.operation == "call"`, `resource.idempotent || resource.open_world`, `Upstream::"github".name == resource.upstream`, `action == Action::"call_tool"`,
}

// oddConditions are such as few people write.
var oddConditions = []string{
	`context.input.owner == context.input.repo`, `context.input.repo == resource.name`, `context.input has count && context.input.count == context.session.calls`,
	`{"a": context.input.owner}.a == "acme"`, `{"a": context.input.owner, "b": 1} == {"a": "acme", "b": 1}`, `(if context.input has count then context.input.count else 0) > 2`,
	`[context.input.owner, context.input.repo].contains("web")`, `[context.input.owner, "x"].containsAll(["acme"])`, `["acme"].containsAny([context.input.owner])`,
	`context.input has labels && context.input.labels == ["bug"]`, `context.input has labels && context.input.labels == []`, `[context.input.labels].contains(["bug", "p1"])`,
	`context.input has issue && context.input.issue == {"id": 1}`, `context.input has issue && !(context.input.issue has state)`, `context.input.issue.state like "o*"`,
	`context has ip && context.ip == ip("10.1.2.3")`, `context.now.toDate() == datetime("2026-11-28")`, `context.now.toTime() < duration("13h")`,
	`context.input has since && context.now.durationSince(context.input.since) > duration("1d")`, `context.input has since && context.input.since.offset(duration("1h")) > context.now`,
	`context.auth.acrs == ["c1"]`, `context.auth.acrs.isEmpty()`, `context.session.labels.isEmpty()`, `context.session == {"calls": 1, "labels": []}`, `context.auth has nothing`,
	`context.input has count && context.input.count * context.input.count == 25`, `context.input has count && context.input.count - 9223372036854775807 < 0`,
	`context.bytes == 40 + context.size.repo`, `context.size.labels == 2`, `context.size has count`, `context.size == {"owner": 4, "repo": 3}`,
	`principal in resource`, `resource in principal`, `principal == resource`, `principal in [resource, Group::"g1"]`, `[principal].contains(User::"t/alice")`, `{"p": principal}.p has email`,
	`principal.groups.contains(context.input.repo)`, `principal.roles.contains("admin") == context.auth.mfa`, `principal.name == context.input.owner`, `principal.groups == ["g1"]`,
	`context.arg_count > 1`, `context has arg_count && context.arg_count == 5`, `context has arg_since && context.arg_since like "2026*"`, `context has arg_host && context.arg_host == "10.0.0.1"`,
	`context has arg_issue_present && context.arg_issue_present`, `context has arg_amount && context.arg_amount.greaterThan(decimal("0.2"))`, `context has arg_force && context.arg_force`,
	`context has input && context has session`, `context.input has owner`, `context has bytes`, `context.input like "x"`, `context.input.owner.a == 1`, `context.input.owner in Group::"g1"`,
	`Tool::"github/get" has name`, `Tool::"github/get".name == "get"`, `Upstream::"github" in Tag::"prod"`, `Tool::"jira/get" in Upstream::"jira"`, `App::"claude".name == "claude"`, `context.app == App::"unknown"`,
	`resource.name like "*e*"`, `resource in [Tag::"prod", Upstream::"jira"]`, `resource is Resource && resource.uri == "file:///a"`, `resource is Resource && resource has mime_type`,
	`resource in Resource::"github/file:///a"`, `action in [Action::"read_resource", Action::"get_prompt"]`, `action == Action::"get_prompt" || context.input has title`,
	`context.input.a_b == 1`, `context.input.state == "open"`, `context.input.state like "c*"`, `["open", "all"].contains(context.input.state)`, `context.input has when && context.input.when > datetime("2026-01-01")`,
	`context.input.limit < 10`, `context.input.limit == 20`, `context.input has codes && context.input.codes.contains(2)`, `context.input.codes == [1]`, `context.input.owner == 3`,
	`9223372036854775807 + context.session.calls > 0`, `-9223372036854775808 == -context.session.calls`, `ip(context.input.repo).isIpv4()`, `datetime(context.input.title) < context.now`,
}

// factConditions are such about what files say.
var factConditions = []string{
	`principal in context.target.owner.group`, `context.target.public`, `context.target in Team::"web"`,
	`context.target == Repo::"acme/web"`, `context.target.owner has size && context.target.owner.size > 2`, `context.target.owner.size > 2`,
	`resource in Tag::"filed"`, `principal in Tag::"filed"`, `resource has level && resource.level > 1`, `resource.level == 3`, `Tool::"github/get".level == 3`, `Tool::"github/get" has name`,
	`Tool::"github/get" in Tag::"filed"`, `Tool::"github/get" in Tag::"prod"`, `Upstream::"jira" has region && Upstream::"jira".region == "eu"`, `Upstream::"jira" in Tag::"prod"`, `Upstream::"jira" in Tag::"filed"`,
	`resource in Team::"api"`, `Team::"ops" in Tag::"prod"`, `Team::"ops" in Upstream::"github"`, `principal in Team::"ops"`, `principal in Upstream::"github"`, `principal in Tag::"scm"`,
	`principal has floor && principal.floor == 2`, `User::"t/bob".floor == 2`, `User::"t/bob" has name`, `Group::"g3".floor == 3`, `Group::"g3" in Group::"g1"`, `context.app in Tag::"filed"`,
	`resource has team && principal in resource.team.group`, `principal in Team::"api"`, `Resource::"github/file:///a".level == 2`, `Resource::"github/file:///a" in Tag::"filed"`,
	`Resource::"github/file:///a" has uri`, `resource has team && context.target in resource.team`, `context.target.owner == Team::"web" && principal in Group::"g1"`, `Tool::"github/get".team.group == Group::"g1"`,
}
