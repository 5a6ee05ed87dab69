package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/mcpagg/mcpagg/policy/source"
)

// A policyFolder is a folder with policies, as they are in it.
type policyFolder struct {
	directory
	in    input
	files []source.File // with their whole paths
	err   error         // why they could not be read, source.Mistakes
}

func (v *policyFolder) take(in input) {
	s, ok := in.text()
	if !ok || s == "" {
		v.directory.take(in)
		return
	}
	v.in = in
	path := within(filepath.Dir(in.at.Filename), s)
	v.files, v.err = in.d.inputs.readFolder(path)
	if _, err := os.Stat(path); in.d.emptyFolders && (errors.Is(err, fs.ErrNotExist) || v.err == nil && len(v.files) == 0) {
		v.value, v.err = path, nil // a first policy may be written there
		return
	}
	if v.directory.take(in); v.value != "" && v.err == nil && len(v.files) == 0 {
		in.mistake("%v holds no *.cedar file.", in)
	}
}

// shown is the folder as people know it.
func (v *policyFolder) shown() string { return v.in.shownPath() }

// shownPath is the path that the input is, as it was written.
func (in input) shownPath() string {
	value, marks := in.value.UnmarkDeep()
	if from := origins(marks); from != "" {
		return "[from " + from + "]"
	}
	return filepath.Clean(value.AsString())
}

// A policyFile is a file that policies are made of, as it is.
type policyFile struct {
	path
	in   input
	text []byte // nil if it cannot be read
}

// policyFileLimit bounds one: 10,000 entities have room in it.
const policyFileLimit = 16 << 20

func (v *policyFile) take(in input) {
	v.in = in
	if v.path.take(in); v.path.value == "" {
		return
	}
	text, err := in.d.inputs.readOpenFile(v.path.value, policyFileLimit)
	if err != nil {
		in.mistake("%v: %v.", in, err)
		return
	}
	v.text = []byte(text)
}

// policyFiles is a list of such files; repeated ones count once.
type policyFiles struct {
	setting
	value []policyFile
}

func (v *policyFiles) kind() kind { return listKind("paths") }

func (v *policyFiles) take(in input) {
	elements, _ := in.list()
	raw := []cty.Value{}
	for _, e := range elements {
		var file policyFile
		file.take(e)
		same := func(f policyFile) bool { return f.path.value == file.path.value }
		if file.path.value == "" || slices.ContainsFunc(v.value, same) {
			continue
		}
		v.value, raw = append(v.value, file), append(raw, file.raw)
	}
	if ok := len(raw) > 0; ok {
		v.keep(cty.TupleVal(raw))
	}
}

// inlinePolicies are policies in the configuration file itself.
type inlinePolicies struct {
	text
	in input
}

func (v *inlinePolicies) take(in input) {
	if in.secret() {
		in.mistake("What policies say is printed in denials, logs and audit records, and this never is. Put the policies in a folder, and name that in dir.")
		return
	}
	s, ok := in.text()
	if ok && s == "" {
		in.mistake("This must not be empty.")
	}
	v.value, v.in = s, in
}

// A policyMode says whether denials count.
type policyMode struct{ text }

const (
	enforce = "enforce"
	observe = "observe"
)

var policyModes = []string{enforce, observe}

func (v *policyMode) kind() kind {
	return kind{codeWords(policyModes), map[string]any{"enum": policyModes}}
}

func (v *policyMode) take(in input) { v.value = in.oneOf(policyModes) }

// A policyErrors says what a forbid does that cannot be evaluated.
type policyErrors struct{ text }

const (
	denyErrors = "deny"
	skipErrors = "cedar"
)

var policyErrorWords = []string{denyErrors, skipErrors}

func (v *policyErrors) kind() kind {
	return kind{codeWords(policyErrorWords), map[string]any{"enum": policyErrorWords}}
}

func (v *policyErrors) take(in input) { v.value = in.oneOf(policyErrorWords) }

// A trust says whether what tools say of themselves counts.
type trust struct{ text }

const trustHints = "hints"

var trusts = []string{"none", trustHints}

func (v *trust) kind() kind { return kind{codeWords(trusts), map[string]any{"enum": trusts}} }

func (v *trust) take(in input) { v.value = in.oneOf(trusts) }

// A drift says what becomes of tools that are no longer as they were reviewed.
type drift struct{ text }

var drifts = []string{"warn", "distrust", "hide"}

func (v *drift) kind() kind { return kind{codeWords(drifts), map[string]any{"enum": drifts}} }

func (v *drift) take(in input) { v.value = in.oneOf(drifts) }

// An extraArguments says what becomes of arguments that a tool does not declare.
type extraArguments struct{ text }

const allowExtra = "allow"

var extraArgumentWords = []string{"deny", allowExtra}

func (v *extraArguments) kind() kind {
	return kind{codeWords(extraArgumentWords), map[string]any{"enum": extraArgumentWords}}
}

func (v *extraArguments) take(in input) { v.value = in.oneOf(extraArgumentWords) }

// An auditArguments says what of arguments is written down.
type auditArguments struct{ text }

var auditArgumentWords = []string{"none", "hashed", "full"}

func (v *auditArguments) kind() kind {
	return kind{codeWords(auditArgumentWords), map[string]any{"enum": auditArgumentWords}}
}

func (v *auditArguments) take(in input) { v.value = in.oneOf(auditArgumentWords) }

// An entityType is the name of a type of entities, such as Repo or Contoso::Repo.
type entityType struct{ text }

var entityTypePattern = pattern{
	regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*$`),
	`a type of entities such as "Repo" or "Contoso::Repo"`,
}

func (v *entityType) take(in input) { v.value = in.matching(entityTypePattern) }
