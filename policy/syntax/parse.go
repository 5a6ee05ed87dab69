package syntax

import "fmt"

// maxErrors bounds the mistakes that ParseAll finds.
const maxErrors = 100

// Parse reads policies. The error is an [*Error], the first of [ParseAll]'s.
func Parse(name string, text []byte) (*File, error) {
	f, mistakes := ParseAll(name, text)
	if len(mistakes) > 0 {
		return nil, mistakes[0]
	}
	return f, nil
}

// ParseAll reads what can be read of a text: policies with a mistake are left out of
// the file, and so is all after one that is too much. There is one mistake for each,
// 100 at most. A policy ends with its semicolon, or where the next one begins.
func ParseAll(name string, text []byte) (*File, []*Error) {
	f := &File{Name: name, Text: text, lines: lineStarts(text)}
	r := &reader{file: f, lex: NewLexer(text)}
	for r.gather() && len(r.mistakes) < maxErrors {
		r.policy()
	}
	return f, r.mistakes
}

// A reader goes through a file, policy by policy.
type reader struct {
	file     *File
	lex      *Lexer
	tokens   []Token // of one policy, then an End
	wrong    Token   // the first of them, or of the comments, with a mistake of its own
	count    int     // of policies that were there, read or not
	mistakes []*Error
}

// gather takes the tokens of the next policy and reports whether there is one. There
// is none after the end, nor after one that is too much.
func (r *reader) gather() bool {
	r.tokens, r.wrong = r.tokens[:0], Token{}
	var n nesting
	effect := false // was there
	for {
		before := r.lex.pos
		t := r.lex.Next()
		begins := r.isEffect(t)
		if t.Kind == End || effect && (begins || r.is(t, "@")) {
			r.lex.pos = before
			return r.end()
		}
		effect = effect || begins
		if t.Mistake != "" && r.wrong.Mistake == "" {
			r.wrong = t
		}
		if t.Kind == Remark {
			r.file.Comments = append(r.file.Comments, r.comment(t))
			continue
		}
		r.tokens = append(r.tokens, t)
		if much := n.add(r.file.Text, t); much != "" {
			r.mistake(t.Span, much)
			r.mistakes[len(r.mistakes)-1].TooMuch = true
			return false
		}
		if n.brackets == 0 && r.is(t, ";") {
			return r.end()
		}
	}
}

// end closes the tokens of a policy and reports whether there is anything to read.
// What is missing is missing right after the last of them.
func (r *reader) end() bool {
	end := Token{Span: Span{r.lex.pos, r.lex.pos}}
	if n := len(r.tokens); n > 0 {
		end.Span = Span{r.tokens[n-1].End, r.tokens[n-1].End}
	}
	r.tokens = append(r.tokens, end)
	return len(r.tokens) > 1 || r.wrong.Mistake != ""
}

func (r *reader) is(t Token, s string) bool { return string(r.lex.Of(t)) == s }

// isEffect reports whether a token, which was the last one, is an effect before its
// bracket. Such is nowhere else in a policy.
func (r *reader) isEffect(t Token) bool {
	if !r.is(t, "permit") && !r.is(t, "forbid") {
		return false
	}
	ahead := *r.lex
	for {
		if next := ahead.Next(); next.Kind != Remark {
			return r.is(next, "(")
		}
	}
}

// comment leaves out what else ends lines.
func (r *reader) comment(t Token) Comment {
	c := Comment{Span: t.Span, Block: r.file.Text[t.Start+1] == '*'}
	if !c.Block && r.file.Text[c.End-1] == '\r' {
		c.End--
	}
	return c
}

// policy reads the policy whose tokens were gathered.
func (r *reader) policy() {
	p := &parser{text: r.file.Text, tokens: r.tokens}
	switch {
	case r.wrong.Mistake != "":
		p.fail(r.wrong.Span, "%s", r.wrong.Mistake)
	default:
		policy := p.policy()
		if p.err == nil {
			policy.Index = r.count
			r.file.Policies = append(r.file.Policies, policy)
		}
	}
	if p.err != nil {
		r.mistake(p.err.Span, p.err.Text)
	}
	r.count++
}

func (r *reader) mistake(at Span, text string) {
	e := &Error{File: r.file.Name, Span: at, Text: text}
	e.Line, e.Column = r.file.Place(at.Start)
	r.mistakes = append(r.mistakes, e)
}

// A parser reads one policy. At its first mistake it goes to the end of the tokens,
// where nothing more is read; its results are of no use then.
type parser struct {
	text   []byte
	tokens []Token // the last one is an End
	at     int
	err    *Error
}

// fail notes a mistake, if it is the first.
func (p *parser) fail(at Span, format string, args ...any) {
	if p.err == nil {
		p.err = &Error{Span: at, Text: fmt.Sprintf(format, args...)}
		p.at = len(p.tokens) - 1
	}
}

// unexpected notes that a token stands where something else belongs.
func (p *parser) unexpected(t Token, belongs string) {
	if t.Kind == End {
		p.fail(t.Span, "the policy ends where %s belongs", belongs)
		return
	}
	p.fail(t.Span, "%s stands where %s belongs", quoted(p.of(t)), belongs)
}

func (p *parser) of(t Token) string { return string(p.text[t.Start:t.End]) }

func (p *parser) peek() Token { return p.tokens[p.at] }

func (p *parser) next() Token {
	t := p.tokens[p.at]
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

// is reports whether the next token is s, which is not "".
func (p *parser) is(s string) bool {
	t := p.tokens[p.at]
	return string(p.text[t.Start:t.End]) == s
}

// accept goes over the next token if it is s.
func (p *parser) accept(s string) bool {
	if p.is(s) {
		p.next()
		return true
	}
	return false
}

// expect goes over the next token, which must be s.
func (p *parser) expect(s string) Span {
	t := p.peek()
	if !p.is(s) {
		p.unexpected(t, quoted(s))
		return t.Span
	}
	return p.next().Span
}

// reserved words are no names.
func reserved(s string) bool {
	switch s {
	case "true", "false", "if", "then", "else", "in", "like", "has", "is", "__cedar":
		return true
	}
	return false
}

// isName reports whether a token is a word that is not reserved.
func (p *parser) isName(t Token) bool { return t.Kind == Word && !reserved(p.of(t)) }

// name goes over a name.
func (p *parser) name(belongs string) Name {
	t := p.peek()
	if !p.isName(t) {
		p.unexpected(t, belongs)
		return Name{Span: t.Span}
	}
	p.next()
	return Name{p.of(t), t.Span}
}

// quotedText goes over a text.
func (p *parser) quotedText(belongs string) Name {
	t := p.peek()
	if t.Kind != Text {
		p.unexpected(t, belongs)
		return Name{Span: t.Span}
	}
	p.next()
	return Name{p.unquote(t), t.Span}
}

// nameOrText goes over either.
func (p *parser) nameOrText() Name {
	if p.peek().Kind == Text {
		return p.quotedText("")
	}
	return p.name("a name or string")
}
