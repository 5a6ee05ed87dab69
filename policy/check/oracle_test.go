package check_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// TestAgreesWithCedar has cedar-go's validator judge random policies, each with a schema
// of the one tool that it is about. What it refuses is found here, and what is found here
// it refuses. Not compared is what is judged otherwise on purpose:
//
//   - that an attribute is there is also learnt from a has that is false, from an earlier
//     condition, and for the size of an argument from the argument;
//   - sets may be empty, and have entities of several types in them;
//   - a text that the schema of a tool does not allow, a has of what is never there, and a
//     comparison of entities whose types make it always false, are mistakes here;
//   - what depends on the tool alone is decided, so that nothing behind it is reached.
func TestAgreesWithCedar(t *testing.T) {
	const cases = 12_000
	counts := map[bool]int{}
	for i, tool := range oracleTools(t) {
		object := policy.ToolObject(tool)
		engine, err := policy.New(policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		context := engine.Study(object).Context
		schema, err := ast.ReadSchema("schema", []byte(schemaFor(context)))
		if err != nil {
			t.Fatalf("%v in\n%s", err, schemaFor(context))
		}
		validator := ast.NewValidator(schema)
		g := &expressions{rand.New(rand.NewPCG(uint64(i), 5)), placesIn(context)}
		for range cases / 4 {
			text := fmt.Sprintf("@id(\"p\")\npermit (principal, action == Action::\"call_tool\", resource == %s)\nwhen { %s };", object, g.boolean(3, nil))
			options := source.Options{Upstreams: []string{"u"}}
			files := []source.File{{Name: "p", Text: []byte(text)}}
			policies, _, err := source.Parse(files, options)
			if err != nil {
				continue // an attribute that there is not, which cannot be read
			}
			refused := validator.Policy("", policies[0].AST)
			found := typeFindings(check.Check(check.Input{Files: files, Options: options, Objects: []*policy.Object{object}}))
			if (refused != nil) != (found != nil) {
				t.Errorf("Cedar says %v; found are %v; in\n%s", refused, found, text)
			}
			counts[refused != nil]++
		}
	}
	if counts[true] < cases/5 || counts[false] < cases/5 {
		t.Errorf("%d are refused, %d are not", counts[true], counts[false])
	}
}

// typeFindings are those that say that something cannot be evaluated.
func typeFindings(all []check.Finding) []check.Finding {
	var found []check.Finding
	for _, f := range all {
		asked := strings.HasSuffix(string([]rune(f.Source)[:f.Column-1]), " has ")
		if !asked && slices.Contains([]string{
			"wrong-type", "unguarded-optional", "unguarded-tag", "unknown-argument", "unknown-attribute", "unusable-argument", "no-size", "bad-literal", "unchecked-text",
		}, f.Code) {
			found = append(found, f)
		}
	}
	return found
}

func oracleTools(t *testing.T) []policy.Tool {
	all := catalogues(t)
	var tools []policy.Tool
	for _, of := range []struct{ label, name string }{{"odd", "create-issue"}, {"odd", "issues.list"}, {"kubernetes", "pods_log"}, {"memory", "delete_entities"}} {
		i := slices.IndexFunc(all[of.label], func(l listedTool) bool { return l.Name == of.name })
		tools = append(tools, policy.Tool{Upstream: "u", Original: "t", Published: "u_t", InputSchema: all[of.label][i].InputSchema})
	}
	return tools
}

// schemaFor is a schema with one action, in such a context.
func schemaFor(context *typed.Type) string {
	var b strings.Builder
	for _, e := range source.Words().Entities {
		fmt.Fprintf(&b, "entity %s", e.Name)
		if len(e.Parents) > 0 {
			fmt.Fprintf(&b, " in [%s]", strings.Join(e.Parents, ", "))
		}
		if e.Name == "User" || e.Name == "Workload" {
			b.WriteString(" = {")
			for i, a := range e.Attributes {
				if i > 0 {
					b.WriteString(", ")
				}
				optional := ""
				if a.Optional {
					optional = "?"
				}
				fmt.Fprintf(&b, "%s%s: %s", a.Name, optional, a.Type)
			}
			b.WriteString("} tags String")
		}
		b.WriteString(";\n")
	}
	fmt.Fprintf(&b, "action call_tool appliesTo { principal: [User, Workload], resource: [Tool], context: %s };\n", context.Cedar())
	return b.String()
}

// A place is where a value is found, with what to ask first.
type place struct {
	text     string
	typ      *typed.Type
	base     string
	name     string
	optional bool
}

// placesIn are those in the context, and of the principal.
func placesIn(context *typed.Type) []place {
	text, optional := &typed.Type{Kind: typed.String}, true
	all := []place{
		{"principal.name", text, "principal", "name", false},
		{"principal.email", text, "principal", "email", optional},
		{"principal.guest", &typed.Type{Kind: typed.Bool}, "principal", "guest", false},
		{"principal.groups", &typed.Type{Kind: typed.Set, Elem: text}, "principal", "groups", false},
		{"principal.claim_sub", text, "principal", "claim_sub", false},
		{"context.input.nothing", text, "context.input", "nothing", false},
		{"context.auth.nothing", text, "context.auth", "nothing", false},
	}
	return append(all[:6:6], below("context", context)...) // source refuses the last
}

func below(base string, t *typed.Type) []place {
	var all []place
	for _, f := range t.Fields {
		if strings.HasPrefix(f.Name, "arg_") || base == "context" && (f.Name == "app" || f.Name == "size") {
			continue
		}
		p := place{base + "." + f.Name, f.Type, base, f.Name, !f.Required}
		if strings.ContainsFunc(f.Name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) {
			p.text, p.name = fmt.Sprintf("%s[%q]", base, f.Name), fmt.Sprintf("%q", f.Name)
		}
		all = append(all, p)
		if f.Type.Kind == typed.Record && f.Required {
			all = append(all, below(p.text, f.Type)...)
		}
	}
	return all
}

// expressions makes random ones.
type expressions struct {
	*rand.Rand
	places []place
}

func (g *expressions) of(all ...string) string { return all[g.IntN(len(all))] }

func (g *expressions) chance(percent int) bool { return g.IntN(100) < percent }

// boolean is true or false, and now and then neither. Guarded are the texts of places that
// are there.
func (g *expressions) boolean(depth int, guarded []string) string {
	if depth > 0 {
		switch g.IntN(7) {
		case 0, 1:
			return fmt.Sprintf("(%s && %s)", g.boolean(depth-1, guarded), g.boolean(depth-1, guarded))
		case 2:
			return fmt.Sprintf("(%s || %s)", g.boolean(depth-1, guarded), g.boolean(depth-1, guarded))
		case 3:
			return fmt.Sprintf("(if %s then %s else %s)", g.boolean(depth-1, guarded), g.boolean(depth-1, guarded), g.boolean(depth-1, guarded))
		case 4:
			p := g.places[g.IntN(len(g.places))]
			if p.name != "nothing" {
				return g.asked(p, depth-1, guarded)
			}
		}
	}
	switch g.IntN(10) {
	case 0:
		return g.of(`principal in Group::"g"`, `principal is User`, `principal in [Group::"g", Group::"h"]`, `context.app == App::"vscode"`, `principal in principal`, `context.auth.acrs in Group::"g"`)
	case 1:
		return g.of(`principal.hasTag("a")`, `principal.hasTag("a") && principal.getTag("a") == "x"`, `principal.getTag("a") == "x"`, `principal.hasTag("a") && principal.getTag("b") like "x"`, `context.now.hasTag("a")`)
	case 2:
		return g.of("true", "context.auth.mfa", `context.bytes`, `"text"`)
	}
	return g.about(g.places[g.IntN(len(g.places))], depth, guarded)
}

// asked is a condition on a place that begins with whether it is there, in one way or
// another, some of which do not help.
func (g *expressions) asked(p place, depth int, guarded []string) string {
	has, about := fmt.Sprintf("%s has %s", p.base, p.name), p.text+g.fitting(p.typ)
	inside := append(slices.Clone(guarded), p.text)
	switch g.IntN(10) {
	case 0:
		return fmt.Sprintf("((%s || %s) && %s)", has, g.boolean(depth, guarded), about)
	case 1:
		return fmt.Sprintf("((%s && %s || %s) && %s)", has, g.boolean(depth, guarded), has, about)
	case 2:
		return fmt.Sprintf("((if %s then %s else %s) && %s)", g.boolean(depth, guarded), has, g.of(has, "principal.guest", "false"), about)
	case 3:
		return fmt.Sprintf("(if %s then %s else %s)", has, about, g.boolean(depth, guarded))
	case 4:
		return fmt.Sprintf("(if %s then %s else %s)", g.boolean(depth, guarded), has, about)
	case 5:
		return fmt.Sprintf("(%s || %s && %s)", g.boolean(depth, guarded), has, about)
	case 6:
		return fmt.Sprintf("(%s && %s)", about, has)
	}
	return fmt.Sprintf("(%s && %s)", has, g.about(p, depth, inside))
}

// about is a condition on a place.
func (g *expressions) about(p place, depth int, guarded []string) string {
	if p.optional && !slices.Contains(guarded, p.text) && g.chance(60) {
		return g.boolean(max(depth-1, 0), guarded) // seldom without asking
	}
	if g.chance(12) {
		return p.text + g.of(` == "x"`, ` > 3`, `.contains("x")`, ` like "*"`, `.isIpv4()`, `.lessThan(decimal("1.0"))`, ` == context.now`, ` in Group::"g"`, ` + 1 == 2`, `.isEmpty()`, ` has x`, ``)
	}
	return p.text + g.fitting(p.typ)
}

// fitting is what may follow a value of a type.
func (g *expressions) fitting(t *typed.Type) string {
	switch t.Kind {
	case typed.String:
		if len(t.Enum) > 0 {
			return fmt.Sprintf(" == %s", types.String(t.Enum[0]).MarshalCedar())
		}
		return g.of(` == "x"`, ` like "x*"`, ` != principal.name`)
	case typed.Long:
		return g.of(` > 3`, ` == 1`, ` + 2 * 3 <= context.session.calls`, ` - 1 < 9`)
	case typed.Bool:
		return g.of(``, ` == true`, ` != principal.guest`)
	case typed.Decimal:
		return g.of(`.lessThan(decimal("1.5"))`, ` == decimal("0.25")`, `.greaterThan(decimal("1.00001"))`)
	case typed.Datetime:
		return g.of(` < datetime("2027-01-01")`, `.toDate() == context.now`, `.durationSince(context.now) > duration("1h")`, ` < datetime("2027-31-01")`)
	case typed.Duration:
		return g.of(` < duration("1h30m")`, `.toHours() > 3`, ` < duration("soon")`)
	case typed.Address:
		return g.of(`.isInRange(ip("10.0.0.0/8"))`, `.isLoopback()`, ` == ip("::1")`, `.isInRange(ip("10.0.0.0/99"))`, ` == ip(principal.name)`)
	case typed.Set:
		return g.of(`.contains("x")`, `.containsAny(["x", "y"])`, `.isEmpty()`, ` == ["x"]`, `.containsAll([1])`, `.contains(3)`)
	}
	return g.of(` == 3`, ` has x`)
}
