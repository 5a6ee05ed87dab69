package lock

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// wide is how long a line may be before it is broken, in bytes.
	wide = 100
	// Objects from the top down to the tools are always broken, and what is nested
	// deeper than so many levels never is.
	alwaysBroken, neverBroken = 5, 24
)

// layOut breaks JSON into lines where it does not fit on one. Characters that
// cannot be seen are escaped, so that whoever reads the file in any program knows
// of them.
func layOut(text jsontext.Value) []byte {
	var b bytes.Buffer
	lines{&b}.value(text, 0, 0)
	b.WriteByte('\n')
	return escapeHidden(b.Bytes())
}

type lines struct{ *bytes.Buffer }

// value writes a value at a depth; used is how much of its line is taken.
func (l lines) value(v jsontext.Value, depth, used int) {
	short := v.Clone()
	if err := short.Format(jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true)); err != nil {
		panic("lock: " + err.Error()) // it was written here
	}
	kind := v.Kind()
	fits := used+len(short) <= wide && (depth >= alwaysBroken || len(short) == 2)
	if kind != '{' && kind != '[' || fits || depth >= neverBroken {
		l.Write(short)
		return
	}
	indent := strings.Repeat("  ", depth+1)
	d := jsontext.NewDecoder(bytes.NewReader(v))
	opening, closing := read(d), byte('}')
	if kind == '[' {
		closing = ']'
	}
	l.WriteByte(opening)
	for i := 0; d.PeekKind() != jsontext.Kind(closing); i++ {
		if i > 0 {
			l.WriteByte(',')
		}
		l.WriteString("\n" + indent)
		used := len(indent)
		if kind == '{' {
			name := element(d)
			l.Write(name)
			l.WriteString(": ")
			used += len(name) + 2
		}
		l.value(element(d), depth+1, used)
	}
	l.WriteString("\n" + indent[2:])
	l.WriteByte(closing)
}

func read(d *jsontext.Decoder) byte {
	t, err := d.ReadToken()
	if err != nil {
		panic("lock: " + err.Error())
	}
	return byte(t.Kind())
}

func element(d *jsontext.Decoder) jsontext.Value {
	v, err := d.ReadValue()
	if err != nil {
		panic("lock: " + err.Error())
	}
	return v.Clone()
}

// escapeHidden escapes the characters of JSON that cannot be seen.
func escapeHidden(text []byte) []byte {
	if bytes.IndexFunc(text, func(r rune) bool { return r != '\n' && hidden(r) }) < 0 {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case r == '\n' || !hidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
