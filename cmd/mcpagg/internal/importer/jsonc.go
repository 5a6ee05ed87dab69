package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// withoutComments is JSON of the kind that editors allow, without its comments,
// its commas before closing brackets and a byte order mark. Lines stay lines, so
// that places in it stay right.
func withoutComments(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		n := 1
		switch {
		case text[0] == '"':
			n = stringLength(text)
			out = append(out, text[:n]...)
		case bytes.HasPrefix(text, []byte("//")):
			n = lengthUntil(text, "\n")
		case bytes.HasPrefix(text, []byte("/*")):
			n = min(lengthUntil(text[2:], "*/")+4, len(text))
			out = append(out, ' ')
			out = append(out, bytes.Repeat([]byte("\n"), bytes.Count(text[:n], []byte("\n")))...)
		case text[0] == '}' || text[0] == ']':
			out = append(withoutComma(out), text[0])
		default:
			out = append(out, text[0])
		}
		text = text[n:]
	}
	return out
}

// stringLength is how long the JSON string is that text begins with.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"', '\n':
			return i + 1
		}
	}
	return len(text)
}

func lengthUntil(text []byte, end string) int {
	if i := bytes.Index(text, []byte(end)); i >= 0 {
		return i
	}
	return len(text)
}

// withoutComma is text without a comma that ends it. What was white space behind
// it stays.
func withoutComma(text []byte) []byte {
	end := len(bytes.TrimRight(text, " \t\r\n"))
	if end == 0 || text[end-1] != ',' {
		return text
	}
	return append(text[:end-1], text[end:]...)
}

func isJSON(text []byte) bool {
	text = bytes.TrimSpace(text)
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// decode is the one value in text. Numbers stay as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	err := d.Decode(&value)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return value, nil
		}
		return nil, fmt.Errorf("line %d: there is something after the end of the JSON", lineAt(text, d.InputOffset()))
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil, fmt.Errorf("line %d: this is not JSON: %v", lineAt(text, syntax.Offset), err)
	}
	return nil, errors.New("this is not JSON: it ends too early")
}

func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n"))
}

// An object is one of JSON. It knows which of its fields were asked for.
type object struct {
	fields  map[string]any
	asked   map[string]bool
	strange []string // fields of another type than was expected
}

func newObject(value any) (*object, bool) {
	fields, ok := value.(map[string]any)
	return &object{fields: fields, asked: map[string]bool{}}, ok
}

// first is the first of the fields that is there and not null.
func (o *object) first(names []string) (name string, value any) {
	for _, n := range names {
		o.asked[n] = true
		if v := o.fields[n]; v != nil && value == nil {
			name, value = n, v
		}
	}
	return name, value
}

// text is the first of the fields as text, "" if there is none.
func (o *object) text(names ...string) string {
	name, value := o.first(names)
	s, ok := scalar(value)
	if !ok && value != nil {
		o.strange = append(o.strange, name)
	}
	return s
}

// words is the first of the fields as a list of texts, nil if there is none. A
// single text is a list of one.
func (o *object) words(names ...string) []string {
	name, value := o.first(names)
	if value == nil {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	words := []string{}
	for _, v := range list {
		s, ok := scalar(v)
		if !ok {
			o.strange = append(o.strange, name)
			continue
		}
		words = append(words, s)
	}
	return words
}

// texts is the first of the fields as a map of texts; entries that are null are
// left out.
func (o *object) texts(names ...string) map[string]string {
	name, value := o.first(names)
	fields, ok := value.(map[string]any)
	if !ok && value != nil {
		o.strange = append(o.strange, name)
	}
	texts := map[string]string{}
	for key, v := range fields {
		s, ok := scalar(v)
		switch {
		case ok:
			texts[key] = s
		case v != nil:
			o.strange = append(o.strange, name)
		}
	}
	return texts
}

// flag is a field that is true or false; ok says that it is one of them.
func (o *object) flag(name string) (yes, ok bool) {
	_, value := o.first([]string{name})
	yes, ok = value.(bool)
	return yes, ok
}

// object is a field that is an object; ok says that it is one.
func (o *object) object(name string) (*object, bool) {
	o.asked[name] = true
	return newObject(o.fields[name])
}

func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}
