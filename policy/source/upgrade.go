package source

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// Upgrade writes a file's policies as they are decided by where they are in ToolHive's
// form, and says in words what was written otherwise. Comments stay, and so does all
// else; a policy that was changed can need a new layout. Without anything to change,
// the text is the one of the file. The error is [Mistakes] if it cannot be read.
func Upgrade(f File, o Options) (text []byte, changes []string, err error) {
	before, err := readForms(f, o)
	if err != nil {
		return nil, nil, err
	}
	u := upgrade{text: before.file.Text, check: before.check}
	for i, p := range before.file.Policies {
		if before.checks[i].policy.Rewritten != nil {
			u.policy(p)
		}
		for _, change := range before.checks[i].policy.Rewritten {
			if !slices.Contains(changes, change) {
				changes = append(changes, change)
			}
		}
	}
	text = u.apply()
	after, err := readForms(File{f.Name, text}, o)
	if err != nil || !before.sameAs(after) {
		return nil, nil, Mistakes{{File: f.Name, Text: "this cannot be upgraded by itself", Remedy: "write it as it is read: " + strings.Join(changes, "; ")}}
	}
	return text, changes, nil
}

// forms are the policies of a file, rewritten but not checked.
type forms struct {
	file   *syntax.File
	checks []*check
	check  *check // of no policy
}

func readForms(f File, o Options) (*forms, error) {
	f.Text = bytes.TrimPrefix(f.Text, []byte("\uFEFF"))
	if m, ok := checkText(f); !ok {
		return nil, Mistakes{m}
	}
	file, wrong := syntax.ParseAll(f.Name, f.Text)
	if len(wrong) > 0 {
		return nil, syntaxMistakes(wrong)
	}
	parsed, err := cedar.NewPolicyListFromBytes(f.Name, f.Text)
	if err == nil && len(parsed) != len(file.Policies) {
		err = errors.New("there are other policies")
	}
	if err != nil {
		return nil, Mistakes{{File: f.Name, Text: "cedar-go reads this in another way: " + plain(err.Error()), Remedy: "report that"}}
	}
	r := &reader{options: o, names: namesOf(o)}
	made := &forms{file: file, check: &check{reader: r}}
	for _, p := range parsed {
		c := &check{reader: r, policy: &Policy{AST: ast.Of(p), Compiled: p}}
		c.rewrite()
		made.checks = append(made.checks, c)
	}
	return made, nil
}

// sameAs reports whether policies are decided in the same way.
func (f *forms) sameAs(other *forms) bool {
	return slices.EqualFunc(f.checks, other.checks, func(a, b *check) bool {
		return bytes.Equal(a.policy.Compiled.MarshalCedar(), b.policy.Compiled.MarshalCedar()) && b.policy.Rewritten == nil
	})
}

// An upgrade gathers what is to be changed in a text.
type upgrade struct {
	text  []byte
	check *check
	edits []edit
}

// An edit puts a text in the place of a span, which holds one token or none.
type edit struct {
	at   syntax.Span
	text string
}

func (u *upgrade) edit(at syntax.Span, text string) { u.edits = append(u.edits, edit{at, text}) }

// apply is the text with all changes.
func (u *upgrade) apply() []byte {
	slices.SortStableFunc(u.edits, func(a, b edit) int { return a.at.Start - b.at.Start })
	var b bytes.Buffer
	last := 0
	for _, e := range u.edits {
		b.Write(u.text[last:e.at.Start])
		b.WriteString(e.text)
		last = e.at.End
	}
	b.Write(u.text[last:])
	return b.Bytes()
}

// replace puts text in the place of all tokens in a span, and leaves its comments.
func (u *upgrade) replace(at syntax.Span, text string) {
	for _, t := range u.tokens(at) {
		u.edit(t.Span, text)
		text = ""
	}
}

// tokens are those in a span, without comments.
func (u *upgrade) tokens(at syntax.Span) []syntax.Token {
	var all []syntax.Token
	for _, t := range syntax.Tokens(u.text[at.Start:at.End]) {
		if t.Kind != syntax.Remark {
			t.Start, t.End = t.Start+at.Start, t.End+at.Start
			all = append(all, t)
		}
	}
	return all
}

// between is the place between two parts.
func between(a, b syntax.Span) syntax.Span { return syntax.Span{Start: a.End, End: b.Start} }

func (u *upgrade) policy(p *syntax.Policy) {
	u.principal(p.Principal)
	for _, e := range p.Resource.Entities {
		u.entity(e)
	}
	for _, c := range p.Conditions {
		u.node(c.Body, false)
	}
}

