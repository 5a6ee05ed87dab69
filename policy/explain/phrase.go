package explain

import (
	"strconv"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// phraseLiteral says in English that an atom holds, or does not.
func (f *form) phraseLiteral(k *facts) string {
	text, ok := phraseOf(f.atom.node, f.yes)
	if !ok {
		holds := map[bool]string{true: " holds", false: " does not hold"}
		text = "`" + ast.Text(f.atom.node) + "`" + holds[f.yes]
	}
	if !f.yes && !f.atom.has && len(missingNeeds(f.atom, k, nil)) > 0 {
		return text + " (or is not given)"
	}
	return text
}

// phraseOf says that a condition holds, or does not. ok is false for one for which
// there are no words.
func phraseOf(n ast.Node, yes bool) (text string, ok bool) {
	switch n := n.(type) {
	case ast.Not:
		return phraseOf(n.Arg, !yes)
	case ast.Equals:
		return compared(n.BinaryNode, yes, "is", "is not")
	case ast.NotEquals:
		return compared(n.BinaryNode, yes, "is not", "is")
	case ast.LessThan:
		return ordered(n.BinaryNode, yes, "less than", "at least", "before", "not before")
	case ast.LessOrEqual:
		return ordered(n.BinaryNode, yes, "at most", "more than", "not after", "after")
	case ast.GreaterThan:
		return phraseOf(ast.LessOrEqual(n), !yes)
	case ast.GreaterOrEqual:
		return phraseOf(ast.LessThan(n), !yes)
	case ast.Is:
		name, ok := nameOf(n.Left)
		return name + pick(yes, " is a ", " is no ") + string(n.EntityType), ok
	case ast.IsIn:
		return compared(ast.BinaryNode{Left: n.Left, Right: n.Entity}, yes, "is a "+string(n.EntityType)+" in", "is no "+string(n.EntityType)+" in")
	case ast.Has:
		return phraseHas(n, yes)
	case ast.Like:
		return phraseLike(n, yes)
	case ast.Contains:
		return phraseContains(n.BinaryNode, yes)
	case ast.ContainsAll:
		return compared(n.BinaryNode, yes, "contains all of", "does not contain all of")
	case ast.ContainsAny:
		return compared(n.BinaryNode, yes, "contains one of", "contains none of")
	case ast.IsEmpty:
		name, ok := nameOf(n.Arg)
		return name + pick(yes, " is empty", " is not empty"), ok
	case ast.In:
		return compared(n.BinaryNode, yes, "is in", "is not in")
	case ast.Call:
		return phraseCall(n, yes)
	case ast.Access:
		if ast.Text(n) == "context.auth.mfa" {
			return pick(yes, "the caller signed in with a second factor", "the caller signed in without a second factor"), true
		}
		name, ok := nameOf(n)
		return name + pick(yes, " is true", " is false"), ok
	}
	return "", false
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// compared says something of two values.
func compared(n ast.BinaryNode, yes bool, positive, negative string) (string, bool) {
	left, ok := nameOf(n.Left)
	right, okRight := nameOf(n.Right)
	if _, known := n.Left.(ast.Value); known && positive == "is" {
		left, right = right, left
	}
	return left + " " + pick(yes, positive, negative) + " " + right, ok && okRight
}

// ordered says which of two values is the greater one. Moments have words of their
// own.
func ordered(n ast.BinaryNode, yes bool, positive, negative, early, late string) (string, bool) {
	left, ok := nameOf(n.Left)
	right, okRight := nameOf(n.Right)
	if since, is := durationOf(n.Right); is && ast.Text(n.Left) == timeOfDay {
		right = time.UnixMilli(since.ToMilliseconds()).UTC().Format("15:04")
	}
	if isMoment(n.Left) || isMoment(n.Right) {
		positive, negative = early, late
	}
	return left + " is " + pick(yes, positive, negative) + " " + right, ok && okRight
}

func durationOf(n ast.Node) (types.Duration, bool) {
	switch n := n.(type) {
	case ast.Value:
		d, ok := n.Value.(types.Duration)
		return d, ok
	case ast.Call:
		v, _ := evaluated(n)
		d, ok := v.(types.Duration)
		return d, ok
	}
	return types.Duration{}, false
}

// evaluated is the value of what looks at nothing.
func evaluated(n ast.Node) (types.Value, bool) {
	if !closed(n) {
		return nil, false
	}
	v, err := ast.Eval(n, ast.Env{Entities: types.EntityMap{}})
	return v, err == nil
}

func isMoment(n ast.Node) bool {
	v, _ := n.(ast.Value)
	_, ok := v.Value.(types.Datetime)
	text := ast.Text(n)
	return ok || text == "context.now" || text == timeOfDay
}

// timeOfDay is compared with durations since midnight.
const timeOfDay = "context.now.toTime()"

func phraseHas(n ast.Has, yes bool) (string, bool) {
	of := ast.Access{StrOpNode: ast.StrOpNode(n.StrOpNode)}
	switch ast.Text(of) {
	case "context.ip":
		return pick(yes, "the client's address is known", "the client's address is not known"), true
	case "context.auth.age":
		return pick(yes, "the time of the sign-in is known", "the time of the sign-in is not known"), true
	}
	name, ok := nameOf(of)
	if isContext(n.Arg) && !strings.HasPrefix(string(n.Value), "arg_") {
		return pick(yes, "the arguments lead to a known "+name, "the arguments lead to no known "+name), true
	}
	return name + pick(yes, " is given", " is not given"), ok
}

func phraseLike(n ast.Like, yes bool) (string, bool) {
	name, ok := nameOf(n.Arg)
	pattern, err := strconv.Unquote(string(n.Value.MarshalCedar()))
	if err != nil || strings.Contains(pattern, `\`) {
		return name + pick(yes, " is like ", " is not like ") + string(n.Value.MarshalCedar()), ok
	}
	middle := strings.Trim(pattern, "*")
	first, last := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*")
	switch {
	case strings.Contains(middle, "*") || middle == "":
		return name + pick(yes, " is like ", " is not like ") + strconv.Quote(pattern), ok
	case first && last:
		return name + pick(yes, " contains ", " does not contain ") + strconv.Quote(middle), ok
	case first:
		return name + pick(yes, " ends with ", " does not end with ") + strconv.Quote(middle), ok
	case last:
		return name + pick(yes, " begins with ", " does not begin with ") + strconv.Quote(middle), ok
	}
	return name + pick(yes, " is ", " is not ") + strconv.Quote(middle), ok
}

func phraseContains(n ast.BinaryNode, yes bool) (string, bool) {
	left, ok := nameOf(n.Left)
	right, okRight := nameOf(n.Right)
	set, literal := n.Left.(ast.Set)
	switch {
	case literal && len(set.Elements) > 0:
		if !yes {
			return right + " is neither " + strings.Replace(left, " or ", " nor ", 1), ok && okRight
		}
		return right + " is " + left, ok && okRight
	case ast.Text(n.Left) == "context.auth.acrs":
		return pick(yes, "the sign-in satisfies the authentication context ", "the sign-in does not satisfy the authentication context ") + right, okRight
	case ast.Text(n.Left) == "context.session.labels":
		return pick(yes, "the caller has had the label ", "the caller has not had the label ") + right, okRight
	}
	return left + pick(yes, " contains ", " does not contain ") + right, ok && okRight
}

// relations are methods as words: that they hold, and that they do not.
var relations = map[types.Path][2]string{
	"lessThan": {" is less than ", " is at least "}, "lessThanOrEqual": {" is at most ", " is more than "},
	"greaterThan": {" is more than ", " is at most "}, "greaterThanOrEqual": {" is at least ", " is less than "},
	"isInRange": {" is in ", " is not in "},
}

func phraseCall(n ast.Call, yes bool) (string, bool) {
	words, known := relations[n.Name]
	if !known || len(n.Args) != 2 {
		return "", false
	}
	left, ok := nameOf(n.Args[0])
	right, okRight := nameOf(n.Args[1])
	return left + pick(yes, words[0], words[1]) + right, ok && okRight
}

const trueValue = types.True

// circumstances are what the context has, in words.
var circumstances = map[string]string{
	"context.bytes": "the length of all arguments in bytes", "context.now": "the time", "context.ip": "the client's address",
	"context.auth.age": "the time since the sign-in", "context.auth.acrs": "the authentication contexts of the sign-in", "context.auth.mfa": "a second factor",
	"context.session.calls": "the number of earlier calls", "context.session.labels": "the labels that the caller has had",
	"context.app": "the app",
}

// nameOf is what people call a value. ok is false for one that has no name.
func nameOf(n ast.Node) (name string, ok bool) {
	switch n := n.(type) {
	case ast.Value:
		return valueName(n.Value), true
	case ast.Variable:
		name, ok := map[types.String]string{"principal": "the caller", "resource": "what is asked for", "action": "what is done"}[n.Name]
		return name, ok
	case ast.Set:
		return setName(n)
	case ast.Call:
		if ast.Text(n) == timeOfDay {
			return "the time of day (UTC)", true
		}
		if v, ok := evaluated(n); ok {
			return valueName(v), true
		}
	case ast.Access:
		text := ast.Text(n)
		if name, ok := circumstances[text]; ok {
			return name, true
		}
		for _, of := range []struct{ prefix, words string }{
			{"context.input.", ""},
			{"context.size.", "the size of "},
			{"context.arg_", ""},
			{"context.", ""},
			{"principal.", "the caller's "},
			{"resource.", "the tool's "},
		} {
			if rest, ok := strings.CutPrefix(text, of.prefix); ok {
				return of.words + "`" + rest + "`", true
			}
		}
		for _, of := range []struct{ prefix, words string }{{"context.input[", ""}, {"context.size[", "the size of "}} {
			if rest, ok := strings.CutPrefix(text, of.prefix); ok {
				return of.words + "`" + rest[:strings.LastIndex(rest, "]")] + "`", true
			}
		}
	}
	return "`" + ast.Text(n) + "`", false
}

func setName(n ast.Set) (string, bool) {
	var parts []string
	for _, e := range n.Elements {
		name, ok := nameOf(e)
		if !ok {
			return "", false
		}
		parts = append(parts, name)
	}
	if parts == nil {
		return "nothing", true
	}
	return listed(parts, "or"), true
}

// valueName is a value that is written out.
func valueName(v types.Value) string {
	switch v := v.(type) {
	case types.String:
		return strconv.Quote(string(v))
	case types.EntityUID:
		return string(v.Type) + " " + strconv.Quote(string(v.ID))
	case types.Datetime, types.Decimal, types.Duration, types.IPAddr:
		return v.String()
	}
	return string(v.MarshalCedar())
}
