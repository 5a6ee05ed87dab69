package config

import (
	"strings"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A PolicySet is what a configuration says of policies, which need not be right.
type PolicySet struct {
	// Absent says that there is no policy block. What policies could name is known even
	// so.
	Absent bool
	// Files are the policies, and Candidate those that are decided in their shadow, by
	// the names that the configuration has for them.
	Files, Candidate []source.File
	// Source is what policies can name.
	Source source.Options
	// Options lack Policies and Candidate, which are made of the files.
	Options policy.Options
	// Places are where policies were read from, as people know it, such as policies/.
	Places []string
	// Paths are where files are, as seen from the working directory, by their names.
	Paths map[string]string
	// Groups are the ids of group blocks by their labels, "" for those that are not
	// known without the environment.
	Groups map[string]string
	// ExtraArguments are the labels of upstreams that take undeclared arguments.
	ExtraArguments []string
	// Tags are those of all upstreams, and Labels what callers can get by calls.
	Tags, Labels []string
	// Rules say which tools of upstreams are published, by the labels of these.
	Rules map[string]aggregator.ToolRules
	// AuditFiles are the paths of audit blocks.
	AuditFiles []string
	// Aliases are where group and app blocks are, by what policies call them, such as
	// Group::platform.
	Aliases map[string]Place
}

// A Place is a line of a file, from 1.
type Place struct {
	Path string
	Line int
}

// policyType is the type of the block that policies are in.
const policyType = "policy"

// LoadPolicies reads what the configuration in paths says of policies. Nothing else in
// it has to be right, or known: what other blocks take from the environment and from
// files is often missing where policies are worked on. A folder for policies need not be
// there, or hold any. The error is a [*Mistakes], without
// those in the policies themselves.
func LoadPolicies(paths []string, env func(string) (string, bool)) (*PolicySet, error) {
	d := newDecoder(paths, env)
	set, err := d.policySet(paths)
	if err == nil && d.unknownUsed { // by a local that could not be evaluated
		d = newDecoder(paths, env)
		d.localsMatter = true
		return d.policySet(paths)
	}
	return set, err
}

func (d *decoder) policySet(paths []string) (*PolicySet, error) {
	d.policiesOnly, d.emptyFolders = true, true
	files := d.parse(paths)
	if d.unreadable {
		return nil, d.finish()
	}
	var file fileBlock
	d.decodeFiles(files, &file)
	d.quiet = false
	absent := file.Policy == nil
	if absent {
		file.Policy = &policyBlock{}
	}
	file.Policy.checkUpstreams(d, file.labels())
	set := (&policyReader{d: d, file: &file, block: file.Policy, paths: map[string]string{}}).collect()
	if d.mistakes.Len() > 0 {
		return nil, d.finish()
	}
	set.Absent, set.Aliases = absent, file.aliases()
	for _, a := range file.audits() {
		set.AuditFiles = append(set.AuditFiles, a.Path)
	}
	return set, nil
}

// LeavesOut reports whether the tools block of an upstream has a tool not published.
func (s *PolicySet) LeavesOut(upstream, tool string) bool {
	rules, ok := s.Rules[upstream]
	return ok && !rules.Admits(tool)
}

// GroupsByID are the labels of groups by their ids, in lower case.
func (s *PolicySet) GroupsByID() map[string]string {
	labels := map[string]string{}
	for label, id := range s.Groups {
		labels[strings.ToLower(id)] = label
	}
	return labels
}

// addUpstreams notes what the upstream blocks of a file have that policies can name.
func (s *PolicySet) addUpstreams(f *fileBlock) {
	s.ExtraArguments = f.takingExtra()
	s.Tags, s.Labels, s.Rules = []string{}, []string{}, map[string]aggregator.ToolRules{}
	for i := range f.Upstreams {
		b := &f.Upstreams[i]
		s.Tags = append(s.Tags, b.Tags.value...)
		s.Rules[b.label] = b.Tools.rules()
		for j := range b.Tools.Overrides {
			s.Labels = append(s.Labels, b.Tools.Overrides[j].Labels.value...)
		}
	}
}

// aliases are where the blocks are that give groups and apps their names.
func (f *fileBlock) aliases() map[string]Place {
	all := map[string]Place{}
	add := func(typ string, h *header) {
		all[typ+"::"+h.label] = Place{Path: h.at.Filename, Line: h.at.Start.Line}
	}
	for i := range f.Groups {
		add("Group", &f.Groups[i].header)
	}
	for i := range f.Apps {
		add("App", &f.Apps[i].header)
	}
	return all
}

// groupIDs are the ids of groups by their labels.
func (f *fileBlock) groupIDs() map[string]string {
	ids := map[string]string{}
	for i := range f.Groups {
		ids[f.Groups[i].label] = f.Groups[i].ID.value
	}
	return ids
}

// takingExtra are the labels of upstreams that take undeclared arguments.
func (f *fileBlock) takingExtra() []string {
	var labels []string
	for i := range f.Upstreams {
		if f.Upstreams[i].ExtraArguments.value == allowExtra {
			labels = append(labels, f.Upstreams[i].label)
		}
	}
	return labels
}
