package importer

import (
	"regexp"
	"strings"
)

// A part of a text is either text or a reference.
type part struct {
	text     string
	variable string  // of the environment, "" for text
	fallback *string // nil if there is none
	file     string  // the path of a file whose text is meant
	note     string  // what to say about it
}

// reference is how the clients write that something else is to be inserted:
// ${NAME}, ${NAME:-default}, ${env:NAME}, ${input:id}, ${workspaceFolder}, and
// OpenCode's {env:NAME} and {file:path}.
var reference = regexp.MustCompile(`\$\{([^{}]*)\}|\{(env|file):([^{}]*)\}`)

// parts takes a text apart.
func parts(text string) []part {
	var list []part
	at := 0
	for _, m := range reference.FindAllStringSubmatchIndex(text, -1) {
		p, ok := referenceTo(text, m)
		if !ok {
			continue
		}
		if m[0] > at {
			list = append(list, part{text: text[at:m[0]]})
		}
		list = append(list, p)
		at = m[1]
	}
	if at < len(text) || len(list) == 0 {
		list = append(list, part{text: text[at:]})
	}
	return list
}

func referenceTo(text string, m []int) (part, bool) {
	switch {
	case m[2] >= 0:
		return dollarReference(text[m[2]:m[3]])
	case text[m[4]:m[5]] == "file":
		return part{file: text[m[6]:m[7]]}, text[m[6]:m[7]] != ""
	}
	return variableReference(text[m[6]:m[7]])
}

var variablePattern = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(:?-(.*))?$`)

func variableReference(inside string) (part, bool) {
	m := variablePattern.FindStringSubmatch(inside)
	if m == nil {
		return part{}, false
	}
	p := part{variable: m[1]}
	if m[2] != "" {
		p.fallback = &m[3]
	}
	return p, true
}

// dollarReference is what ${inside} means.
func dollarReference(inside string) (part, bool) {
	kind, id, has := strings.Cut(inside, ":")
	switch {
	case inside == "userHome":
		return part{variable: "HOME"}, true
	case inside == "pathSeparator" || inside == "/":
		return part{text: "/"}, true
	case inside == "workspaceFolder" || inside == "workspaceFolderBasename" || inside == "cwd":
		name := variableOf(camelApart(inside))
		return part{variable: name, note: "It used ${" + inside + "}, which only an editor knows: set " + name + "."}, true
	case has && kind == "env":
		return variableReference(id)
	case has && kind == "input":
		name := variableOf(id)
		return part{variable: name, note: "The editor asked for " + name + ": it is a variable now."}, true
	case has && (kind == "command" || kind == "config"):
		name := variableOf(id)
		return part{variable: name, note: "The editor filled in " + name + " (" + kind + "): it is a variable now."}, true
	}
	return variableReference(inside)
}

var notInVariables = regexp.MustCompile(`[^A-Z0-9]+`)

// variableOf makes the name of a variable of a text.
func variableOf(text string) string {
	if looksSecret(text) {
		return "VALUE"
	}
	name := strings.Trim(notInVariables.ReplaceAllString(strings.ToUpper(text), "_"), "_")
	name = strings.TrimRight(name[:min(len(name), 60)], "_")
	switch {
	case name == "":
		return "VALUE"
	case name[0] >= '0' && name[0] <= '9':
		return "V_" + name
	}
	return name
}

// cutOutside is text before and after the first sep that is in no reference.
func cutOutside(text, sep string) (before, after string, found bool) {
	depth := 0
	for i := range len(text) {
		switch {
		case text[i] == '{':
			depth++
		case text[i] == '}':
			depth = max(depth-1, 0)
		case depth == 0 && strings.HasPrefix(text[i:], sep):
			return text[:i], text[i+len(sep):], true
		}
	}
	return text, "", false
}

// splitOutside is text apart at every sep that is in no reference.
func splitOutside(text, sep string) []string {
	var list []string
	for {
		before, after, found := cutOutside(text, sep)
		list = append(list, before)
		if !found {
			return list
		}
		text = after
	}
}
