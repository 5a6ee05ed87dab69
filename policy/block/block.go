// Package block reads the HCL in which personas and tests of policies are written:
// blocks with attributes whose values are written out.
//
//	file := block.Parse("dev_test.hcl", text)
//	for _, b := range file.Blocks("persona", block.Labelled) {
//		groups := b.Texts("groups")
//		b.Done()
//	}
//	file.Done()
//	return file.Err()
//
// Reading goes on after a mistake, so that all of them are told at once, and Done
// finds what nobody asked for. A File is for one goroutine.
package block

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/mcpagg/mcpagg/policy/source"
)

// maxSize bounds the bytes of a file.
const maxSize = 16 << 20

// A File is a file that is being read, and what is wrong with it.
type File struct {
	*Block   // what stands at the top level
	name     string
	mistakes source.Mistakes
}

// Parse reads the syntax of a file. What is wrong with it is in [File.Err].
func Parse(name string, text []byte) *File {
	f := &File{name: name}
	f.Block = &Block{file: f, body: &hclsyntax.Body{}, known: map[string]bool{}}
	switch {
	case len(text) > maxSize:
		f.mistakes = append(f.mistakes, source.Mistake{File: name, Text: fmt.Sprintf("the file is larger than %d MiB", maxSize>>20), Remedy: "split it"})
		return f
	case tooDeep(text):
		f.mistakes = append(f.mistakes, source.Mistake{File: name, Text: fmt.Sprintf("it is nested more than %d levels deep", maxNesting), Remedy: "write it flatter"})
		return f
	}
	parsed, diagnostics := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	f.report(diagnostics)
	if body, ok := parsed.Body.(*hclsyntax.Body); ok && len(f.mistakes) == 0 {
		f.body = body
	}
	return f
}