// principal changes a scope.
func (u *upgrade) principal(s *syntax.Scope) {
	switch {
	case s.Type == "Client":
		u.replace(syntax.Span{Start: s.VariableSpan.End, End: s.TypeSpan.End}, "")
	case s.Op == "==" && s.Entities[0].Name == "Client":
		u.replace(between(s.VariableSpan, s.Entities[0].Span), " in ")
	}
}

// entity names the upstream of a tool that has none.
func (u *upgrade) entity(n *syntax.Node) {
	if uid, ok := u.check.qualified(n.Value.(types.EntityUID)); ok {
		_, id, _ := strings.Cut(uidText(uid), `::"`)
		u.edit(n.IDSpan, `"`+id)
	}
}

// node changes a node and those below it. tight says that it stands where what has an
// operator needs parentheses.
func (u *upgrade) node(n *syntax.Node, tight bool) {
	switch n.Kind {
	case syntax.EntityRef:
		u.entity(n)
	case syntax.Attribute, syntax.Index, syntax.Has:
		u.attribute(n)
	case syntax.Compare:
		if u.compare(n) {
			return
		}
	case syntax.Is:
		u.isClient(n)
	case syntax.Method:
		if n.Name == "contains" && isPrincipal(n.Args[1]) && hasClientRef(n.Args[0]) {
			u.contains(n, tight)
			return
		}
	}
	for i, a := range n.Args {
		u.node(a, isTight(n.Kind, i))
	}
}

// isTight reports whether an argument cannot be a comparison without parentheses.
func isTight(kind syntax.Kind, argument int) bool {
	switch kind {
	case syntax.Method, syntax.Attribute, syntax.Index:
		return argument == 0
	case syntax.If, syntax.Or, syntax.And, syntax.Paren, syntax.Set, syntax.Record, syntax.Function:
		return false
	}
	return true
}

// bare is a node without the parentheses around it.
func bare(n *syntax.Node) *syntax.Node {
	for n.Kind == syntax.Paren {
		n = n.Args[0]
	}
	return n
}

func isPrincipal(n *syntax.Node) bool {
	n = bare(n)
	return n.Kind == syntax.Variable && n.Name == "principal"
}

func isClientRef(n *syntax.Node) bool {
	n = bare(n)
	return n.Kind == syntax.EntityRef && n.Name == "Client"
}

func hasClientRef(n *syntax.Node) bool {
	n = bare(n)
	return n.Kind == syntax.Set && slices.ContainsFunc(n.Args, isClientRef)
}

// attribute changes what an attribute is of.
func (u *upgrade) attribute(n *syntax.Node) {
	of := bare(n.Args[0])
	if of.Kind != syntax.Variable {
		return
	}
	from := ast.StrOpNode{Arg: ast.Variable{Name: types.String(of.Name)}, Value: types.String(n.Name)}
	if to, ok := movedTo(from); ok {
		u.edit(of.Span, string(to.Arg.(ast.Variable).Name))
	}
}

// compare changes a comparison of the principal with a Client; it reports whether n
// is one.
func (u *upgrade) compare(n *syntax.Node) bool {
	left, right := n.Args[0], n.Args[1]
	swapped := isClientRef(left) && isPrincipal(right)
	if n.Name != "==" && n.Name != "!=" || !swapped && !(isPrincipal(left) && isClientRef(right)) {
		return false
	}
	u.edit(n.NameSpan, " in ")
	if n.Name == "!=" {
		u.edit(syntax.Span{Start: n.Start, End: n.Start}, "!(")
	}
	if swapped {
		u.replace(bare(left).Span, "principal")
		u.replace(bare(right).Span, uidText(bare(left).Value.(types.EntityUID)))
	}
	if n.Name == "!=" {
		u.edit(syntax.Span{Start: n.End, End: n.End}, ")")
	}
	return true
}

// isClient changes principal is Client, which any principal is.
func (u *upgrade) isClient(n *syntax.Node) {
	if n.Name != "Client" || !isPrincipal(n.Args[0]) {
		return
	}
	if len(n.Args) == 1 {
		u.replace(n.Span, "true")
		return
	}
	u.replace(syntax.Span{Start: n.Args[0].End, End: n.NameSpan.End}, "")
}

// contains makes principal in […] of […].contains(principal).
func (u *upgrade) contains(n *syntax.Node, tight bool) {
	open, end := " principal in ", ""
	if tight {
		open, end = "(principal in ", ")"
	}
	u.edit(syntax.Span{Start: n.Start, End: n.Start}, open)
	u.node(n.Args[0], true)
	u.replace(syntax.Span{Start: n.Args[0].End, End: n.End}, "")
	u.edit(syntax.Span{Start: n.End, End: n.End}, end)
}
