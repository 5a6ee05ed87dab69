package format

import (
	"errors"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

// sameFiles says in what one file differs from another, but for their layout.
func sameFiles(a, b *syntax.File) error {
	switch {
	case !slices.Equal(remarks(a), remarks(b)):
		return errors.New("has other comments")
	case !slices.EqualFunc(a.Policies, b.Policies, samePolicy):
		return errors.New("means something else")
	}
	return nil
}

// remarks are the comments of a file, without spaces at their ends.
func remarks(f *syntax.File) []string {
	var all []string
	for _, c := range f.Comments {
		all = append(all, strings.TrimRight(string(f.Text[c.Start:c.End]), " \t\r"))
	}
	return all
}

func samePolicy(a, b *syntax.Policy) bool {
	return a.Permit == b.Permit &&
		slices.EqualFunc(a.Annotations, b.Annotations, func(a, b *syntax.Annotation) bool {
			return a.Name == b.Name && a.Value == b.Value && a.HasValue == b.HasValue
		}) &&
		sameScope(a.Principal, b.Principal) && sameScope(a.Action, b.Action) && sameScope(a.Resource, b.Resource) &&
		slices.EqualFunc(a.Conditions, b.Conditions, func(a, b *syntax.Condition) bool {
			return a.Unless == b.Unless && sameNode(a.Body, b.Body)
		})
}

func sameScope(a, b *syntax.Scope) bool {
	return a.Op == b.Op && a.Type == b.Type && a.List == b.List && slices.EqualFunc(a.Entities, b.Entities, sameNode)
}

func sameNode(a, b *syntax.Node) bool {
	sameName := func(a, b syntax.Name) bool { return a.Text == b.Text }
	return a.Kind == b.Kind && a.Name == b.Name && sameValue(a, b) &&
		slices.EqualFunc(a.Path, b.Path, sameName) && slices.EqualFunc(a.Keys, b.Keys, sameName) &&
		slices.EqualFunc(a.Args, b.Args, sameNode)
}

func sameValue(a, b *syntax.Node) bool {
	if a.Value == nil || b.Value == nil {
		return a.Value == nil && b.Value == nil && a.Pattern.Equal(b.Pattern)
	}
	return a.Value.Equal(b.Value)
}
