package block

import (
	"fmt"
	"math/big"
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// value is the value of an attribute; ok is false if it is not there, null, or no
// value. Nothing is computed: what tests say is written in them.
func (b *Block) value(name string) (v cty.Value, ok bool) {
	a := b.attribute(name)
	if a == nil {
		return cty.NilVal, false
	}
	if at := computed(a.Expr); at != nil {
		b.file.Mistake(placeOf(at.Range()), name+" has to be written out", "put texts in quotes; variables, functions and operators mean nothing here")
		return cty.NilVal, false
	}
	v, diagnostics := a.Expr.Value(nil)
	if diagnostics.HasErrors() {
		b.file.report(diagnostics)
		return cty.NilVal, false
	}
	return v, !v.IsNull()
}

// computed is the first part of an expression that is not written out, nil for none.
func computed(e hclsyntax.Expression) hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return nil
	case *hclsyntax.ParenthesesExpr:
		return computed(e.Expression)
	case *hclsyntax.TemplateExpr:
		return firstComputed(e.Parts)
	case *hclsyntax.TupleConsExpr:
		return firstComputed(e.Exprs)
	case *hclsyntax.UnaryOpExpr:
		if _, literal := e.Val.(*hclsyntax.LiteralValueExpr); literal && e.Op == hclsyntax.OpNegate {
			return nil
		}
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			if key, ok := item.KeyExpr.(*hclsyntax.ObjectConsKeyExpr); ok && !isName(key) {
				if at := computed(key.Wrapped); at != nil {
					return at
				}
			}
			if at := computed(item.ValueExpr); at != nil {
				return at
			}
		}
		return nil
	}
	return e
}

func firstComputed(all []hclsyntax.Expression) hclsyntax.Expression {
	for _, e := range all {
		if at := computed(e); at != nil {
			return at
		}
	}
	return nil
}

// isName reports whether a key is a bare word, which stands for itself.
func isName(key *hclsyntax.ObjectConsKeyExpr) bool {
	e, ok := key.Wrapped.(*hclsyntax.ScopeTraversalExpr)
	return ok && len(e.Traversal) == 1 && !key.ForceNonLiteral
}

// as is an attribute converted to a type.
func (b *Block) as(name string, t cty.Type, wanted string) (cty.Value, bool) {
	v, ok := b.value(name)
	if !ok {
		return v, false
	}
	converted, err := convert.Convert(v, t)
	if err != nil || converted.IsNull() {
		b.Mistake(name, fmt.Sprintf("%s must be %s, not %s", name, wanted, describe(v)), "")
		return v, false
	}
	return converted, true
}

// Text is a text.
func (b *Block) Text(name string) string {
	v, ok := b.as(name, cty.String, "a text in quotes")
	if !ok {
		return ""
	}
	return v.AsString()
}

// Bool is true or false, or otherwise if it is not there.
func (b *Block) Bool(name string, otherwise bool) bool {
	v, ok := b.as(name, cty.Bool, "true or false")
	if !ok {
		return otherwise
	}
	return v.True()
}

// Texts is a list of texts, or a single one.
func (b *Block) Texts(name string) []string {
	v, ok := b.value(name)
	if !ok {
		return nil
	}
	if v.Type() == cty.String {
		return []string{v.AsString()}
	}
	list, err := convert.Convert(v, cty.List(cty.String))
	if err != nil {
		b.Mistake(name, fmt.Sprintf("%s must be a list of texts such as [\"a\", \"b\"], not %s", name, describe(v)), "")
		return nil
	}
	texts := []string{}
	for _, e := range list.AsValueSlice() {
		if e.IsNull() {
			b.Mistake(name, "there is a null in "+name, "take it out")
			continue
		}
		texts = append(texts, e.AsString())
	}
	return texts
}

// Count is a whole number from 0, or otherwise if it is not there.
func (b *Block) Count(name string, otherwise int) int {
	v, ok := b.as(name, cty.Number, "a number")
	if !ok {
		return otherwise
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < 0 || n > 1<<40 {
		b.Mistake(name, name+" must be a whole number from 0", "")
		return otherwise
	}
	return int(n)
}

// Duration is a time such as "5m", nil if it is not there.
func (b *Block) Duration(name string) *time.Duration {
	text := b.Text(name)
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		b.Mistake(name, fmt.Sprintf("%s is no time such as \"30s\", \"5m\" or \"2h\"", Quote(text)), "")
		return nil
	}
	return &d
}

// Object is a map of any values, nil if it is not there. Integers of 64 bits are int64,
// other numbers float64, and what is null is left out.
func (b *Block) Object(name string) map[string]any {
	v, ok := b.value(name)
	if !ok {
		return nil
	}
	object, ok := plainValue(v).(map[string]any)
	if !ok {
		b.Mistake(name, fmt.Sprintf("%s must be a map such as { name = \"value\" }, not %s", name, describe(v)), "")
		return nil
	}
	return object
}

// plainValue is a value as encoding/json has it, but for integers.
func plainValue(v cty.Value) any {
	switch t := v.Type(); {
	case v.IsNull():
		return nil
	case t == cty.String:
		return v.AsString()
	case t == cty.Bool:
		return v.True()
	case t == cty.Number:
		if n, accuracy := v.AsBigFloat().Int64(); accuracy == big.Exact {
			return n
		}
		f, _ := v.AsBigFloat().Float64()
		return f
	case t.IsTupleType():
		list := []any{}
		for _, e := range v.AsValueSlice() {
			list = append(list, plainValue(e))
		}
		return list
	}
	object := map[string]any{}
	for name, e := range v.AsValueMap() {
		if !e.IsNull() {
			object[name] = plainValue(e)
		}
	}
	return object
}

// describe names the type of a value as a person would.
func describe(v cty.Value) string {
	t := v.Type()
	switch {
	case v.IsNull():
		return "null"
	case t == cty.String:
		return "a text"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsObjectType():
		return "a map"
	}
	return "a list"
}

// IP is an address, the zero value if it is not there.
func (b *Block) IP(name string) netip.Addr {
	text := b.Text(name)
	if text == "" {
		return netip.Addr{}
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		b.Mistake(name, Quote(text)+" is no address such as \"203.0.113.7\" or \"2001:db8::1\"", "")
		return netip.Addr{}
	}
	return ip
}

// Time is a time, the zero value if it is not there.
func (b *Block) Time(name string) time.Time {
	text := b.Text(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		b.Mistake(name, Quote(text)+" is no time such as \"2026-11-23T12:00:00Z\"", "")
		return time.Time{}
	}
	return at
}
