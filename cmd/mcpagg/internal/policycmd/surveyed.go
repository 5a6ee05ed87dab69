package policycmd

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/suite"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// callersHelp is whom commands ask about, for their help.
const callersHelp = `Callers are the personas of the tests beside the policies, and those that policies speak
of: anybody, and one for each group, role, app, person and program that they name. --as
and --group choose some of them.`

// A callersFlags chooses callers.
type callersFlags struct {
	as, groups []string
}

func (c *callersFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&c.as, "as", nil, "ask only about this caller: a persona of the tests, anybody, 'Group NAME' … (repeatable)")
	f.StringArrayVar(&c.groups, "group", nil, "ask only about somebody in this group (repeatable)")
}

// choose are the callers that the flags name, of all of them; all without flags.
func (c *callersFlags) choose(all []survey.Caller) ([]survey.Caller, error) {
	if c.as == nil && c.groups == nil {
		return all, nil
	}
	var chosen []survey.Caller
	for _, name := range c.as {
		i := slices.IndexFunc(all, func(o survey.Caller) bool { return o.Name == name })
		if i < 0 {
			return nil, cli.UsageError("there is no caller %q; there are: %s", cli.Visible(name), namesOf(all))
		}
		chosen = append(chosen, all[i])
	}
	for _, g := range c.groups {
		chosen = append(chosen, survey.Caller{Persona: &persona.Persona{Name: "Group " + g, ID: "somebody", Groups: []string{g}}, Sort: survey.OfGroup})
	}
	return chosen, nil
}

// namesOf are the names of callers for a message.
func namesOf(all []survey.Caller) string {
	const most = 30
	var names []string
	for i, c := range all {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		names = append(names, cli.Visible(c.Name))
	}
	return strings.Join(names, ", ")
}

// callersOf are all callers for policies.
func callersOf(w *workspace.Workspace, policies []*source.Policy) ([]survey.Caller, error) {
	personas, err := testPersonas(testFolder(w))
	if err != nil {
		return nil, err
	}
	return survey.Callers(policies, personas), nil
}

// testPersonas are those of the tests in a folder, none if there is no such folder.
func testPersonas(folder string) ([]*persona.Persona, error) {
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil, nil
	}
	files, err := testFiles(folder)
	if err != nil {
		return nil, err
	}
	tests, err := suite.ParseFiles(files)
	if err != nil {
		return nil, cli.UsageError("%w", err)
	}
	return tests.Personas, nil
}

// rowsOf are objects as they are shown: by upstream, and then in the order of the
// catalog.
func rowsOf(w *workspace.Workspace, objects []*policy.Object) []survey.Row {
	rows := make([]survey.Row, len(objects))
	for i, o := range objects {
		rows[i] = survey.Row{Object: o, Kind: w.Kind(o), Published: w.Published(o)}
	}
	slices.SortStableFunc(rows, func(a, b survey.Row) int { return strings.Compare(a.Object.Upstream(), b.Object.Upstream()) })
	return rows
}

// chooseRows are the rows that patterns name, all without patterns.
func chooseRows(w *workspace.Workspace, patterns []string) ([]survey.Row, error) {
	if len(patterns) == 0 {
		return rowsOf(w, w.Objects), nil
	}
	objects, err := w.Match(patterns)
	return rowsOf(w, objects), err
}

// signs stand for outcomes, and colours are theirs.
var (
	outcomeSigns   = map[explain.Outcome]string{explain.Always: "✓", explain.Sometimes: "◐", explain.Never: "·"}
	outcomeColours = map[explain.Outcome]cli.Colour{explain.Always: cli.Green, explain.Sometimes: cli.Yellow, explain.Never: cli.Dim}
)

// rowTitle is a row's name at its upstream, and what it is if that is no tool.
func rowTitle(r survey.Row) string {
	if r.Kind == "tool" {
		return cli.Visible(r.Name())
	}
	return cli.Visible(r.Name()) + " (" + r.Kind + ")"
}

// shortened is a text that fits into some columns.
func shortened(text string, width int) string {
	runes := []rune(cli.Visible(text))
	if len(runes) <= width {
		return string(runes)
	}
	return string(runes[:max(width-1, 0)]) + "…"
}

// observed warns that policies are not enforced, "" if they are.
func observed(e *policy.Engine) string {
	if !e.Observes() {
		return ""
	}
	return "policies are only observed (mode = \"observe\"): the gateway lets everything through"
}
