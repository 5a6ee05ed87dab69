package source

import "github.com/mcpagg/mcpagg/policy/syntax"

// shownSyntax bounds how many syntax mistakes of one file are listed.
const shownSyntax = 20

// syntaxMistakes are those of a file that cannot be read.
func syntaxMistakes(wrong []*syntax.Error) Mistakes {
	var all Mistakes
	for _, e := range wrong[:min(len(wrong), shownSyntax)] {
		m := Mistake{e.File, e.Line, e.Column, "syntax: " + e.Text, "see https://docs.cedarpolicy.com/policies/syntax-policy.html"}
		if e.TooMuch {
			m.Text, m.Remedy = e.Text, "split the policy into several"
		}
		all = append(all, m)
	}
	return all
}
