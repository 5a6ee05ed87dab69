package policytest

import (
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// literals are what policies compare with, numbers with those beside them.
type literals struct {
	texts   []string
	numbers []int64
}

func literalsOf(policies []*source.Policy) *literals {
	l := &literals{texts: []string{"", "x"}, numbers: []int64{0, 1, -1}}
	for _, p := range policies {
		for _, c := range p.AST.Conditions {
			ast.Inspect(c.Body, func(n ast.Node) bool { l.node(n); return true })
		}
	}
	return l
}

func (l *literals) node(n ast.Node) {
	switch n := n.(type) {
	case ast.Value:
		l.value(n.Value)
	case ast.Like:
		pattern := strings.Trim(string(n.Value.MarshalCedar()), `"`)
		l.texts = append(l.texts, strings.ReplaceAll(pattern, "*", ""), strings.ReplaceAll(pattern, "*", "z"))
	}
}

func (l *literals) value(v types.Value) {
	switch v := v.(type) {
	case types.String:
		l.texts = append(l.texts, string(v))
	case types.Long:
		l.numbers = append(l.numbers, int64(v)-1, int64(v), int64(v)+1)
	case types.EntityUID:
		l.texts = append(l.texts, string(v.ID))
	case types.Set:
		for member := range v.All() {
			l.value(member)
		}
	case types.Record:
		for _, member := range v.All() {
			l.value(member)
		}
	}
}
