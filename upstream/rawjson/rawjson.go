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
// The members share memory with raw.
func ParseObject(raw []byte) (Object, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw), lenient...)
	if err := begin(d, '{'); err != nil {
		return nil, err
	}
	var o Object
	var seen names
	for d.PeekKind() != '}' {
		key, err := readValue(d, raw)
		if err != nil {
			return nil, err
		}
		value, err := readValue(d, raw)
		if err != nil {
			return nil, err
		}
		name, _ := jsontext.AppendUnquote(nil, key) // its error only reports replaced UTF-8
		if !seen.add(o, string(name)) {
			return nil, fmt.Errorf("duplicate key %q", name)
		}
		o = append(o, Member{Name: string(name), Value: json.RawMessage(value), key: key})
	}
	return o, end(d)
}

// ParseArray returns the elements of the JSON array raw. They share memory
// with it.
func ParseArray(raw []byte) ([]json.RawMessage, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw), lenient...)
	if err := begin(d, '['); err != nil {
		return nil, err
	}
	var elements []json.RawMessage
	for d.PeekKind() != ']' {
		value, err := readValue(d, raw)
		if err != nil {
			return nil, err
		}
		elements = append(elements, json.RawMessage(value))
	}
	return elements, end(d)
}

// CheckStrict reports whether raw is JSON that can be read in only one way:
// valid UTF-8 without lone surrogates, and no object, at any depth, that names
// a member twice (RFC 8259 sections 4 and 8 leave both to the reader). The
// error names the place as a JSON pointer.
func CheckStrict(raw []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw))
	if err := d.SkipValue(); err != nil {
		return describe(err)
	}
	if err := end(d); err != nil {
		return describe(err)
	}
	return nil
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
	var s *string
	if err := json.Unmarshal(o.Get(name), &s); err != nil || s == nil {
		return "", false
	}
	return *s, true
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

// names finds duplicate names: by looking at all of them while they are few,
// as they mostly are, and in a set beyond that.
type names map[string]bool

// add reports whether name is not among the members so far.
func (n *names) add(o Object, name string) bool {
	const few = 16
	if len(o) < few {
		return o.index(name) < 0
	}
	if *n == nil {
		*n = make(names, 2*len(o))
		for _, m := range o {
			(*n)[m.Name] = true
		}
	}
	if (*n)[name] {
		return false
	}
	(*n)[name] = true
	return true
}

func (o Object) index(name string) int {
	return slices.IndexFunc(o, func(m Member) bool { return m.Name == name })
}

// readValue returns the next value as the part of raw that it is: the
// decoder's own result is overwritten by its next read.
func readValue(d *jsontext.Decoder, raw []byte) (jsontext.Value, error) {
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	to := d.InputOffset()
	from := to - int64(len(v))
	return raw[from:to:to], nil
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

func begin(d *jsontext.Decoder, kind jsontext.Kind) error {
	got := d.PeekKind()
	if got != kind && got != 0 {
		return fmt.Errorf("not a JSON %s", map[jsontext.Kind]string{'{': "object", '[': "array"}[kind])
	}
	_, err := d.ReadToken()
	return err
}

// end reads the closing delimiter, if one is left, and what must be nothing.
func end(d *jsontext.Decoder) error {
	if d.StackDepth() > 0 {
		if _, err := d.ReadToken(); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}
