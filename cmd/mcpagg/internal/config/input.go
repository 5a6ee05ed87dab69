package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// An input is what was written for an attribute, or for one element of it. The
// value is known, and may be marked.
type input struct {
	d         *decoder
	attribute string
	value     cty.Value
	expr      hcl.Expression // nil for a default
	at        hcl.Range
	conceal   bool // it is secret even if it is written out in the file
}

// mistake notes what is wrong with the input.
func (in input) mistake(format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	diag := &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "Invalid " + in.attribute,
		Detail:   strings.ToUpper(detail[:1]) + detail[1:],
		Subject:  &in.at,
	}
	if in.conceal && !in.secret() {
		diag.Extra = concealLine{}
	}
	in.d.add(diag)
}

// String is the input as a message may show it.
func (in input) String() string {
	value, marks := in.value.UnmarkDeep()
	if from := origins(marks); from != "" {
		return "the value from " + from
	}
	if value.Type() == cty.String {
		return strconv.Quote(shortened(value.AsString()))
	}
	text, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		return "the value"
	}
	return shortened(string(text))
}

// shortened is the beginning of a long text.
func shortened(text string) string {
	const most = 100
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// text is the input as text, or false after noting a mistake. Numbers and
// booleans are text, too.
func (in input) text() (string, bool) {
	v, ok := in.as(cty.String, "text in quotes")
	if !ok {
		return "", false
	}
	return v.AsString(), true
}

// as is the input converted to a type, without marks.
func (in input) as(t cty.Type, wanted string) (cty.Value, bool) {
	value, _ := in.value.UnmarkDeep()
	converted, err := convert.Convert(value, t)
	if err != nil || converted.IsNull() {
		in.mistake("This must be %s, not %s.", wanted, describe(value))
		return cty.NilVal, false
	}
	return converted, true
}

// list is the elements of a list, or false after noting a mistake.
func (in input) list() ([]input, bool) {
	value, marks := in.value.Unmark()
	t := value.Type()
	if value.IsNull() || !t.IsListType() && !t.IsTupleType() && !t.IsSetType() {
		hint := ""
		if t == cty.String {
			words := []string{value.AsString()}
			if in.attribute == "command" {
				words = strings.Fields(words[0])
			}
			hint = fmt.Sprintf(" Did you mean [%s]?", strings.Join(quoted(words), ", "))
		}
		in.mistake("This must be a list such as [\"a\", \"b\"], not %s.%s", describe(value), in.unless(hint))
		return nil, false
	}
	elements := []input{}
	exprs := in.elementExprs(value.LengthInt())
	for i, v := range value.AsValueSlice() {
		elements = append(elements, in.child(v.WithMarks(marks), exprs[i]))
	}
	return elements, true
}

// elementExprs are the expressions of n list elements, as far as they are
// written out.
func (in input) elementExprs(n int) []hcl.Expression {
	if in.expr != nil {
		if exprs, diags := hcl.ExprList(in.expr); !diags.HasErrors() && len(exprs) == n {
			return exprs
		}
	}
	return make([]hcl.Expression, n)
}

// An entry is one key of a map and its value.
type entry struct {
	key   input
	name  string
	value input
}

// entries are the entries of a map in the order of their keys, or false after
// noting a mistake.
func (in input) entries() ([]entry, bool) {
	value, marks := in.value.Unmark()
	if t := value.Type(); value.IsNull() || !t.IsMapType() && !t.IsObjectType() {
		in.mistake("This must be a map such as { NAME = \"value\" }, not %s.", describe(value))
		return nil, false
	}
	exprs := in.entryExprs()
	var entries []entry
	for name, v := range value.AsValueMap() {
		pair := exprs[name]
		entries = append(entries, entry{
			key:   in.child(cty.StringVal(name).WithMarks(marks), pair.Key),
			name:  name,
			value: in.child(v.WithMarks(marks), pair.Value),
		})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return entries, true
}

// entryExprs are the expressions of the map entries that are written out.
func (in input) entryExprs() map[string]hcl.KeyValuePair {
	exprs := map[string]hcl.KeyValuePair{}
	if in.expr == nil {
		return exprs
	}
	pairs, _ := hcl.ExprMap(in.expr)
	for _, pair := range pairs {
		name, diags := pair.Key.Value(in.d.context(in.at.Filename))
		name, _ = name.Unmark()
		if !diags.HasErrors() && name.Type() == cty.String && name.IsKnown() && !name.IsNull() {
			exprs[name.AsString()] = pair
		}
	}
	return exprs
}

// child is a part of the input, at the place of its own expression if it has
// one.
func (in input) child(v cty.Value, expr hcl.Expression) input {
	in.value = v
	if in.expr = expr; expr != nil {
		in.at = expr.Range()
	}
	return in
}

// raw is the input as JSON.
func (in input) raw() (json.RawMessage, bool) {
	value, _ := in.value.UnmarkDeep()
	text, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		in.mistake("This cannot be written as JSON.")
		return nil, false
	}
	return text, true
}

// describe names the type of a value as a person would.
func describe(v cty.Value) string {
	t := v.Type()
	switch {
	case v.IsNull():
		return "null"
	case t == cty.String:
		return "text"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsMapType() || t.IsObjectType():
		return "a map"
	case t.IsListType() || t.IsTupleType() || t.IsSetType():
		return "a list"
	}
	return fmt.Sprintf("a %s", t.FriendlyName())
}
