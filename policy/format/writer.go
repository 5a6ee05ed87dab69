package format

import (
	"strings"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

// A writer makes docs of trees. It takes the tokens one after the other, each once,
// so that no comment is left out; the tree says where lines may end.
type writer struct {
	tokens []token
	at     int
}

// next is the next token and its comments, or otherwise what follows it.
func (w *writer) next(otherwise *doc) *doc {
	d, remarks := w.split(otherwise)
	return concat(d, remarks)
}

// split is the same in two: the token with the comments above it, and what follows.
func (w *writer) split(otherwise *doc) (d, follows *doc) {
	above := w.above()
	t := w.tokens[w.at]
	w.at++
	return concat(above, text(t.text)), after(t.after, otherwise)
}

// token is the next token.
func (w *writer) token() *doc { return w.next(nil) }

// above are the comments above the next token, which is without them then.
func (w *writer) above() *doc {
	t := &w.tokens[w.at]
	if len(t.above) == 0 {
		return nil
	}
	parts := []*doc{hard}
	for _, remark := range t.above {
		parts = append(parts, text(remark), hard)
	}
	t.above = nil
	return concat(parts...)
}

// after is the rest of a line with comments, or what there is otherwise.
func after(remarks []string, otherwise *doc) *doc {
	if len(remarks) == 0 {
		return otherwise
	}
	var parts []*doc
	for _, remark := range remarks {
		parts = append(parts, space, text(remark))
	}
	return concat(append(parts, hard)...)
}

// is reports whether the next token is s.
func (w *writer) is(s string) bool { return w.tokens[w.at].text == s }

// dropComma goes over a comma before a bracket; its comments go to the bracket.
func (w *writer) dropComma() {
	if !w.is(",") {
		return
	}
	comma, next := w.tokens[w.at], &w.tokens[w.at+1]
	next.above = append(append(comma.above, comma.after...), next.above...)
	w.at++
}

// name is A::B of so many parts.
func (w *writer) name(s string) *doc {
	d := w.token()
	for range strings.Count(s, "::") {
		d = concat(d, w.token(), w.token())
	}
	return d
}

func (w *writer) policy(p *syntax.Policy) *doc {
	var parts []*doc
	for _, a := range p.Annotations {
		parts = append(parts, w.annotation(a))
	}
	parts = append(parts, w.above(), group(concat(w.token(), line, w.token())), w.scopes(p))
	w.dropComma()
	if len(p.Conditions) == 0 {
		parts = append(parts, w.token())
	} else {
		parts = append(parts, w.next(hard))
	}
	for i, c := range p.Conditions {
		if i > 0 {
			parts = append(parts, hard)
		}
		parts = append(parts, w.condition(c))
	}
	return concat(append(parts, w.token())...)
}

func (w *writer) annotation(a *syntax.Annotation) *doc {
	d := concat(w.token(), w.token())
	if !a.HasValue {
		return concat(d, hard)
	}
	return concat(d, w.token(), w.token(), w.next(hard))
}

// scopes are in one line if they say nothing, and in one each if one of them does.
func (w *writer) scopes(p *syntax.Policy) *doc {
	if p.Principal.Op == "" && p.Action.Op == "" && p.Resource.Op == "" {
		return group(nest(indent, concat(w.scope(p.Principal), w.next(space), w.scope(p.Action), w.next(space), w.scope(p.Resource))))
	}
	all := concat(w.scope(p.Principal), w.next(hard), w.scope(p.Action), w.next(hard), w.scope(p.Resource))
	return concat(nest(indent, concat(hard, all)), hard)
}

func (w *writer) scope(s *syntax.Scope) *doc {
	above := w.above()
	d := w.token()
	if s.Type != "" {
		is := group(concat(line, w.token()))
		d = concat(d, group(nest(indent, concat(is, line, w.name(s.Type)))))
	}
	if len(s.Entities) == 0 && !s.List {
		return concat(above, d)
	}
	d = group(concat(d, line, w.token()))
	return concat(above, group(concat(d, nest(indent, concat(line, w.scopeEntities(s))))))
}

func (w *writer) scopeEntities(s *syntax.Scope) *doc {
	if !s.List {
		return w.sum(s.Entities[0])
	}
	return group(w.list(s.Entities))
}

// condition is in one line if it fits; else its brace begins a new one.
func (w *writer) condition(c *syntax.Condition) *doc {
	above := w.above()
	keyword := w.next(line)
	brace, follows := w.split(line)
	body := concat(follows, w.above(), group(w.expression(c.Body)))
	inner := group(concat(nest(indent, body), line, w.token()))
	return concat(above, group(concat(keyword, brace, inner)))
}
