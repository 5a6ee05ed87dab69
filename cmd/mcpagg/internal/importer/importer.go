// Package importer turns the files in which other programs keep their MCP
// servers into a configuration of the gateway.
//
// [Import] reads any number of them, whatever their kind, which it sees by
// their content:
//
//	result, err := importer.Import([]importer.Source{{Path: ".mcp.json", Text: text}}, "/home/ada")
//	os.WriteFile("gateway.hcl", result.HCL, 0o644)
//
// Nothing that may be a secret is in the configuration or in a note: it is
// replaced by a variable of the environment, and is in [Result.Variables] only.
// Whatever cannot be carried over is said in a note, which also stands in the
// configuration as a comment.
package importer

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"
)

// A Source is one file to import.
type Source struct {
	Path string // for messages, "-" for standard input
	Text []byte
}

// Limits of what is imported.
const (
	MaxBytes     = 16 << 20 // of one source
	maxServers   = 500
	maxTexts     = 5000 // in all servers together
	maxFields    = 100  // of one server
	maxVariables = 1000 // in an .env file
)

// A Result is what came of an import.
type Result struct {
	// HCL is the configuration, formatted.
	HCL []byte
	// Upstreams are those in it, in its order.
	Upstreams []Upstream
	// Variables are those of the environment that it needs, in the order of
	// their names.
	Variables []Variable
	// Notes say what belongs to no upstream and was not carried over.
	Notes []string
}

// An Upstream is one that was imported.
type Upstream struct {
	Label string `json:"label"`
	Name  string `json:"name"` // in the source, as far as it can be shown
	From  string `json:"from"` // the path of the source
	// Off says that the upstream is in the configuration as a comment only,
	// since it was disabled or cannot work.
	Off   bool     `json:"off"`
	Notes []string `json:"notes"`
}

// A Variable is one of the environment.
type Variable struct {
	Name string `json:"name"`
	// Value is what the sources say; nil if they do not. It may be a secret.
	Value *string `json:"-"`
	// Optional says that the configuration has a default for it.
	Optional bool `json:"optional"`
	// Spare says that only upstreams that are comments need it.
	Spare bool `json:"spare"`
}

func (v Variable) isNeeded() bool { return !v.Optional && !v.Spare }

// Missing are the names of the variables that must be set, and whose values are
// not known.
func (r *Result) Missing() []string {
	return r.names(func(v Variable) bool { return v.isNeeded() && v.Value == nil })
}

// Known are the names of the variables whose values are known.
func (r *Result) Known() []string { return r.names(func(v Variable) bool { return v.Value != nil }) }

func (r *Result) names(has func(Variable) bool) []string {
	var names []string
	for _, v := range r.Variables {
		if has(v) {
			names = append(names, v.Name)
		}
	}
	return names
}

// ErrNoServers says that a source has the form of one with servers, and none
// in it.
var ErrNoServers = errors.New("there is no MCP server in it")

// Import reads sources. home is the user's home directory, which "~" stands
// for. An error says which source cannot be read, and quotes nothing of it.
func Import(sources []Source, home string) (*Result, error) {
	var all findings
	for _, s := range sources {
		found, err := read(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Path, err)
		}
		all.add(found)
	}
	texts := 0
	for _, s := range all.servers {
		texts += s.size()
	}
	if len(all.servers) > maxServers || texts > maxTexts {
		return nil, fmt.Errorf("there are more than %d servers, or %d arguments, variables and headers, in it", maxServers, maxTexts)
	}
	return all.result(sources, home)
}

// Check reports why nothing can be imported from a source, or nil.
func Check(s Source) error {
	_, err := read(s)
	return err
}

// findings are what one or more sources hold.
type findings struct {
	servers []*server
	login   *login // nil unless a source is that of a setup with sign-in
	notes   []string
}

func (f *findings) add(more *findings) {
	for _, s := range more.servers {
		if !slices.ContainsFunc(f.servers, s.same) {
			f.servers = append(f.servers, s)
		}
	}
	if more.login != nil {
		f.login = more.login
	}
	f.notes = append(f.notes, more.notes...)
}

// A server is one MCP server as a source describes it. All texts in it may hold
// secrets, and references such as ${NAME}.
type server struct {
	name, from string
	off        bool

	command   []string
	container *container
	url       string

	env, headers map[string]string
	dir          string
	sse          bool
	tags         []string
	allow, deny  []string // tools; nil means not given

	notes []string
}

// A container is the image that a server runs in. Its variables are the
// server's.
type container struct {
	image, runtime string
	args, mounts   []string
	network        string   // "" is none
	allow          []string // what it may connect to, if the network is egress
	memory, cpus   string   // "" is the default
	pids, port     int      // 0 is the default
	user, pull     string
	profile        string // the path of a permission profile, "" for none
}

// note says something about the server to whoever reads the configuration.
func (s *server) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// size is how many texts there are.
func (s *server) size() int {
	n := len(s.command) + len(s.env) + len(s.headers) + len(s.allow) + len(s.deny) + len(s.notes)
	if s.container != nil {
		n += len(s.container.args) + len(s.container.mounts)
	}
	return n
}

// same reports whether two sources describe one server alike.
func (s *server) same(other *server) bool {
	a, b := *s, *other
	a.from, b.from = "", ""
	return a.name == b.name && reflect.DeepEqual(a, b)
}

// read finds the servers in a source.
func read(s Source) (*findings, error) {
	switch {
	case len(s.Text) > MaxBytes:
		return nil, fmt.Errorf("larger than %d MiB", MaxBytes>>20)
	case !utf8.Valid(s.Text):
		return nil, errors.New("not text in UTF-8")
	}
	found, err := readAny(s)
	if err != nil {
		return nil, err
	}
	if len(found.servers) == 0 && found.login == nil {
		return nil, ErrNoServers
	}
	return found, nil
}

func readAny(s Source) (*findings, error) {
	text := withoutComments(s.Text)
	if !isJSON(text) {
		return readVariables(s)
	}
	value, err := decode(text)
	if err != nil {
		return nil, err
	}
	return readJSON(s.Path, value)
}
