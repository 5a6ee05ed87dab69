package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A policyReader makes options of what a policy block names.
type policyReader struct {
	d     *decoder
	file  *fileBlock
	block *policyBlock
	paths map[string]string // of the files that were read, as people know them, by their names in policies
}

// policies reads the policies, and whatever is wrong with them.
func (d *decoder) policies(f *fileBlock) {
	if f.Policy == nil {
		return
	}
	r := &policyReader{d: d, file: f, block: f.Policy, paths: map[string]string{}}
	before := d.mistakes.Len()
	made := r.options()
	f.Policy.tests = r.tests()
	if d.mistakes.Len() == before {
		f.Policy.made = made
	}
}

func (r *policyReader) options() *policy.Options {
	set := r.collect()
	if set == nil {
		return nil
	}
	o := &set.Options
	o.Policies = r.parse(set.Files, set.Source)
	if r.block.Candidate.value != "" {
		o.Candidate = r.parse(set.Candidate, set.Source)
	}
	r.block.set = set
	return o
}

// collect reads what the block names. It is nil if there are no entities that policies
// could be about.
func (r *policyReader) collect() *PolicySet {
	b := r.block
	if b.Dir.value != "" {
		b.places = append(b.places, b.Dir.shown()+"/")
	}
	set := &PolicySet{Files: slices.Concat(r.folder(&b.Dir), r.inline()), Paths: r.paths}
	translated, entities := r.toolHive()
	set.Files, entities = append(set.Files, translated...), append(entities, r.entities()...)
	set.Places = b.places
	o := &set.Options
	*o = policy.Options{
		Binds: r.binds(), Observe: b.Mode.value == observe, SkipErrors: b.OnError.value == skipErrors,
		DenyMessage: b.DenyMessage.value,
	}
	var err error
	if o.Facts, err = facts.Load(entities); err != nil {
		r.report("Invalid entities", err)
		if o.Facts == nil {
			return nil // types would be missed that are there
		}
	}
	set.Source, set.Groups = r.known(o.Facts), r.file.groupIDs()
	set.addUpstreams(r.file)
	beside := append(r.bindTexts(), entities...)
	o.Digest = source.Digest(slices.Concat(set.Files, beside))
	if b.Candidate.value != "" {
		set.Candidate = r.folder(&b.Candidate)
		o.CandidateDigest = source.Digest(slices.Concat(set.Candidate, beside))
	}
	return set
}

// parse parses policies, and reports what is wrong with them.
func (r *policyReader) parse(files []source.File, known source.Options) []*source.Policy {
	policies, warnings, err := source.Parse(files, known)
	if err != nil {
		r.report("Invalid policy", err)
	}
	for i, w := range warnings {
		if len(r.block.warned) == mostPolicyWarnings {
			r.block.unsaid += len(warnings) - i
			break
		}
		r.block.warned = append(r.block.warned, r.warning(w))
	}
	return policies
}

// known is what policies can name.
func (r *policyReader) known(own *facts.Facts) source.Options {
	o := source.Options{Only: r.block.ToolHiveUpstream.value}
	for i := range r.file.Upstreams {
		o.Upstreams = append(o.Upstreams, r.file.Upstreams[i].label)
	}
	if len(o.Upstreams) == 1 {
		o.Only = cmp.Or(o.Only, o.Upstreams[0])
	}
	for i := range r.file.Groups {
		o.Groups = append(o.Groups, r.file.Groups[i].label)
	}
	for i := range r.file.Apps {
		o.Apps = append(o.Apps, r.file.Apps[i].label)
	}
	if own != nil {
		o.Types = append(o.Types, own.Types...)
		o.Attributes = append(o.Attributes, own.Attributes...)
	}
	for i := range r.block.Binds {
		b := &r.block.Binds[i]
		o.Targets = append(o.Targets, b.label)
		if b.Type.value != "" && !slices.Contains(o.Types, b.Type.value) {
			o.Types = append(o.Types, b.Type.value)
		}
	}
	return o
}