// Err is what was found to be wrong, in the order of the file, as [source.Mistakes];
// nil for nothing.
func (f *File) Err() error {
	if len(f.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(f.mistakes, func(a, b source.Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return f.mistakes
}

// Mistake notes what is wrong at a place.
func (f *File) Mistake(at Place, text, remedy string) {
	m := source.Mistake{File: f.name, Line: at.Line, Column: at.Column, Text: text, Remedy: remedy}
	if !slices.Contains(f.mistakes, m) {
		f.mistakes = append(f.mistakes, m)
	}
}

// report notes what HCL complains about: of each line the first, since the others
// follow from it.
func (f *File) report(diagnostics hcl.Diagnostics) {
	line := 0
	for _, d := range diagnostics {
		at := Place{}
		if d.Subject != nil {
			at = placeOf(*d.Subject)
		}
		if d.Severity != hcl.DiagError || at.Line != 0 && at.Line == line {
			continue
		}
		line = at.Line
		f.Mistake(at, strings.ToLower(d.Summary[:1])+d.Summary[1:], plain(d.Detail))
	}
}

// A Place is where something stands.
type Place struct {
	File         string
	Line, Column int // from 1, in characters
	Start, End   int // its bytes
}

func placeOf(r hcl.Range) Place {
	return Place{r.Filename, r.Start.Line, r.Start.Column, r.Start.Byte, r.End.Byte}
}

// String is file:line.
func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// A Block is a block of a file. Whatever is asked of it that is not there is the zero
// value.
type Block struct {
	Label string // the last, "" for none
	At    Place  // of the label, or else of the type
	Close Place  // of the } at its end

	file  *File
	kind  string // such as persona; "" for the file itself
	body  *hclsyntax.Body
	known map[string]bool // what was asked for; blocks end in " {"
}

// Labels says how many labels blocks have.
type Labels uint8

// The members of Labels.
const (
	Unlabelled Labels = iota
	Labelled
	MaybeLabelled
)

// Blocks are the blocks of a type.
func (b *Block) Blocks(kind string, labels Labels) []*Block {
	b.known[kind+" {"] = true
	var all []*Block
	for _, inner := range b.body.Blocks {
		if inner.Type != kind {
			continue
		}
		one := &Block{file: b.file, kind: kind, body: inner.Body, known: map[string]bool{}, At: placeOf(inner.TypeRange), Close: placeOf(inner.CloseBraceRange)}
		one.label(inner, labels)
		all = append(all, one)
	}
	return all
}

// label gives a block its label.
func (b *Block) label(inner *hclsyntax.Block, labels Labels) {
	switch most := min(int(labels), 1); {
	case len(inner.Labels) == 0 && labels == Labelled:
		b.file.Mistake(b.At, "this "+b.kind+" has no name", fmt.Sprintf("write %s \"…\" {", b.kind))
	case len(inner.Labels) > most:
		b.file.Mistake(placeOf(inner.LabelRanges[most]), fmt.Sprintf("a %s has %s", b.kind, [...]string{"no name", "one name"}[most]), "take the others out")
	case len(inner.Labels) == 1:
		b.Label, b.At = inner.Labels[0], placeOf(inner.LabelRanges[0])
		if b.Label == "" {
			b.file.Mistake(b.At, "the name of this "+b.kind+" is empty", "name it")
		}
	}
}

// Block is the block of a type without labels that may stand once, nil for none.
func (b *Block) Block(kind string) *Block {
	all := b.Blocks(kind, Unlabelled)
	if len(all) == 0 {
		return nil
	}
	for _, other := range all[1:] {
		b.file.Mistake(other.At, fmt.Sprintf("there is another %s at line %d", kind, all[0].At.Line), "make one of them")
	}
	return all[0]
}

// Has reports whether an attribute is there, and where.
func (b *Block) Has(name string) (Place, bool) {
	a := b.attribute(name)
	if a == nil {
		return Place{}, false
	}
	return placeOf(a.Expr.Range()), true
}

// Mistake notes what is wrong with an attribute, or with the block if it is not there.
func (b *Block) Mistake(attribute, text, remedy string) {
	at, ok := b.Has(attribute)
	if !ok {
		at = b.At
	}
	b.file.Mistake(at, text, remedy)
}

// Done notes what stands in the block that nobody asked for.
func (b *Block) Done() {
	for name, a := range b.body.Attributes {
		if b.known[name] {
			continue
		}
		text := fmt.Sprintf("%s has no attribute %s", b.article(), Quote(name))
		if b.known[name+" {"] {
			b.file.Mistake(placeOf(a.NameRange), text, fmt.Sprintf("it is a block: write %s { … } without =", name))
			continue
		}
		b.file.Mistake(placeOf(a.NameRange), text, DidYouMean(name, b.names(false), "its attributes are "+strings.Join(b.names(false), ", ")))
	}
	for _, inner := range b.body.Blocks {
		if b.known[inner.Type+" {"] {
			continue
		}
		text := fmt.Sprintf("%s has no block %s", b.article(), Quote(inner.Type))
		if b.known[inner.Type] {
			b.file.Mistake(placeOf(inner.TypeRange), text, fmt.Sprintf("it is an attribute: write %s = …", inner.Type))
			continue
		}
		otherwise := "take it out"
		if blocks := b.names(true); len(blocks) > 0 {
			otherwise = "its blocks are " + strings.Join(blocks, ", ")
		}
		b.file.Mistake(placeOf(inner.TypeRange), text, DidYouMean(inner.Type, b.names(true), otherwise))
	}
}

func (b *Block) article() string {
	switch b.kind {
	case "":
		return "such a file"
	case "input":
		return "an " + b.kind
	}
	return "a " + b.kind
}

// names are what was asked for: attributes, or blocks.
func (b *Block) names(blocks bool) []string {
	var all []string
	for name := range b.known {
		short, is := strings.CutSuffix(name, " {")
		if is == blocks {
			all = append(all, short)
		}
	}
	slices.Sort(all)
	return all
}

func (b *Block) attribute(name string) *hclsyntax.Attribute {
	b.known[name] = true
	return b.body.Attributes[name]
}

// maxNesting bounds the depth of a file: the parser recurses without a bound, and a
// stack that overflows ends the program.
const maxNesting = 200

// tooDeep counts brackets, and operators that stand before an operand, wherever they
// are.
func tooDeep(text []byte) bool {
	depth, prefixes := 0, 0
	for _, b := range text {
		switch b {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '!', '-':
			prefixes++
		case ' ', '\t', '\n', '\r':
		default:
			prefixes = 0
		}
		if depth > maxNesting || prefixes > maxNesting {
			return true
		}
	}
	return false
}
