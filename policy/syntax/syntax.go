// Package syntax reads the text of policies into trees in which every part knows
// where in the text it is: for messages that point at what they are about, and for
// all that changes texts and keeps their comments.
//
//	file, err := syntax.Parse("policies/github.cedar", text)
//	line, column := file.Place(file.Policies[0].Effect.Start)
//
// It takes what cedar-go takes and refuses the rest, and means the same. Decisions
// are not made with these trees, though, but with those of cedar-go.
package syntax

import (
	"bytes"
	"sort"
	"unicode/utf8"
)

// A Span is a part of a text, by its bytes: from Start to before End.
type Span struct{ Start, End int }

// A File is the text of a file and what is in it.
type File struct {
	Name     string
	Text     []byte
	Policies []*Policy
	Comments []Comment // in the order of the text

	lines []int // where they begin
}

// A Comment is one, with what begins and ends it, but without the end of its line.
type Comment struct {
	Span
	Block bool // it is one with /* and */
}

// A Policy is all from the first annotation, or the effect, to the semicolon.
type Policy struct {
	Span
	Annotations                 []*Annotation
	Permit                      bool
	Effect                      Span
	Principal, Action, Resource *Scope
	Conditions                  []*Condition
	Index                       int // in the file, from 0
}

// An Annotation is @name("value").
type Annotation struct {
	Span
	Name, Value         string
	NameSpan, ValueSpan Span // ValueSpan is with its quotes
	HasValue            bool // else it is @name alone
}

// A Scope is what a policy says of principal, action or resource in its brackets.
type Scope struct {
	Span
	Variable     string
	VariableSpan Span
	Op           string // "", "==", "in", "is" or "is in"
	Type         string // after is
	TypeSpan     Span
	Entities     []*Node // of kind EntityRef; several in lists alone
	List         bool    // they are a list, in [ and ]
}

// A Condition is when or unless, with braces.
type Condition struct {
	Span
	Unless bool
	Body   *Node
}

// Place is line and column, from 1 and in characters, of a byte of the text.
func (f *File) Place(offset int) (line, column int) {
	offset = max(min(offset, len(f.Text)), 0)
	line = sort.SearchInts(f.lines, offset+1)
	return line, 1 + utf8.RuneCount(f.Text[f.lines[line-1]:offset])
}

// Place is line and column, from 1 and in characters, of a byte of a text. It looks
// at all that is before; [File.Place] does not.
func Place(text []byte, offset int) (line, column int) {
	before := text[:max(min(offset, len(text)), 0)]
	begin := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[begin:])
}

// lineStarts are where the lines of a text begin.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}
