// Package rawjson takes JSON objects and arrays apart and puts them together
// again without decoding what is inside: every value that nobody replaced comes
// out byte for byte as it went in, number forms, escapes and key order
// included. A gateway that edits one member of a message must not touch the rest.
//
//	params, err := rawjson.ParseObject(raw)
//	params.Set("name", rawjson.String("create_issue"))
//	raw = params.Bytes()
package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Member is one name and value of an object.
type Member struct {
	Name  string          // unescaped
	Value json.RawMessage // as it was sent

	key []byte // the name as it was sent, with its quotes
}

// An Object is a JSON object as the list of its members, in their order.
type Object []Member

// lenient accepts what a peer may have sent below the level at hand: judging
// it is not the job of whoever only passes it on.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// ParseObject takes raw apart. It fails if raw is not one JSON object or names
// a member twice; what the members hold is checked for syntax only.
// The members share memory with raw. An object without members is nil.
func ParseObject(raw []byte) (Object, error) {
	s := scanner{raw: raw}
	if s.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	var o Object
	var seen names
	var twice error
	ok := s.object(1, func(key []byte) bool {
		name := unquoted(key, false)
		if !seen.add(name) {
			twice = fmt.Errorf("duplicate key %q", name)
			return false
		}
		if o == nil {
			o = make(Object, 0, 4)
		}
		value, ok := s.next()
		o = append(o, Member{Name: nameOf(name), Value: value, key: key})
		return ok
	})
	switch {
	case twice != nil:
		return nil, twice
	case !ok || !s.ended():
		return nil, explain(raw, lenient...)
	}
	return o, nil
}

// ParseArray returns the elements of the JSON array raw. They share memory
// with it.
func ParseArray(raw []byte) ([]json.RawMessage, error) {
	s := scanner{raw: raw}
	if s.peek() != '[' {
		return nil, errors.New("not a JSON array")
	}
	var elements []json.RawMessage
	ok := s.array(1, func() bool {
		value, ok := s.next()
		elements = append(elements, value)
		return ok
	})
	if !ok || !s.ended() {
		return nil, explain(raw, lenient...)
	}
	return elements, nil
}

// next skips a value one level down and returns it.
func (s *scanner) next() (json.RawMessage, bool) {
	s.peek()
	from := s.at
	ok := s.value(1)
	return json.RawMessage(s.raw[from:s.at:s.at]), ok
}

// CheckStrict reports whether raw is JSON that can be read in only one way:
// valid UTF-8 without lone surrogates, and no object, at any depth, that names
// a member twice (RFC 8259 sections 4 and 8 leave both to the reader). The
// error names the place as a JSON pointer.
func CheckStrict(raw []byte) error {
	s := scanner{raw: raw, strict: true}
	if s.value(0) && s.ended() {
		return nil
	}
	return explain(raw)
}

// Decode is CheckStrict, and returns what raw says: a number as int64 if it is
// an integer of that size, so that one beyond 2^53 stays exact, and as float64
// if not, and everything else as encoding/json has it.
func Decode(raw []byte) (any, error) {
	s := scanner{raw: raw, strict: true}
	v, ok := s.decoded(0)
	switch {
	case ok && s.ended():
		return v, nil
	case s.overflow != "":
		return nil, fmt.Errorf("the number %.40s is out of range", s.overflow)
	}
	return nil, explain(raw)
}

// Get returns the value of the member name, and nil if there is none.
func (o Object) Get(name string) json.RawMessage {
	if i := o.index(name); i >= 0 {
		return o[i].Value
	}
	return nil
}

// GetString returns the member name, if it is a JSON string.
func (o Object) GetString(name string) (string, bool) {
	value := o.Get(name)
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if end := len(value) - 1; special(value, 1) == end && value[end] == '"' {
		return string(value[1:end]), true
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return "", false
	}
	return s, true
}

// Set replaces the value of the member name, in its place, or appends it.
func (o *Object) Set(name string, value json.RawMessage) {
	if i := o.index(name); i >= 0 {
		(*o)[i].Value = value
		return
	}
	*o = append(*o, Member{Name: name, Value: value, key: String(name)})
}

// Replace sets the value of the member name, if there is one.
func (o Object) Replace(name string, value json.RawMessage) {
	if i := o.index(name); i >= 0 {
		o[i].Value = value
	}
}

// Delete removes the member name, if there is one.
func (o *Object) Delete(name string) {
	if i := o.index(name); i >= 0 {
		*o = slices.Delete(*o, i, i+1)
	}
}

// Bytes puts the object together, without white space between its members.
func (o Object) Bytes() json.RawMessage {
	size := 2
	for _, m := range o {
		size += len(m.key) + len(m.Value) + 2
	}
	out := append(make([]byte, 0, size), '{')
	for i, m := range o {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, m.key...), ':'), m.Value...)
	}
	return append(out, '}')
}

// Array puts elements together as one JSON array.
func Array(elements []json.RawMessage) json.RawMessage {
	size := 2
	for _, e := range elements {
		size += len(e) + 1
	}
	out := append(make([]byte, 0, size), '[')
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, e...)
	}
	return append(out, ']')
}

// String returns s as a JSON string. Only what JSON demands is escaped;
// invalid UTF-8 becomes U+FFFD.
func String(s string) json.RawMessage {
	if plain := append(append(append(make([]byte, 0, len(s)+2), '"'), s...), '"'); special(plain, 1) == len(plain)-1 {
		return plain
	}
	quoted, _ := jsontext.AppendQuote(nil, s) // its error only reports replaced UTF-8
	return quoted
}

// HTMLString is String with <, > and & escaped as well, as encoding/json has it
// by default.
func HTMLString(s string) json.RawMessage {
	quoted, _ := json.Marshal(s) // text always has a JSON form
	return quoted
}

// Value marshals v as JSON without escaping <, > and &. It panics if v has no
// JSON form, so it is for values made by the program itself.
func Value(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("rawjson: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func (o Object) index(name string) int {
	return slices.IndexFunc(o, func(m Member) bool { return m.Name == name })
}

// explain says what the decoder of a library has against raw.
func explain(raw []byte, options ...jsontext.Options) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw), options...)
	if err := d.SkipValue(); err != nil {
		return describe(err)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return errors.New("not JSON") // not reached, as long as both agree
}

// describe puts a decoding error in the words of whoever sent the JSON.
func describe(err error) error {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return err
	}
	at := string(syntax.JSONPointer)
	if at == "" {
		at = "the top level"
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("duplicate key at %s", at)
	case strings.Contains(syntax.Err.Error(), "UTF-8") || strings.Contains(syntax.Err.Error(), "surrogate"):
		return fmt.Errorf("text that is not valid Unicode at %s", at)
	}
	return fmt.Errorf("%w at %s", syntax.Err, at)
}
