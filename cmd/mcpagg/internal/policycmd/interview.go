package policycmd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A question is one step of the interview.
type question struct {
	told bool // by a flag
	ask  func() error
}

// What is offered beside names.
const (
	toEverybody  = "everybody"
	ofEverything = "all upstreams"
	onlyReading  = "only tools that do nothing but read"
)

// interview asks for what the flags do not say.
func (n *starter) interview() error {
	questions := []question{
		{n.effectTold, n.askEffect},
		{n.group != "" || n.everybody, n.askGroup},
		{n.upstream != "" || n.tools != nil, n.askUpstream},
		{n.tools != nil || n.readOnly, n.askTools},
		{n.when != nil, n.askConditions},
		{n.id != "", n.askID},
	}
	for i := 0; i < len(questions); {
		if q := questions[i]; !q.told {
			err := q.ask()
			n.back = errors.Is(err, errBack)
			if err != nil && !n.back {
				return err
			}
		}
		switch {
		case !n.back:
			i++
		case slices.ContainsFunc(questions[:i], func(q question) bool { return !q.told }):
			i--
		default: // nothing was asked before
			n.back = false
		}
	}
	return nil
}

func (n *starter) askEffect() error {
	answer, err := n.asker.choose("What shall it do?", []string{"permit", "forbid"}, false)
	n.d.forbid = answer == "forbid"
	return err
}

func (n *starter) askGroup() error {
	groups := map[string]bool{}
	for _, g := range n.w.Set.Source.Groups {
		groups[g] = true
	}
	for _, p := range n.w.Policy.Policies {
		for _, uid := range source.MentionsOf(p).Entities {
			if uid.Type == "Group" {
				groups[string(uid.ID)] = true
			}
		}
	}
	choices := append(slices.Sorted(maps.Keys(groups)), toEverybody)
	answer, err := n.asker.choose("Who is it about? A group, also by an id that is not listed:", choices, true)
	if n.d.group = answer; answer == toEverybody {
		n.d.group = ""
	}
	return err
}

func (n *starter) askUpstream() error {
	all := n.upstreams()
	if len(all) > 1 {
		all = append(all, ofEverything)
	}
	if len(all) == 0 {
		return cli.UsageError("there are no tools to write a policy about")
	}
	answer, err := n.asker.choose("Tools of which upstream?", all, false)
	if err != nil {
		return err
	}
	if answer == ofEverything {
		answer = ""
	}
	return n.takeUpstream(answer)
}

func (n *starter) askTools() error {
	n.d.tools, n.d.readOnly, n.d.when = nil, false, nil
	choices := []string{onlyReading}
	for _, o := range n.about() {
		choices = append(choices, o.Origin())
	}
	chosen, err := n.asker.some("Which tools?", choices)
	if err != nil {
		return err
	}
	n.d.readOnly = slices.Contains(chosen, onlyReading)
	return n.takeTools(slices.DeleteFunc(chosen, func(c string) bool { return c == onlyReading }))
}

// askConditions asks for conditions on arguments until there are enough.
func (n *starter) askConditions() error {
	n.d.when = nil
	fields := arguments(n.about())
	switch {
	case n.d.tools != nil && len(fields) > 0:
	case n.back:
		return errBack // on to the question before
	default:
		return nil
	}
	const enough = "no further condition"
	for {
		choices := []string{enough}
		for _, f := range fields {
			choices = append(choices, described(f))
		}
		answer, err := n.asker.choose("Only with certain arguments?", choices, false)
		if err != nil || answer == enough {
			return err
		}
		field := fields[slices.Index(choices, answer)-1]
		switch err := n.askCondition(field); {
		case errors.Is(err, errBack):
		case err != nil:
			return err
		}
	}
}

// described is an argument with its type, and the texts that it can be.
func described(f typed.Field) string {
	text := f.Name + " (" + f.Type.Cedar()
	if !f.Required {
		text += ", optional"
	}
	if len(f.Type.Enum) > 0 {
		text += ": " + strings.Join(f.Type.Enum, ", ")
	}
	return text + ")"
}

// askCondition asks for one on an argument, until it is one.
func (n *starter) askCondition(f typed.Field) error {
	op, values := operators(f.Type), f.Type.Enum
	chosen := op[0]
	if len(op) > 1 {
		answer, err := n.asker.choose("How is "+cli.Visible(f.Name)+" compared?", op, false)
		if err != nil {
			return err
		}
		chosen = answer
	}
	if f.Type.Kind == typed.Bool {
		values = []string{"true", "false"}
	}
	for {
		var value string
		var err error
		if len(values) > 0 && chosen != "in" {
			value, err = n.asker.choose(cli.Visible(f.Name)+" "+chosen, values, false)
		} else {
			value, err = n.asker.line(cli.Visible(f.Name)+" "+chosen+valueHint(chosen), "")
		}
		if err != nil {
			return err
		}
		c, err := conditionOn(f, chosen, value)
		if err == nil {
			n.d.when = append(n.d.when, c)
			return nil
		}
		fmt.Fprintln(n.asker.out, err)
	}
}

// valueHint says how values of an operator are written.
func valueHint(op string) string {
	switch op {
	case "in":
		return " (several, with commas between)"
	case "like":
		return " (* is any text)"
	}
	return ""
}

func (n *starter) askID() error {
	for {
		answer, err := n.asker.line("What shall the policy be called?", n.freeID())
		if err != nil {
			return err
		}
		n.id = answer
		if err = n.complete(); err == nil {
			return nil
		}
		n.id = ""
		fmt.Fprintln(n.asker.out, err)
	}
}

// freeID is an id that no policy has.
func (n *starter) freeID() string {
	taken := map[string]bool{}
	for _, p := range n.w.Policy.Policies {
		taken[p.ID] = true
	}
	return freeID(n.d.defaultID(), taken)
}
