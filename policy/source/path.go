package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Path leads to values in a result: $.a.b, $['a b'], $.items[*].email, $..email.
type Path []Step

// A Step is a member's name, or all members and elements, or any depth.
type Step struct {
	Name  string
	All   bool // *
	Depth bool // any number of levels before this step
}

// Bounds of a path.
const (
	maxPathSteps = 16
	maxStepName  = 200 // bytes
)

// ParsePath reads a path. The error says what is wrong in a few words.
func ParsePath(s string) (Path, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, errors.New("it does not begin with $")
	}
	var path Path
	for rest != "" {
		step, after, err := parseStep(rest)
		if err != nil {
			return nil, err
		}
		if path = append(path, step); len(path) > maxPathSteps {
			return nil, fmt.Errorf("it has more than %d steps", maxPathSteps)
		}
		rest = after
	}
	if len(path) == 0 {
		return nil, errors.New("it leads nowhere")
	}
	return path, nil
}

// parseStep reads the first step of s, and what follows it.
func parseStep(s string) (step Step, rest string, err error) {
	rest = s
	after, dots := strings.CutPrefix(rest, "..")
	if dots {
		step.Depth, rest = true, after
	} else if after, ok := strings.CutPrefix(rest, "."); ok {
		dots, rest = true, after
	}
	switch {
	case strings.HasPrefix(rest, "[") && (step.Depth || !dots):
		return bracketStep(step, rest[1:])
	case !dots:
		return step, "", fmt.Errorf("%s follows where . or [ belongs", quoted(rest))
	case strings.HasPrefix(rest, "*"):
		step.All = true
		return step, rest[1:], nil
	}
	end := strings.IndexFunc(rest, func(r rune) bool {
		return r == utf8.RuneError || r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	if end < 0 {
		end = len(rest)
	}
	step.Name = rest[:end]
	return step, rest[end:], checkName(step.Name)
}

// bracketStep reads what follows [ : a name in quotes or *, and ].
func bracketStep(step Step, s string) (Step, string, error) {
	if rest, ok := strings.CutPrefix(s, "*]"); ok {
		step.All = true
		return step, rest, nil
	}
	if s == "" || s[0] != '\'' && s[0] != '"' {
		return step, "", errors.New("in [ ] there is neither * nor a name in quotes")
	}
	name, rest, ok := strings.Cut(s[1:], s[:1]+"]")
	if !ok {
		return step, "", errors.New("a name in quotes does not end")
	}
	step.Name = name
	return step, rest, checkName(name)
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is missing")
	case len(name) > maxStepName:
		return fmt.Errorf("a name is longer than %d bytes", maxStepName)
	case !utf8.ValidString(name):
		return errors.New("a name is no UTF-8")
	}
	return nil
}

// String is the path as it is written.
func (p Path) String() string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range p {
		if s.Depth {
			b.WriteString("..")
		}
		switch {
		case s.All:
			b.WriteString("[*]")
		case strings.Contains(s.Name, "']"):
			b.WriteString(`["` + s.Name + `"]`)
		default:
			b.WriteString("['" + s.Name + "']")
		}
	}
	return b.String()
}

func (p Path) equal(other Path) bool { return slices.Equal(p, other) }
