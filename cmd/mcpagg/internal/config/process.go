package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// A command is a program and its arguments. The value holds the program's
// whole path.
type command struct {
	setting
	value []string
}

// self is the name under which a command finds this program, wherever it is
// installed.
const self = "mcpagg"

func (v *command) kind() kind { return listKind("texts") }

func (v *command) take(in input) {
	elements, ok := in.list()
	if ok && len(elements) == 0 {
		in.mistake("A command needs at least the name of a program.")
	}
	var shown []cty.Value
	for i, e := range elements {
		word, ok := e.text()
		if i == 0 && ok {
			word = e.program(word)
		}
		if strings.ContainsRune(word, 0) {
			e.mistake("This must not contain a NUL character.")
		}
		v.value = append(v.value, word)
		shown = append(shown, cty.StringVal(word).WithSameMarks(e.value))
	}
	v.keep(cty.TupleVal(shown))
}

// program is the path of the program that the input names, or the name after
// noting a mistake.
func (in input) program(name string) string {
	if name == "" {
		in.mistake("The name of the program is empty.")
		return name
	}
	if name == self {
		if path, err := os.Executable(); err == nil {
			return path
		}
	}
	path := name
	if strings.Contains(name, "/") {
		path = within(filepath.Dir(in.at.Filename), name)
	}
	found, err := exec.LookPath(path)
	switch {
	case err == nil:
		return absolute(found)
	case strings.Contains(name, " ") && !in.secret():
		in.mistake("There is no program %v. Is it one with arguments? Write them apart: [%s].", in, strings.Join(quoted(strings.Fields(name)), ", "))
	case path == name && !filepath.IsAbs(name):
		in.mistake("%v is not a program on PATH.", in)
	default:
		in.mistake("%v is not a program that can be started: %v.", in, in.secretOr("see its path and mode", cause(rootCause(err)).Error()))
	}
	return name
}

func quoted(words []string) []string {
	for i, word := range words {
		words[i] = strconv.Quote(word)
	}
	return words
}

// rootCause is the error of a look-up without the name.
func rootCause(err error) error {
	if e, ok := err.(*exec.Error); ok {
		return e.Err
	}
	return err
}

// A directory is an existing folder. The value is its whole path.
type directory struct {
	setting
	value string
}

func (v *directory) kind() kind { return textKind("path") }

func (v *directory) take(in input) {
	s, ok := in.text()
	if !ok {
		return
	}
	path := within(filepath.Dir(in.at.Filename), s)
	info, err := os.Stat(path)
	switch {
	case s == "":
		in.mistake("This must not be empty.")
	case err != nil:
		in.mistake("%v: %v.", in, cause(err))
	case !info.IsDir():
		in.mistake("%v is not a directory.", in)
	default:
		v.value = path
		v.keep(cty.StringVal(path).WithSameMarks(in.value))
	}
}
