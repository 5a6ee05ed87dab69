package config

import (
	"regexp"
	"slices"
	"strings"
)

// checkPolicy reports what is missing, or wrong in view of other blocks.
func (b *fileBlock) checkPolicy(d *decoder) {
	if len(b.Auth) > 0 && b.Policy == nil {
		d.mistake(&b.Auth[0].at, "Missing policy", "People sign in here, and nothing says who of them may use which tools. Write policies; or, to open every tool to everybody who signs in:\n\n"+
			"  policy {\n    inline = \"permit(principal, action, resource);\"\n  }")
	}
	if b.Policy != nil {
		b.Policy.checkUpstreams(d, b.labels())
	}
	for i := range b.Audit {
		if i > 0 {
			d.mistake(&b.Audit[i].at, "Invalid audit", "There is an audit block already, at %s, and there can be one.", place(b.Audit[0].at))
		}
	}
}

// labels are those of the upstreams.
func (b *fileBlock) labels() []string {
	var labels []string
	for i := range b.Upstreams {
		labels = append(labels, b.Upstreams[i].label)
	}
	return labels
}

// checkUpstreams reports upstreams that there are not.
func (b *policyBlock) checkUpstreams(d *decoder, labels []string) {
	if name := b.ToolHiveUpstream.value; name != "" && !slices.Contains(labels, name) {
		d.mistake(&b.ToolHiveUpstream.at, "Invalid toolhive_upstream", "There is no upstream %q.%s", name, didYouMean(name, labels))
	}
	for i := range b.Binds {
		v := &b.Binds[i].Tools
		for _, glob := range v.value {
			upstream, _, ok := strings.Cut(glob, "/")
			switch {
			case glob == "*" || strings.Contains(upstream, "*"):
			case !ok:
				d.mistake(&v.at, "Invalid tools", "%q has no upstream. Tools go by the label of their upstream and their own name here, such as \"github/create_*\".", glob)
			case !slices.Contains(labels, upstream):
				d.mistake(&v.at, "Invalid tools", "There is no upstream %q.%s", upstream, didYouMean(upstream, labels))
			}
		}
	}
}

func (b *policyBlock) check(d *decoder) {
	if !b.Dir.given && !b.Inline.given && !b.ToolHive.given {
		d.mistake(&b.at, "Empty policy", "This block says nothing of who may use what. Name a folder with policies, such as dir = \"policies\", or write them here: inline = \"permit(principal, action, resource);\".")
	}
	b.checkTests(d)
	if b.ToolHiveUpstream.given && b.ToolHiveUpstream.value == "" {
		d.mistake(&b.ToolHiveUpstream.at, "Invalid toolhive_upstream", "This must not be empty.")
	}
}

var targetPattern = pattern{
	regexp.MustCompile(`^[a-z][a-z0-9_]*$`),
	"a name in policies: lower-case letters, digits and _, beginning with a letter",
}

// contextNames are those that policies find in the context anyway.
var contextNames = []string{"app", "auth", "bytes", "input", "ip", "now", "session", "size"}

func (b *bindBlock) check(d *decoder) {
	switch {
	case !targetPattern.MatchString(b.label):
		d.mistake(&b.at, "Invalid label", "%q is not %s.", b.label, targetPattern.wanted)
	case slices.Contains(contextNames, b.label), strings.HasPrefix(b.label, "arg_"), strings.HasPrefix(b.label, "claim_"):
		d.mistake(&b.at, "Invalid label", "Policies find something else in context.%s. Take another name, such as \"target\".", b.label)
	}
	if !b.Type.given {
		d.mistake(&b.at, "Missing type", "Say which type the entity has, such as type = \"Repo\".")
	}
	if !b.ID.given {
		d.mistake(&b.at, "Missing id", "Say which arguments make the entity's id, such as id = \"${input.owner}/${input.repo}\".")
	}
}

// auditKinds are what an audit block can be.
var auditKinds = kinds{
	names:     []string{"file"},
	of:        map[string]kindSettings{"file": {[]string{"path"}, nil}},
	unknown:   "Unknown kind of audit",
	noSuch:    "There is no audit of the kind %q; there are %s.%s",
	misplaced: "This does not go with audit of the kind %s.",
	missing:   "Audit of the kind %s needs its %s.",
}

func (b *auditBlock) check(d *decoder) {
	checkLabel(d, &b.header)
	auditKinds.check(d, &b.header, []setting{b.Path.setting})
}