// binds are the bind blocks.
func (r *policyReader) binds() []facts.Bind {
	var all []facts.Bind
	for i := range r.block.Binds {
		b := &r.block.Binds[i]
		bind := facts.Bind{Name: b.label, Type: b.Type.value, ID: b.ID.value, Tools: b.Tools.value}
		if err := bind.Check(); err != nil {
			r.d.mistake(&b.ID.at, "Invalid id", "%s", sentence(err.Error()))
		}
		all = append(all, bind)
	}
	return all
}

// bindTexts are the bind blocks as files, so that digests count them.
func (r *policyReader) bindTexts() []source.File {
	var all []source.File
	for i := range r.block.Binds {
		b := &r.block.Binds[i]
		all = append(all, source.File{Name: "bind " + b.label, Text: fmt.Appendf(nil, "%s %q %q", b.Type.value, b.ID.text, b.Tools.value)})
	}
	return all
}

// folder is the files in a folder, by the names that the configuration has for them.
func (r *policyReader) folder(v *policyFolder) []source.File {
	if v.value == "" {
		return nil
	}
	var mistakes source.Mistakes
	if errors.As(v.err, &mistakes) {
		mistakes = slices.Clone(mistakes)
		for i := range mistakes {
			mistakes[i].File = r.name(v.named(mistakes[i].File), v.in)
		}
		r.report("Unreadable policy", mistakes)
	}
	var files []source.File
	for _, f := range v.files {
		files = append(files, r.read(source.File{Name: v.named(f.Name), Text: f.Text}, v.in))
	}
	return files
}

