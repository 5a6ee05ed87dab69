package typed

import (
	"fmt"
	"slices"
	"strings"
)

// Cedar is the type of context.input in Cedar's schema language.
func (s *Shape) Cedar() string { return s.Input.Cedar() }

// Cedar is the type in Cedar's schema language, the members of a record sorted by
// name. A member of which nothing is known has no type there, and is left out.
func (t *Type) Cedar() string {
	var b strings.Builder
	t.write(&b)
	return b.String()
}

func (t *Type) write(b *strings.Builder) {
	switch t.Kind {
	case Set:
		b.WriteString("Set<")
		t.Elem.write(b)
		b.WriteByte('>')
	case Record:
		t.writeRecord(b)
	case Entity:
		b.WriteString(string(t.Entity))
	default:
		b.WriteString(cedarNames[t.Kind])
	}
}

var cedarNames = map[Kind]string{
	String: "String", Long: "Long", Bool: "Bool", Decimal: "decimal",
	Datetime: "datetime", Duration: "duration", Address: "ipaddr",
}

func (t *Type) writeRecord(b *strings.Builder) {
	separator := "{ "
	for _, f := range t.Fields {
		if f.Type.Kind == Unknown {
			continue
		}
		b.WriteString(separator)
		writeName(b, f.Name)
		if !f.Required {
			b.WriteByte('?')
		}
		b.WriteString(": ")
		f.Type.write(b)
		separator = ", "
	}
	if separator == "{ " {
		b.WriteString("{}")
		return
	}
	b.WriteString(" }")
}

// keywords of Cedar are no identifiers.
var keywords = []string{"true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"}

// CedarName is the name of an attribute as it stands in a schema or a record: in quotes
// if it is no identifier.
func CedarName(name string) string {
	var b strings.Builder
	writeName(&b, name)
	return b.String()
}

func writeName(b *strings.Builder, name string) {
	if identifier(name) {
		b.WriteString(name)
		return
	}
	b.WriteByte('"')
	for _, r := range name {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		default:
			fmt.Fprintf(b, `\u{%x}`, r)
		}
	}
	b.WriteByte('"')
}

func identifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || !digit(c)) {
			return false
		}
	}
	return name != "" && !slices.Contains(keywords, name)
}
