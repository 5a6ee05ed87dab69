package config

import (
	"context"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/upstream"
)

// secret reports whether the input must not be printed.
func (in input) secret() bool {
	_, marks := in.value.UnmarkDeep()
	return origins(marks) != ""
}

// unless is a hint that quotes the input, or "" if that must not be printed.
func (in input) unless(hint string) string { return in.secretOr("", hint) }

// secretOr is quoted, which quotes a part of the input, or instead if that must
// not be printed.
func (in input) secretOr(instead, quoted string) string {
	if in.secret() {
		return instead
	}
	return quoted
}

// A secret is a text that is never printed, wherever it came from.
type secret struct {
	setting
	value upstream.Secret // nil if it is not given
}

func (v *secret) kind() kind { return textKind("text, secret") }

func (v *secret) take(in input) {
	in.conceal = true
	if !in.secret() {
		in.d.literal[in.at] = true
	}
	s, ok := in.text()
	if ok && in.isFieldValue(s) {
		v.value = in.secretText(s, fieldProblem)
	}
	if ok && s == "" {
		in.mistake("This is empty. For a token that may be missing, write: try(env(\"NAME\"), null).")
	}
}

func constant(s string) upstream.Secret {
	return func(context.Context) (string, error) { return s, nil }
}

// isFieldValue reports whether s can stand in an HTTP header, and notes a
// mistake if it cannot. It does not quote it.
func (in input) isFieldValue(s string) bool {
	problem := fieldProblem(s)
	switch {
	case problem == "":
		return true
	case problem == spaceAround && isFetched(in.value):
		in.mistake("This %s, as a text of several lines does: write it on one.", problem)
	case problem == spaceAround:
		in.mistake("This %s, as the content of a file often does: write trim(…) around it.", problem)
	default:
		in.mistake("This %s.", problem)
	}
	return false
}

const spaceAround = "begins or ends with white space"

// fieldProblem says why s cannot stand in an HTTP header, or "".
func fieldProblem(s string) string {
	switch {
	case strings.TrimSpace(s) != s:
		return spaceAround
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "contains a line break or another control character, which an HTTP header cannot hold"
	}
	return ""
}

// headers is a map of HTTP headers with secret values, under their canonical
// names.
type headers struct {
	setting
	value map[string]upstream.Secret
}

func (v *headers) kind() kind { return mapKind("map of texts, secret") }

// given are the entries of a map that are not null.
func (in input) given() []entry {
	entries, _ := in.entries()
	return slices.DeleteFunc(entries, func(e entry) bool { return e.value.value.IsNull() })
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// ownHeaders are those that the connection to an upstream sets itself.
var ownHeaders = map[string]bool{
	"Accept": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Last-Event-Id": true,
	"Mcp-Method": true, "Mcp-Name": true, "Mcp-Protocol-Version": true, "Mcp-Session-Id": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

func (v *headers) take(in input) {
	entries := in.given()
	v.value = make(map[string]upstream.Secret, len(entries))
	for _, e := range entries {
		name := textproto.CanonicalMIMEHeaderKey(e.name)
		switch {
		case !e.key.isName(e.name):
		case !headerName.MatchString(name):
			e.key.mistake("%v is not the name of an HTTP header.", e.key)
		case ownHeaders[name]:
			e.key.mistake("The gateway sets %v itself.", e.key)
		case v.value[name] != nil:
			e.key.mistake("%v is given twice; upper and lower case are the same in headers.", e.key)
		}
		e.value.conceal = true
		if s, ok := e.value.text(); ok && e.value.isFieldValue(s) {
			v.value[name] = e.value.secretText(s, fieldProblem)
		}
	}
}

// An environment is a map of environment variables with secret values.
type environment struct {
	setting
	value map[string]upstream.Secret
}

func (v *environment) kind() kind { return mapKind("map of texts, secret") }

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

func (v *environment) take(in input) {
	entries := in.given()
	v.value = make(map[string]upstream.Secret, len(entries))
	for _, e := range entries {
		if e.key.isName(e.name) && !variableName.MatchString(e.name) {
			e.key.mistake("%v is not the name of an environment variable.", e.key)
		}
		e.value.conceal = true
		s, ok := e.value.text()
		if problem := variableProblem(s); problem != "" {
			e.value.mistake("This %s.", problem)
		}
		if ok {
			v.value[e.name] = e.value.secretText(s, variableProblem)
		}
	}
}

// variableProblem says why s cannot be the value of an environment variable, or "".
func variableProblem(s string) string {
	if strings.ContainsRune(s, 0) {
		return "contains a NUL character"
	}
	return ""
}
