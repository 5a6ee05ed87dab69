package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// A parsedFile is one parsed configuration file.
type parsedFile struct {
	path string
	*hcl.File
}

// parse reads and parses the files that paths stand for, in their order, each
// once.
func (d *decoder) parse(paths []string) []parsedFile {
	var sources []parsedFile
	found := d.find(paths)
	d.unreadable = d.mistakes.Len() > 0
	for _, path := range found {
		twice := func(s parsedFile) bool { return absolute(s.path) == absolute(path) }
		if slices.ContainsFunc(sources, twice) {
			continue
		}
		d.mistakes.order = append(d.mistakes.order, path)
		if f := d.parseFile(path); f != nil {
			sources = append(sources, parsedFile{path, f})
		}
	}
	return sources
}

func (d *decoder) parseFile(path string) *hcl.File {
	src, err := os.ReadFile(path)
	d.inputs.sawSource(path, src, err)
	if err != nil {
		d.mistake(nil, "Unreadable configuration", "%s: %v.", path, cause(err))
		d.unreadable = true
		return nil
	}
	if tooDeep(src) {
		d.mistake(nil, "Unreadable configuration", "%s: nested more than %d levels deep.", path, maxNesting)
		d.unreadable = true
		return nil
	}
	parse := d.parser.ParseHCL
	if strings.HasSuffix(path, ".json") {
		parse = d.parser.ParseJSON
	}
	f, diags := parse(src, path)
	d.reportSyntax(diags)
	return f
}

// maxNesting bounds the depth of a file: the parser recurses without a bound,
// and a stack that overflows ends the program.
const maxNesting = 500

// tooDeep counts brackets, and operators that stand before an operand, wherever
// they are: what is deep in text only is no configuration either.
func tooDeep(src []byte) bool {
	depth, prefixes := 0, 0
	for _, b := range src {
		switch b {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '!', '-':
			prefixes++
		case ' ', '\t', '\n', '\r':
		default:
			prefixes = 0
		}
		if depth > maxNesting || prefixes > maxNesting {
			return true
		}
	}
	return false
}

// reportSyntax notes the mistakes in the syntax of a file, without those that
// only follow from an earlier one.
func (d *decoder) reportSyntax(diags hcl.Diagnostics) {
	const openText = "Invalid multi-line string" // what comes after it is taken for text
	for i, diag := range diags {
		follows := func(earlier *hcl.Diagnostic) bool {
			return sameRange(earlier.Subject, diag.Subject) || earlier.Summary == openText && diag.Summary == openText
		}
		if !slices.ContainsFunc(diags[:i], follows) {
			d.report(hcl.Diagnostics{diag})
		}
		if diag.Summary != "Attribute redefined" {
			d.unreadable = true
		}
	}
}

// find replaces the directories in paths by their configuration files.
func (d *decoder) find(paths []string) []string {
	var found []string
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			d.mistake(nil, "Missing configuration",
				"There is no %s. To write a first configuration: mcpagg init", path)
		case err != nil:
			d.mistake(nil, "Unreadable configuration", "%s: %v.", path, cause(err))
		case info.IsDir():
			found = append(found, d.findIn(path)...)
		case !isSource(path):
			d.mistake(nil, "Not a configuration file",
				"The name of %s ends in neither .hcl nor .hcl.json.", path)
		default:
			found = append(found, path)
		}
	}
	return found
}

// findIn lists the configuration files in a directory, in lexical order.
func (d *decoder) findIn(dir string) []string {
	found, err := sourcesIn(dir)
	if err != nil {
		d.mistake(nil, "Unreadable configuration", "%s: %v.", dir, cause(err))
		return nil
	}
	if len(found) == 0 {
		d.mistake(nil, "Empty configuration", "The directory %s holds no *.hcl or *.hcl.json file.", dir)
	}
	return found
}

func sourcesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var found []string
	for _, e := range entries {
		if !e.IsDir() && isSource(e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found, err
}

func isSource(path string) bool {
	return strings.HasSuffix(path, ".hcl") || strings.HasSuffix(path, ".hcl.json")
}

// absolute is path from the root, or path itself if the working directory is
// gone.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// cause is err without the operation and path that a message names already.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
