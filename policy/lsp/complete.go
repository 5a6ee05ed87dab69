package lsp

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// Bounds of what is answered.
const (
	maxItems  = 2000
	maxSchema = 8 << 10 // bytes of JSON in a hover
)

type completionList struct {
	IsIncomplete bool             `json:"isIncomplete"`
	Items        []completionItem `json:"items"`
}

type completionItem struct {
	Label         string   `json:"label"`
	Kind          int      `json:"kind"`
	Detail        string   `json:"detail,omitempty"`
	Documentation string   `json:"documentation,omitempty"`
	FilterText    string   `json:"filterText"`
	TextEdit      textEdit `json:"textEdit"`
}

// Kinds of items.
const (
	kindField   = 5
	kindKeyword = 14
	kindValue   = 12
)

// here is the cursor of a request, with what is known; ok is false without a document.
func (s *server) here(p documentParams) (d *document, c cursor, known *Project, ok bool) {
	d = s.lookup(p.TextDocument.URI)
	if d == nil || d.text == nil {
		return nil, c, nil, false
	}
	s.mu.Lock()
	known = s.project
	s.mu.Unlock()
	if known == nil {
		known = &Project{}
	}
	return d, cursorAt(d.text.bytes, d.text.offset(p.Position)), known, true
}

// complete lists what can be written at a place.
func (s *server) complete(p documentParams) (any, error) {
	d, c, known, ok := s.here(p)
	if !ok {
		return completionList{Items: []completionItem{}}, nil
	}
	names, kind := known.at(&c)
	list := completionList{Items: []completionItem{}}
	start, end := c.written()
	at := d.text.span(start, end)
	for _, n := range names[:min(len(names), maxItems)] {
		list.Items = append(list.Items, item(n, kind, at))
	}
	list.IsIncomplete = len(names) > maxItems
	return list, nil
}

func item(n name, kind int, at Range) completionItem {
	made := n.label
	switch {
	case kind == kindValue:
		quoted := string(types.String(n.label).MarshalCedar())
		made = strings.TrimSuffix(strings.TrimPrefix(quoted, `"`), `"`)
	case strings.HasPrefix(n.detail, "@"):
		made = strings.TrimPrefix(n.detail, "@")
	}
	return completionItem{
		Label: plain(n.label), Kind: kind, Detail: plain(n.detail), Documentation: plain(n.about),
		FilterText: n.label, TextEdit: textEdit{at, made},
	}
}

// identifier is what can stand behind a dot.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// at is what can be written there, and what kind of item that is.
func (p *Project) at(c *cursor) ([]name, int) {
	i := c.before
	switch {
	case c.at >= 0 && c.kind(c.at) == syntax.Text:
		if typ := c.typeBefore(c.at); typ != "" {
			return p.ids(typ), kindValue
		}
		return nil, kindValue
	case c.is(i-1, "@"):
		return annotations, kindKeyword
	case c.is(i-1, "."):
		var all []name
		for _, n := range p.members(c, c.chain(i)) {
			if identifier.MatchString(n.label) {
				all = append(all, n)
			}
		}
		return all, kindField
	case c.is(i-1, "has"):
		return p.members(c, c.subject(i-1)), kindField
	}
	all := words
	for _, e := range source.Words().Entities {
		all = append(all[:len(all):len(all)], name{e.Name, "entity type", ""})
	}
	return append(all, name{"Action", "entity type", ""}), kindKeyword
}

// hover tells of what is at a place.
func (s *server) hover(p documentParams) (any, error) {
	d, c, known, ok := s.here(p)
	if !ok {
		return nil, nil
	}
	if c.at < 0 { // the character behind the place counts, too
		if c = cursorAt(d.text.bytes, c.offset+1); c.at < 0 {
			return nil, nil
		}
	}
	told := known.tell(&c)
	if told == "" {
		return nil, nil
	}
	t := c.tokens[c.at]
	return map[string]any{
		"contents": map[string]string{"kind": "markdown", "value": told},
		"range":    d.text.span(t.Start, t.End),
	}, nil
}

// tell is what is known of what is at a place, in Markdown.
func (p *Project) tell(c *cursor) string {
	i := c.at
	if c.kind(i) == syntax.Text {
		return p.tellEntity(types.NewEntityUID(types.EntityType(c.typeBefore(i)), types.String(c.textAt(i))))
	}
	from := annotations
	if !c.is(i-1, "@") {
		from = p.members(c, c.chain(i))
	}
	for _, n := range from {
		if n.label == c.of(i) {
			return fenced("cedar", n.label+": "+n.detail) + "\n" + escaped(n.about) + p.argumentSchema(c, i)
		}
	}
	return ""
}

// tellEntity is what a tool or prompt is, and its input schema.
func (p *Project) tellEntity(uid types.EntityUID) string {
	for _, o := range p.Input.Objects {
		if o.Entity().UID != uid {
			continue
		}
		told := fenced("cedar", o.String())
		if published := p.Input.Published[o.Origin()]; published != "" {
			told += "\nPublished as " + escaped(published) + ".\n"
		}
		if schema := p.Schemas[o.String()]; schema != nil {
			told += "\n" + fenced("json", indented(schema))
		}
		return told + "\n" + fenced("cedar", "context.input: "+o.Shape().Cedar())
	}
	return ""
}

// argumentSchema is what the schema of the one tool that a policy is about says of an
// argument.
func (p *Project) argumentSchema(c *cursor, i int) string {
	chain := c.chain(i)
	about := p.about(c)
	if len(about) != 1 || len(chain) != 2 || chain[1] != "input" {
		return ""
	}
	var schema struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	_ = json.Unmarshal(p.Schemas[about[0].String()], &schema) // of another shape, it has none
	if one := schema.Properties[c.of(i)]; one != nil {
		return "\n\n" + fenced("json", indented(one))
	}
	return ""
}

func indented(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return string(raw)
	}
	return b.String()
}

// fenced is a block of code, of a bounded size, that what is in it cannot end.
func fenced(language, code string) string {
	if len(code) > maxSchema {
		code = strings.ToValidUTF8(code[:maxSchema], "") + "\n…"
	}
	fence := "```"
	for strings.Contains(code, fence) {
		fence += "`"
	}
	return fence + language + "\n" + code + "\n" + fence + "\n"
}

// marks are what Markdown and HTML would not show as it is.
var marks = regexp.MustCompile("[\\\\`*_{}\\[\\]<>#!|&~]")

// escaped is text of others as Markdown shows it.
func escaped(s string) string { return marks.ReplaceAllString(plain(s), `\$0`) }

// plain is text of others in one line, without control characters, and not too long.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 300 {
		return string(r[:299]) + "…"
	}
	return s
}

// define is where the alias at a place is defined.
func (s *server) define(p documentParams) (any, error) {
	_, c, known, ok := s.here(p)
	if !ok || c.kind(c.at) != syntax.Text {
		return nil, nil
	}
	d, ok := known.Definitions[c.typeBefore(c.at)+"::"+c.textAt(c.at)]
	if !ok {
		return nil, nil
	}
	from := Position{Line: d.Line - 1}
	return Location{URI: uriOf(d.Path), Range: Range{Start: from, End: from}}, nil
}
