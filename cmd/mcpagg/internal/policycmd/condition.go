package policycmd

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A condition compares an argument with something.
type condition struct {
	argument string
	op       string
	values   []any // texts, int64 or bool; one, but for "in"
	typ      *typed.Type
	optional bool
}

// operators are what arguments of a kind can be compared by.
func operators(t *typed.Type) []string {
	switch {
	case t.Kind == typed.String && t.Enum != nil:
		return []string{"==", "!=", "in"}
	case t.Kind == typed.String:
		return []string{"==", "!=", "like", "in"}
	case t.Kind == typed.Long:
		return []string{"==", "!=", "<", "<=", ">", ">=", "in"}
	case t.Kind == typed.Bool:
		return []string{"=="}
	case t.Kind == typed.Set && (t.Elem.Kind == typed.String || t.Elem.Kind == typed.Long):
		return []string{"contains"}
	}
	return nil
}

// arguments are those that all the tools have, with the same type, and that can be
// compared with something.
func arguments(tools []*policy.Object) []typed.Field {
	var common []typed.Field
	for i, t := range tools {
		if i == 0 {
			common = slices.Clone(t.Shape().Input.Fields)
		}
		for j := range common {
			f, ok := t.Shape().Input.Field(common[j].Name)
			if !ok || f.Type.Cedar() != common[j].Type.Cedar() {
				common[j].Type = nil
				continue
			}
			if common[j].Required = common[j].Required && f.Required; !slices.Equal(f.Type.Enum, common[j].Type.Enum) {
				bare := *common[j].Type
				bare.Enum = nil
				common[j].Type = &bare
			}
		}
		common = slices.DeleteFunc(common, func(f typed.Field) bool { return f.Type == nil || operators(f.Type) == nil })
	}
	return common
}

// whenPattern is a condition as people write it: an argument, an operator and a value.
var whenPattern = regexp.MustCompile(`^\s*(.+?)\s*(==|!=|<=|>=|<|>|\slike\s|\sin\s|\scontains\s)\s*(.*?)\s*$`)

// parseCondition reads a condition about arguments.
func parseCondition(text string, arguments []typed.Field) (condition, error) {
	parts := whenPattern.FindStringSubmatch(text)
	if parts == nil {
		return condition{}, cli.UsageError("%q is no condition such as 'repo == web', 'path like docs/*', 'count <= 10', 'state in open,closed' or 'labels contains bug'", cli.Visible(text))
	}
	for _, f := range arguments {
		if f.Name == parts[1] {
			return conditionOn(f, strings.TrimSpace(parts[2]), parts[3])
		}
	}
	names := make([]string, len(arguments))
	for i, f := range arguments {
		names[i] = cli.Visible(f.Name)
	}
	if len(names) == 0 {
		return condition{}, cli.UsageError("the tools have no argument in common that a policy could look at")
	}
	return condition{}, cli.UsageError("there is no argument %q that all these tools have; there are %s", cli.Visible(parts[1]), strings.Join(names, ", "))
}

// conditionOn is one on an argument.
func conditionOn(f typed.Field, op, value string) (condition, error) {
	c := condition{argument: f.Name, op: op, typ: f.Type, optional: !f.Required}
	if !slices.Contains(operators(f.Type), op) {
		return c, cli.UsageError("%s is %s, which goes with %s", cli.Visible(f.Name), f.Type.Cedar(), strings.Join(operators(f.Type), ", "))
	}
	texts := []string{value}
	if op == "in" {
		texts = strings.Split(value, ",")
	}
	for _, text := range texts {
		v, err := c.value(strings.TrimSpace(text))
		if err != nil {
			return c, err
		}
		c.values = append(c.values, v)
	}
	return c, nil
}

// value reads a value of the argument's type, or of the members of its set.
func (c *condition) value(text string) (any, error) {
	t := c.typ
	if t.Kind == typed.Set {
		t = t.Elem
	}
	switch t.Kind {
	case typed.Long:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, cli.UsageError("%s is a whole number, and %q is none", cli.Visible(c.argument), cli.Visible(text))
		}
		return n, nil
	case typed.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, cli.UsageError("%s is true or false", cli.Visible(c.argument))
		}
		return b, nil
	}
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	if t.Enum != nil && !slices.Contains(t.Enum, text) {
		return nil, cli.UsageError("%s is one of %s", cli.Visible(c.argument), cli.Visible(strings.Join(t.Enum, ", ")))
	}
	return text, nil
}

// String is the condition in words.
func (c *condition) String() string {
	var values []string
	for _, v := range c.values {
		values = append(values, fmt.Sprint(v))
	}
	return cli.Visible(c.argument + " " + c.op + " " + strings.Join(values, ", "))
}

// text is the condition in Cedar. Where the argument may be missing, a permit does not
// permit that; and a forbid forbids it, since a server may then do anything.
func (c *condition) text(forbid bool) string {
	name := typed.CedarName(c.argument)
	argument := "context.input." + name
	if strings.HasPrefix(name, `"`) {
		argument = "context.input[" + name + "]"
	}
	compared := c.compare(argument)
	switch {
	case !c.optional:
		return compared
	case forbid:
		return "(if context.input has " + name + " then " + compared + " else true)"
	}
	return "context.input has " + name + " && " + compared
}

func (c *condition) compare(argument string) string {
	var values []string
	for _, v := range c.values {
		values = append(values, cedarLiteral(v))
	}
	switch c.op {
	case "contains":
		return argument + ".contains(" + values[0] + ")"
	case "in":
		return "[" + strings.Join(values, ", ") + "].contains(" + argument + ")"
	case "like":
		return argument + " like " + likePattern(c.values[0].(string)) // of texts only
	}
	return argument + " " + c.op + " " + values[0]
}

func cedarLiteral(v any) string {
	if s, ok := v.(string); ok {
		return cedarText(s)
	}
	return fmt.Sprint(v)
}

// likePattern is a pattern in which * is any text.
func likePattern(s string) string { return cedarText(s) }

// example is a value with which the condition holds, or does not.
func (c *condition) example(holds bool) any {
	v := c.values[0]
	switch c.op {
	case "contains":
		if holds {
			return []any{v}
		}
		return []any{}
	case "!=":
		holds = !holds
	case "<":
		return v.(int64) + map[bool]int64{true: -1, false: 0}[holds]
	case "<=":
		return v.(int64) + map[bool]int64{true: 0, false: 1}[holds]
	case ">":
		return v.(int64) + map[bool]int64{true: 1, false: 0}[holds]
	case ">=":
		return v.(int64) + map[bool]int64{true: 0, false: -1}[holds]
	case "like":
		if holds {
			return strings.ReplaceAll(v.(string), "*", "x")
		}
		return "something else"
	}
	if holds {
		return v
	}
	return c.another()
}

// another is a value that is none of those of the condition.
func (c *condition) another() any {
	switch v := c.values[0].(type) {
	case bool:
		return !v
	case int64:
		other := v
		for slices.Contains(c.values, any(other)) {
			other++
		}
		return other
	}
	for _, word := range c.typ.Enum {
		if !slices.Contains(c.values, any(word)) {
			return word
		}
	}
	return "something else"
}
