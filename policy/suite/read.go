package suite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/block"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/source"
)

// suffix is what names of files with tests end in.
const suffix = "_test.hcl"

// Bounds of what is read.
const (
	maxFile  = 4 << 20
	maxFiles = 5_000
	maxTotal = 64 << 20
)

// Files are the files with tests and personas in a folder and those below it, sorted;
// their names are dir and the path from there. Names that begin with a dot are left
// out.
func Files(folder fs.FS, dir string) ([]source.File, error) {
	var files []source.File
	total := 0
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(path.Base(name), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || !strings.HasSuffix(name, suffix) && path.Base(name) != persona.FileName:
			return nil
		}
		text, err := readFile(folder, name)
		if err != nil {
			return err
		}
		if total += len(text); total > maxTotal || len(files) == maxFiles {
			return fmt.Errorf("there are more than %d MiB or %d files of tests in %s; keep them in folders of their own", maxTotal>>20, maxFiles, dir)
		}
		files = append(files, source.File{Name: path.Join(dir, name), Text: text})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tests: %w", err)
	}
	slices.SortFunc(files, func(a, b source.File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

func readFile(folder fs.FS, name string) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d MiB; split it", name, maxFile>>20)
	}
	return text, err
}

// ParseFiles reads files with tests, and the personas.hcl of folders, whose personas the
// tests in the folder and below it share. The error is [source.Mistakes].
func ParseFiles(files []source.File) (*Suite, error) {
	r := reader{shared: map[string][]*persona.Persona{}}
	for _, f := range files {
		if path.Base(f.Name) == persona.FileName {
			r.personas(f)
		}
	}
	for _, f := range files {
		if path.Base(f.Name) != persona.FileName {
			r.file(f)
		}
	}
	if len(r.mistakes) > 0 {
		return nil, r.mistakes
	}
	return &r.suite, nil
}

// A reader gathers the tests of files.
type reader struct {
	suite    Suite
	shared   map[string][]*persona.Persona // by folder
	mistakes source.Mistakes
}

func (r *reader) took(err error) {
	var mistakes source.Mistakes
	if errors.As(err, &mistakes) {
		r.mistakes = append(r.mistakes, mistakes...)
	}
}

func (r *reader) personas(f source.File) {
	all, err := persona.Read(f.Name, f.Text)
	r.took(err)
	r.shared[path.Dir(f.Name)] = all
	r.suite.Personas = append(r.suite.Personas, all...)
}

// above are the personas that a file shares with others.
func (r *reader) above(file string) []*persona.Persona {
	var all []*persona.Persona
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		all = append(all, r.shared[dir]...)
		if dir == path.Dir(dir) {
			return all
		}
	}
}

func (r *reader) file(f source.File) {
	file := block.Parse(f.Name, f.Text)
	own := persona.FromFile(file)
	r.suite.Personas = append(r.suite.Personas, own...)
	p := parser{file: file, personas: slices.Concat(own, r.above(f.Name)), names: map[string]int{}}
	for _, b := range file.Blocks("test", block.Labelled) {
		r.suite.Tests = append(r.suite.Tests, p.test(b))
	}
	file.Done()
	r.took(file.Err())
}

// A parser reads the tests of one file.
type parser struct {
	file     *block.File
	personas []*persona.Persona
	names    map[string]int // lines of tests
}

func (p *parser) test(b *block.Block) *Test {
	t := &Test{Name: b.Label, As: p.as(b), Now: DefaultNow(), IP: b.IP("ip"), Session: p.session(b), at: b.At}
	if at := b.Time("now"); !at.IsZero() {
		t.Now = at
	}
	if line, twice := p.names[t.Name]; twice {
		p.file.Mistake(b.At, fmt.Sprintf("there is another test %s at line %d", block.Quote(t.Name), line), "give one of them another name")
	}
	p.names[t.Name] = b.At.Line
	for _, verb := range []Verb{Call, Get, Read} {
		for _, inner := range b.Blocks(string(verb), block.Labelled) {
			t.Cases = append(t.Cases, p.request(verb, inner))
		}
	}
	for _, inner := range b.Blocks(string(List), block.MaybeLabelled) {
		t.Cases = append(t.Cases, p.list(inner))
	}
	slices.SortFunc(t.Cases, func(a, b *Case) int { return a.at.Start - b.at.Start })
	if len(t.Cases) == 0 {
		p.file.Mistake(b.At, "this test tests nothing", "write call, get, read or list blocks in it")
	}
	b.Done()
	return t
}

// as are the callers.
func (p *parser) as(b *block.Block) []*persona.Persona {
	names := b.Texts("as")
	if len(names) == 0 {
		b.Mistake("as", "it is not said who calls", `write as = "…" with the name of a persona`)
	}
	var all []*persona.Persona
	for i, name := range names {
		found := persona.Named(p.personas, name)
		switch {
		case found == nil:
			otherwise := "write persona " + block.Quote(name) + " { … } in this file, or in " + persona.FileName
			b.Mistake("as", "there is no persona "+block.Quote(name), block.DidYouMean(name, persona.Names(p.personas), otherwise))
		case slices.Contains(names[:i], name):
			b.Mistake("as", "the persona "+block.Quote(name)+" is named twice", "")
		default:
			all = append(all, found)
		}
	}
	return all
}

func (p *parser) session(b *block.Block) policy.Session {
	s := b.Block("session")
	if s == nil {
		return policy.Session{}
	}
	defer s.Done()
	return policy.Session{Calls: int64(s.Count("calls", 0)), Labels: s.Texts("labels")}
}

func (p *parser) request(verb Verb, b *block.Block) *Case {
	c := &Case{Verb: verb, Name: b.Label, Count: -1}
	if verb != Read {
		c.Input = b.Object("input")
	}
	c.Expect = b.Text("expect")
	if words := []string{"allow", "deny"}; c.Expect != "" && !slices.Contains(words, c.Expect) {
		b.Mistake("expect", block.Quote(c.Expect)+" is neither allow nor deny", block.DidYouMean(c.Expect, words, ""))
	}
	c.By = b.Texts("by")
	if _, ok := b.Has("message"); ok {
		text := b.Text("message")
		c.Message = &text
		if c.Expect == "allow" {
			b.Mistake("message", "who is allowed something is told nothing", "take message out")
		}
	}
	p.place(c, b, "expect", "by", "message")
	return c
}

// lists are what can be listed.
var lists = []string{"tools", "prompts", "resources", "templates"}

func (p *parser) list(b *block.Block) *Case {
	c := &Case{Verb: List, Name: b.Label, Includes: b.Texts("includes"), Excludes: b.Texts("excludes"), Count: b.Count("count", -1)}
	switch {
	case c.Name == "":
		c.Name = lists[0]
	case !slices.Contains(lists, c.Name):
		p.file.Mistake(b.At, "there is no list of "+block.Quote(c.Name), block.DidYouMean(c.Name, lists, "there are tools, prompts, resources and templates"))
	}
	if _, counts := b.Has("count"); len(c.Includes)+len(c.Excludes) == 0 && !counts {
		p.file.Mistake(b.At, "this list says nothing", "write includes, excludes or count")
	}
	p.place(c, b, "includes", "excludes", "count")
	return c
}

// place notes where the parts of a case are.
func (p *parser) place(c *Case, b *block.Block, attributes ...string) {
	c.at, c.close, c.places = b.At, b.Close, map[string]block.Place{}
	for _, name := range attributes {
		if at, ok := b.Has(name); ok {
			c.places[name] = at
		}
	}
	b.Done()
}
