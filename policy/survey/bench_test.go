package survey_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// realRows are 1,000 tools with the schemas of real servers, repeated under prefixes.
func realRows(t testing.TB) []survey.Row {
	t.Helper()
	f, err := os.Open("../typed/testdata/schemas.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var servers map[string]map[string]json.RawMessage
	if err := json.NewDecoder(z).Decode(&servers); err != nil {
		t.Fatal(err)
	}
	var rows []survey.Row
	for n := 0; len(rows) < 1_000; n++ {
		for _, server := range slices.Sorted(maps.Keys(servers)) {
			for i, name := range slices.Sorted(maps.Keys(servers[server])) {
				upstream := fmt.Sprintf("%s-%d", server, n+1)
				o := policy.ToolObject(policy.Tool{
					Upstream: upstream, Original: name, Trusted: true, InputSchema: servers[server][name],
					Annotations: fmt.Appendf(nil, `{"readOnlyHint": %v}`, i%3 > 0),
				})
				rows = append(rows, survey.Row{Object: o, Kind: "tool", Published: upstream + "_" + name})
			}
		}
	}
	return rows[:1_000]
}

// bigPolicies are 1,000 policies about the rows: by group, upstream and tool, with
// conditions on arguments that are there.
func bigPolicies(rows []survey.Row) string {
	var b strings.Builder
	for i := range 1_000 {
		row := rows[i%len(rows)]
		argument, upstream := argumentOf(row), row.Object.Upstream()
		switch i % 5 {
		case 0:
			fmt.Fprintf(&b, "permit (principal in Group::\"g%d\", action, resource in Upstream::%q) when { resource.read_only };\n", i%90, upstream)
		case 1:
			fmt.Fprintf(&b, "permit (principal in Group::\"g%d\", action, resource == %s);\n", i%90, row.Object)
		case 2:
			fmt.Fprintf(&b, "permit (principal in Group::\"g%d\", action, resource == %s) when { context.input has %q && context.input[%q] like \"a%d*\" };\n", i%90, row.Object, argument, argument, i)
		case 3:
			fmt.Fprintf(&b, "permit (principal in Group::\"g%d\", action, resource in Upstream::%q) when { context.auth.mfa && context.input has %q && context.input[%q] == \"r%d\" };\n", i%90, upstream, argument, argument, i)
		default:
			fmt.Fprintf(&b, "forbid (principal, action, resource in Upstream::%q) when { context.input has %q && context.input[%q] == \"x%d\" };\n", upstream, argument, argument, i)
		}
	}
	return b.String()
}

// argumentOf is an argument of a tool that is a text, or one that no tool has.
func argumentOf(r survey.Row) string {
	for _, f := range r.Object.Shape().Input.Fields {
		if f.Type.Cedar() == "String" {
			return f.Name
		}
	}
	return "nothing"
}

// bigCallers are 100 personas in three groups each, some of whom have signed in with a
// second factor.
func bigCallers() []survey.Caller {
	var all []survey.Caller
	for i := range 100 {
		p := &persona.Persona{Name: fmt.Sprintf("persona %d", i), MFA: i%3 == 0}
		for _, g := range []int{i, i * 7, i * 13} {
			p.Groups = append(p.Groups, fmt.Sprintf("g%d", g%100))
		}
		all = append(all, survey.Caller{Persona: p, Sort: survey.OfTests})
	}
	return all
}

// bound is how long one processor may work on a map, or a diff, of 100 personas, 1,000
// tools and 1,000 policies.
const bound = 5 * time.Second

// taken is how long something takes, in processor time and by the clock on the wall.
func taken(do func()) (busy, wall time.Duration) {
	at, begun := clock(), time.Now()
	do()
	return clock() - at, time.Since(begun)
}

func bigMap(t testing.TB, text string, rows []survey.Row) *survey.Map {
	t.Helper()
	m, err := survey.Of(engineOf(t, text), bigCallers(), rows, survey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLargeMapsAreFast makes the map with its page, and a diff, each from the text of the
// policies on.
func TestLargeMapsAreFast(t *testing.T) {
	rows := realRows(t)
	was := bigPolicies(rows)
	is := strings.ReplaceAll(was, `like "a1`, `like "b1`)
	var page bytes.Buffer
	matrix, matrixWall := taken(func() {
		page.Reset()
		if err := bigMap(t, was, rows).WriteHTML(&page, survey.Page{}); err != nil {
			t.Fatal(err)
		}
	})
	var d *survey.Diff
	diff, diffWall := taken(func() { d = survey.Compare(bigMap(t, was, rows), bigMap(t, is, rows)) })
	t.Logf("matrix and its page of %d KiB: %s of processors in %s; diff with %d changes: %s in %s", page.Len()>>10, matrix, matrixWall, len(d.Changes), diff, diffWall)
	if d.Pairs(survey.Changed) == 0 {
		t.Error("the diff finds nothing")
	}
	if !raceEnabled && (matrix > bound || diff > bound) {
		t.Errorf("the matrix took %s and the diff %s, more than %s", matrix, diff, bound)
	}
}
