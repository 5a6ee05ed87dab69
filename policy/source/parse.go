package source

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// Bounds of what Parse reads.
const (
	maxPolicies = 50_000
	maxMistakes = 1_000
	maxID       = 200 // characters
)

// Parse reads policies. Whatever is wrong with them is in the error, which is
// Mistakes, in the order of the files; there are no policies then. Warnings are
// what one should know of. More than 50,000 policies are refused.
func Parse(files []File, o Options) (policies []*Policy, warnings []Mistake, err error) {
	r := &reader{options: o, names: namesOf(o), ids: map[string]*Policy{}}
	for _, f := range files {
		r.file(f)
		if len(r.mistakes) >= maxMistakes || r.full {
			break
		}
	}
	if err := r.mistakes.asError(); err != nil {
		return nil, r.warnings, err
	}
	return r.policies, r.warnings, nil
}

// A reader gathers what is read of several files.
type reader struct {
	options  Options
	names    *names
	policies []*Policy
	ids      map[string]*Policy
	mistakes Mistakes
	warnings []Mistake
	full     bool // there are too many policies
}

// file reads one file.
func (r *reader) file(f File) {
	f.Text = bytes.TrimPrefix(f.Text, []byte("\uFEFF")) // which some editors write
	if m, ok := checkText(f); !ok {
		r.mistakes = append(r.mistakes, m)
		return
	}
	tree, wrong := syntax.ParseAll(f.Name, f.Text)
	if len(wrong) > 0 {
		r.mistakes = append(r.mistakes, syntaxMistakes(wrong)...)
		return
	}
	if len(r.policies)+len(tree.Policies) > maxPolicies {
		r.full = true
		r.mistakes = append(r.mistakes, Mistake{
			File:   f.Name,
			Text:   fmt.Sprintf("with this file there are more than %d policies", maxPolicies),
			Remedy: "name groups, tags or upstreams instead of people and tools",
		})
		return
	}
	// Decisions are made with what cedar-go reads, which is the same.
	parsed, err := cedar.NewPolicyListFromBytes(f.Name, f.Text)
	if err != nil || len(parsed) != len(tree.Policies) {
		r.mistakes = append(r.mistakes, Mistake{File: f.Name, Text: "cedar-go reads this in another way: " + plain(fmt.Sprint(err)), Remedy: "report that"})
		return
	}
	for i, p := range parsed {
		r.policy(tree, i, p)
	}
}

// policy takes the policy of that index in its file.
func (r *reader) policy(f *syntax.File, index int, parsed *cedar.Policy) {
	tree := ast.Of(parsed)
	p := &Policy{
		File:     f.Name,
		Line:     tree.Position.Line,
		Column:   tree.Position.Column,
		Permit:   parsed.Effect() == cedar.Permit,
		AST:      tree,
		Compiled: parsed,
	}
	c := &check{reader: r, policy: p, file: f, syntax: f.Policies[index], before: len(r.mistakes), warned: len(r.warnings)}
	c.annotations()
	c.rewrite()
	c.static()
	if p.ID == "" {
		p.ID = fmt.Sprintf("%s#%d", f.Name, index+1)
	}
	if other := r.ids[p.ID]; other != nil {
		c.mistake("@id", fmt.Sprintf("the id %s is taken by the policy at %s:%d", quoted(p.ID), other.File, other.Line),
			"give each policy an id of its own")
	}
	r.ids[p.ID] = p
	r.policies = append(r.policies, p)
}

// checkText finds what is no text at all.
func checkText(f File) (Mistake, bool) {
	at := bytes.IndexByte(f.Text, 0)
	if !utf8.Valid(f.Text) {
		at = invalidByte(f.Text)
	}
	if at < 0 {
		return Mistake{}, true
	}
	line, column := syntax.Place(f.Text, at)
	return Mistake{f.Name, line, column, fmt.Sprintf("the byte 0x%02X does not belong into UTF-8 text", f.Text[at]), "save the file as UTF-8"}, false
}

// invalidByte is where a text begins to be no UTF-8.
func invalidByte(text []byte) int {
	at := 0
	for {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// A check looks at one policy and notes what is wrong with it.
type check struct {
	reader *reader
	policy *Policy
	file   *syntax.File
	syntax *syntax.Policy
	// before and warned are how many mistakes and warnings there were before it.
	before, warned int
	actions        []Action // that it is about
	objects        []string // types that its resource can have
}

// mistake notes a mistake where the policy's text first has the token.
func (c *check) mistake(token, text, remedy string) {
	if r := c.reader; !said(r.mistakes[c.before:], text) && len(r.mistakes) < maxMistakes {
		r.mistakes = append(r.mistakes, c.at(token, text, remedy))
	}
}

// warn notes a warning in the same way.
func (c *check) warn(token, text, remedy string) {
	if r := c.reader; !said(r.warnings[c.warned:], text) && len(r.warnings) < maxMistakes {
		r.warnings = append(r.warnings, c.at(token, text, remedy))
	}
}

func said(list []Mistake, text string) bool {
	return slices.ContainsFunc(list, func(m Mistake) bool { return m.Text == text })
}

// at is a mistake where the token is, or else where the policy begins.
func (c *check) at(token, text, remedy string) Mistake {
	m := Mistake{File: c.policy.File, Text: text, Remedy: remedy}
	m.Line, m.Column = c.file.Place(max(c.find(token), c.syntax.Start))
	return m
}

// find is where the policy first has an annotation, as @name, or the tokens of what;
// -1 if nowhere. What was rewritten is not in the text as it is in the tree.
func (c *check) find(what string) int {
	if name, ok := strings.CutPrefix(what, "@"); ok {
		for _, a := range c.syntax.Annotations {
			if a.Name == name {
				return a.Start
			}
		}
		return -1
	}
	want := syntax.Tokens([]byte(what))
	text := c.file.Text[c.syntax.Start:c.syntax.End]
	lex := syntax.NewLexer(text)
	for len(want) > 0 {
		t := lex.Next()
		if t.Kind == syntax.End {
			return -1
		}
		if t.Kind != syntax.Remark && begins(syntax.NewLexer(text[t.Start:]), want, what) {
			return c.syntax.Start + t.Start
		}
	}
	return -1
}

// begins reports whether the tokens of what come next, whatever comments there are.
func begins(lex *syntax.Lexer, want []syntax.Token, what string) bool {
	for _, w := range want {
		t := lex.Next()
		for t.Kind == syntax.Remark {
			t = lex.Next()
		}
		if string(lex.Of(t)) != what[w.Start:w.End] {
			return false
		}
	}
	return true
}

// printable reports whether s is one line of at most so many characters.
func printable(s string, most int) bool {
	if utf8.RuneCountInString(s) > most {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