// named is a path in the folder as the configuration names it.
func (v *policyFolder) named(path string) string {
	below, err := filepath.Rel(v.value, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(filepath.Join(v.shown(), below))
}

// read notes a file that the input led to.
func (r *policyReader) read(f source.File, in input) source.File {
	r.d.mistakes.addFile(r.paths[r.name(f.Name, in)], f.Text)
	return f
}

// name notes the name of something that the input led to, and where people find it.
func (r *policyReader) name(name string, in input) string {
	r.paths[name] = name
	if !filepath.IsAbs(name) && !in.secret() {
		r.paths[name] = filepath.Join(filepath.Dir(in.at.Filename), name)
	}
	return name
}

// inline is what is written out in the configuration, at the lines where it stands.
func (r *policyReader) inline() []source.File {
	v := &r.block.Inline
	if v.value == "" {
		return nil
	}
	r.block.places = append(r.block.places, "policy.inline")
	config := v.in.at.Filename
	if start := literalStart(v.in.expr); start > 0 {
		name := filepath.Base(config)
		r.paths[name] = config
		return []source.File{{Name: name, Text: []byte(strings.Repeat("\n", start-1) + v.value)}}
	}
	name := filepath.Base(config) + ": policy.inline"
	r.paths[name] = config + ": policy.inline"
	r.d.mistakes.addFile(r.paths[name], []byte(v.value))
	return []source.File{{Name: name, Text: []byte(v.value)}}
}

// literalStart is the line at which a text begins that is written out as it is, or 0.
func literalStart(expr hcl.Expression) int {
	t, ok := hcl.UnwrapExpression(expr).(*hclsyntax.TemplateExpr)
	if !ok || len(t.Parts) == 0 {
		return 0
	}
	for _, part := range t.Parts {
		if _, ok := part.(*hclsyntax.LiteralValueExpr); !ok {
			return 0
		}
	}
	return t.Parts[0].Range().Start.Line
}

// toolHive is what an authorization file of ToolHive comes to.
func (r *policyReader) toolHive() (policies, entities []source.File) {
	v := &r.block.ToolHive
	if v.path.value == "" || v.text == nil {
		return nil, nil
	}
	r.block.places = append(r.block.places, v.in.shownPath())
	f := r.read(source.File{Name: v.in.shownPath(), Text: v.text}, v.in)
	policies, own, err := source.ToolHive(f)
	if err != nil {
		r.report("Invalid toolhive", err)
		return nil, nil
	}
	if len(own) > 0 {
		entities = []source.File{r.read(source.File{Name: f.Name + "#entities.json", Text: own}, v.in)}
	}
	for _, p := range policies {
		r.read(p, v.in)
	}
	return policies, entities
}

func (r *policyReader) entities() []source.File {
	var files []source.File
	for _, v := range r.block.Entities.value {
		if v.text != nil {
			files = append(files, r.read(source.File{Name: v.in.shownPath(), Text: v.text}, v.in))
		}
	}
	return files
}

// mostPolicyMistakes bounds how many of them are told in one run.
const mostPolicyMistakes = 100

// report notes what is wrong with policies, entities, or the file of ToolHive.
func (r *policyReader) report(summary string, err error) {
	var mistakes source.Mistakes
	if !errors.As(err, &mistakes) {
		r.d.mistake(&r.block.at, summary, "%s", sentence(err.Error()))
		return
	}
	for i, m := range mistakes {
		if i == mostPolicyMistakes {
			r.d.mistake(&r.block.at, summary, "There are %d more mistakes.", len(mistakes)-i)
			return
		}
		at := r.rangeOf(m)
		r.d.mistake(&at, summary, "%s", strings.TrimSpace(sentence(m.Text)+" "+sentence(m.Remedy)))
	}
}

// warning is one in a sentence without a full stop.
func (r *policyReader) warning(m source.Mistake) string {
	at := r.rangeOf(m)
	text := strings.TrimSpace(sentence(m.Text) + " " + sentence(m.Remedy))
	return fmt.Sprintf("%s: %s", place(at), strings.TrimSuffix(text, "."))
}

// rangeOf is the place of a mistake, with the word that stands there.
func (r *policyReader) rangeOf(m source.Mistake) hcl.Range {
	path, ok := r.paths[m.File]
	if !ok {
		path = m.File
	}
	at := hcl.Range{Filename: path, Start: hcl.Pos{Line: max(m.Line, 1), Column: max(m.Column, 1)}}
	line, before := r.d.mistakes.line(path, at.Start.Line)
	if m.File == filepath.Base(r.block.Inline.in.at.Filename) {
		at.Start.Column += r.indent(at.Start.Line, line)
	}
	at.Start.Byte = before + at.Start.Column - 1 // near enough to sort by
	at.End = at.Start
	at.End.Column += wordAt(line, at.Start.Column)
	return at
}

// indent is by how much a line of policies stands further right in the configuration:
// HCL takes the indentation out of some texts.
func (r *policyReader) indent(number int, line string) int {
	v := &r.block.Inline
	lines := strings.Split(v.value, "\n")
	i := number - literalStart(v.in.expr)
	if i < 0 || i >= len(lines) {
		return 0
	}
	at := strings.Index(line, strings.TrimRight(lines[i], "\r"))
	return utf8.RuneCountInString(line[:max(at, 0)])
}

// wordPattern is a name, with the id behind it if there is one, or a text.
var wordPattern = regexp.MustCompile(`^(@?[\pL_][\pL\pN_]*(::[\pL_][\pL\pN_]*)*(::"[^"]*")?|"[^"]*")`)

// wordAt is the length of what stands at a column, at least 1.
func wordAt(line string, column int) int {
	runes := []rune(line)
	word := wordPattern.FindString(string(runes[min(column-1, len(runes)):]))
	return max(utf8.RuneCountInString(word), 1)
}

// sentence is a text with a capital letter and a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.ContainsAny(s[len(s)-1:], ".?!:;") {
		s += "."
	}
	return s
}

// mostPolicyWarnings bounds how many of them are told.
const mostPolicyWarnings = 20

// policyWarnings are what the writer of policies may not be aware of.
func (f *fileBlock) policyWarnings() []string {
	b := f.Policy
	if b == nil || b.made == nil {
		return nil
	}
	all := slices.Clone(b.warned)
	if b.unsaid > 0 {
		all = append(all, fmt.Sprintf("there are %d more warnings about policies", b.unsaid))
	}
	if len(b.made.Policies) == 0 {
		all = append(all, "there is no policy in "+strings.Join(b.places, ", ")+": nobody may use anything")
	}
	if b.made.Observe {
		all = append(all, "policies are only observed: what they deny is let through")
	}
	return all
}

// audits are where decisions are written.
func (f *fileBlock) audits() []audit.Options {
	var all []audit.Options
	for i := range f.Audit {
		all = append(all, audit.Options{Path: f.Audit[i].Path.value, Arguments: audit.Arguments(f.Audit[i].Arguments.value)})
	}
	return all
}
