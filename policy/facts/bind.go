package facts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
)

// A Bind makes an entity of arguments, which policies find as context.<Name>.
type Bind struct {
	Name string
	Type string
	ID   []Part
	// Tools are glob patterns ("*" is any text) of label/original names; nil for
	// every tool that declares all the arguments.
	Tools []string
}

// A Part is a piece of an entity's id: a literal text or an argument.
type Part struct {
	Literal  string
	Argument []string // the path from input; nil for a literal
	Case     string   // "", "lower" or "upper"
	Trim     bool     // white space of ASCII at both ends: not all servers take other for such
}

// Matches reports whether the bind is for a tool, by its label/original name and
// which arguments it declares. One that names a tool whose arguments it lacks
// matches, and fails with every call.
func (b *Bind) Matches(tool string, declares func(path []string) bool) bool {
	if b.Tools != nil {
		return slices.ContainsFunc(b.Tools, func(pattern string) bool { return glob(pattern, tool) })
	}
	for _, p := range b.ID {
		if p.Argument != nil && !declares(p.Argument) {
			return false
		}
	}
	return true
}

// Check refuses an id in which two arguments touch: nobody could tell where one
// ends, so that other arguments would make the same entity.
func (b *Bind) Check() error {
	for i, p := range b.ID {
		if i > 0 && p.Argument != nil && b.ID[i-1].Argument != nil {
			return fmt.Errorf("in the id of bind %q, nothing stands between %s and %s", b.Name,
				strings.Join(b.ID[i-1].Argument, "."), strings.Join(p.Argument, "."))
		}
	}
	return nil
}

// UID is the entity that the input leads to. It fails where an argument is
// absent, neither a text nor an integer, or holds one of the literal texts
// between arguments: "a/b" and "c" must not make the id of "a" and "b/c". Nor must
// the Kelvin sign make that of a k.
func (b *Bind) UID(input types.Record) (types.EntityUID, error) {
	var id strings.Builder
	for _, p := range b.ID {
		text, err := p.of(input)
		if err != nil {
			return types.EntityUID{}, err
		}
		if literal := b.holds(text); p.Argument != nil && literal != "" {
			return types.EntityUID{}, fmt.Errorf("the argument %s holds %q", strings.Join(p.Argument, "."), literal)
		}
		id.WriteString(text)
	}
	return types.NewEntityUID(types.EntityType(b.Type), types.String(id.String())), nil
}

// holds is a literal text of the id that is in text, "" for none.
func (b *Bind) holds(text string) string {
	for _, p := range b.ID {
		if p.Literal != "" && strings.Contains(text, p.Literal) {
			return p.Literal
		}
	}
	return ""
}

func (p Part) of(input types.Record) (string, error) {
	if p.Argument == nil {
		return p.Literal, nil
	}
	var v types.Value = input
	for _, name := range p.Argument {
		record, _ := v.(types.Record)
		below, ok := record.Get(types.String(name))
		if !ok {
			return "", fmt.Errorf("the argument %s is missing", strings.Join(p.Argument, "."))
		}
		v = below
	}
	var text string
	switch v := v.(type) {
	case types.String:
		text = string(v)
	case types.Long:
		text = strconv.FormatInt(int64(v), 10)
	default:
		return "", fmt.Errorf("the argument %s is neither a text nor an integer", strings.Join(p.Argument, "."))
	}
	changed := p.change(text)
	if letters(changed) != letters(text) {
		return "", fmt.Errorf("the argument %s holds a letter that only %s() makes one of ASCII", strings.Join(p.Argument, "."), p.Case)
	}
	return changed, nil
}

func (p Part) change(text string) string {
	if p.Trim {
		text = strings.Trim(text, " \t\r\n\v\f")
	}
	switch p.Case {
	case "lower":
		return strings.ToLower(text)
	case "upper":
		return strings.ToUpper(text)
	}
	return text
}

// letters is how many letters of ASCII are in text.
func letters(text string) (n int) {
	for i := range len(text) {
		if c := text[i] | 0x20; 'a' <= c && c <= 'z' {
			n++
		}
	}
	return n
}

// glob matches a pattern in which * stands for any text.
func glob(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}
