package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// names finds entities of which there is none.
func (w *world) names(p *subject) []finding {
	var all []finding
	each := func(n *syntax.Node) bool {
		if n.Kind == syntax.EntityRef {
			if f, ok := w.name(p, n); ok {
				f.at = n.Span
				all = append(all, f)
			}
		}
		return true
	}
	for _, scope := range []*syntax.Scope{p.syntax.Principal, p.syntax.Action, p.syntax.Resource} {
		for _, n := range scope.Entities {
			each(n)
		}
	}
	for _, c := range p.syntax.Conditions {
		syntax.Walk(c.Body, each)
	}
	return all
}

// name finds what is wrong with one entity that is written out.
func (w *world) name(p *subject, n *syntax.Node) (f finding, ok bool) {
	uid, _ := n.Value.(types.EntityUID)
	switch uid.Type {
	case "Action":
		return w.action(uid)
	case "Tool", "Prompt", "Resource":
		return w.objectName(uid, w.ref(n))
	case "Upstream", "MCP":
		return w.upstreamName(uid)
	case "Tag":
		return w.tagName(uid)
	case "Group", "THVGroup":
		return w.groupName(uid)
	case "App":
		return w.appName(uid)
	case "User", "Workload":
		return w.callerName(uid)
	case "Role", "Client", "FeatureType":
		return finding{}, false
	}
	return w.ownName(uid)
}

// meant is a suggestion to write another id, "" if there is none.
func meant(t types.EntityType, id string) string {
	if id == "" {
		return ""
	}
	return didYouMean(uidText(types.NewEntityUID(t, types.String(id))))
}

func (w *world) action(uid types.EntityUID) (finding, bool) {
	var all []string
	for _, a := range source.Words().Actions {
		all = append(all, a.Name)
	}
	id := string(uid.ID)
	if contains(all, id) || strings.HasPrefix(id, "list_") {
		return finding{}, false
	}
	f := finding{severity: Error, code: "unknown-action", text: "there is no action " + quoted(id), suggestion: meant(uid.Type, source.Near(id, all))}
	if f.suggestion == "" {
		f.suggestion = "actions are " + strings.Join(all, ", ")
	}
	return f, true
}

// objectName checks that there is a tool, prompt or resource of that name.
func (w *world) objectName(written, uid types.EntityUID) (finding, bool) {
	kind := strings.ToLower(string(uid.Type))
	label, rest, ok := strings.Cut(string(uid.ID), "/")
	if origin := w.origin(written, string(written.ID)); origin != "" && w.byUID[uid] == nil {
		return finding{
			severity: Error, code: "published-name", text: fmt.Sprintf("%s is the published name of a %s, and policies go by origins", uidText(written), kind),
			suggestion: "write " + uidText(types.NewEntityUID(uid.Type, types.String(origin))),
		}, true
	}
	if !ok || w.in.Options.Upstreams != nil && !contains(w.in.Options.Upstreams, label) && label != w.in.Options.Only {
		return w.strangeUpstream(written, uid, label, rest, ok)
	}
	if w.byUID[uid] != nil || !w.knows(uid.Type, label) || contains(w.in.Hidden, string(uid.ID)) {
		return finding{}, false
	}
	if uid.Type == "Tool" && w.in.LeftOut != nil && w.in.LeftOut(label, rest) {
		return finding{
			severity: Info, code: "left-out", text: fmt.Sprintf("the tools block of the upstream %s leaves %s out", plain(label), quoted(rest)),
			suggestion: "nobody can call it, whatever policies say",
		}, true
	}
	f := finding{severity: Error, code: "unknown-" + kind, text: fmt.Sprintf("the upstream %s has no %s %s", plain(label), kind, quoted(rest))}
	if uid.Type == "Resource" { // which may be there though it is not listed
		f.severity = Warning
		f.text = fmt.Sprintf("the upstream %s lists no resource %s", plain(label), quoted(rest))
	}
	f.suggestion = meant(uid.Type, w.nearest(uid.Type, label, rest))
	if all := w.originals[uid.Type][label]; f.suggestion == "" && len(all) > 0 && len(all) <= 8 {
		f.suggestion = "it has " + list(printableAll(all))
	}
	return f, true
}

func printableAll(all []string) []string {
	var plainOnes []string
	for _, s := range all {
		plainOnes = append(plainOnes, plain(s))
	}
	return plainOnes
}

// strangeUpstream is a name that does not begin with the label of an upstream.
func (w *world) strangeUpstream(written, uid types.EntityUID, label, rest string, slash bool) (finding, bool) {
	if w.in.Options.Upstreams == nil && uid.Type == "Resource" {
		return finding{}, false
	}
	f := finding{severity: Error, code: "unknown-upstream"}
	if slash && uid.Type != "Resource" {
		f.text = fmt.Sprintf("%s is of the upstream %s, which there is not", uidText(written), quoted(label))
		f.suggestion = meant(uid.Type, w.elsewhere(uid.Type, label, rest))
		if near := source.Near(label, w.in.Options.Upstreams); f.suggestion == "" && near != "" {
			f.suggestion = meant(uid.Type, near+"/"+rest)
		}
		return f, true
	}
	f.code, f.text = "no-upstream", fmt.Sprintf("%s names no upstream", uidText(written))
	f.suggestion = meant(uid.Type, w.elsewhere(uid.Type, "", string(uid.ID)))
	if f.suggestion == "" {
		f.suggestion = fmt.Sprintf(`write %s::"LABEL/%s", the label being that of its upstream`, uid.Type, plain(string(uid.ID)))
	}
	return f, true
}

// knows reports whether all objects of a type are known that an upstream has.
func (w *world) knows(t types.EntityType, label string) bool {
	if !w.listed[label] || w.in.Partial && t != "Tool" {
		return false
	}
	if t != "Resource" {
		return true
	}
	hasTemplate := slices.ContainsFunc(w.templates, func(o *object) bool { return o.Upstream() == label })
	return !hasTemplate && len(w.originals[t][label]) > 0
}

func (w *world) upstreamName(uid types.EntityUID) (finding, bool) {
	o := &w.in.Options
	label := string(uid.ID)
	if o.Upstreams == nil || contains(o.Upstreams, label) || label == o.Only {
		return finding{}, false
	}
	f := finding{severity: Error, code: "unknown-upstream", text: "there is no upstream " + quoted(label), suggestion: meant(uid.Type, source.Near(label, o.Upstreams))}
	if f.suggestion == "" && len(o.Upstreams) > 0 {
		f.suggestion = "upstreams are " + list(o.Upstreams)
	}
	return f, true
}

func (w *world) tagName(uid types.EntityUID) (finding, bool) {
	tag := string(uid.ID)
	if contains(w.tags, tag) || w.filed[uid] || len(w.tags) == 0 && w.in.Tags == nil { // or no tags are known

		return finding{}, false
	}
	near := source.Near(tag, w.tags)
	for _, label := range w.in.Options.Upstreams {
		if !w.listed[label] && w.in.Tags == nil && near == "" {
			return finding{}, false // whose tags are not known
		}
	}
	f := finding{severity: Warning, code: "unknown-tag", text: fmt.Sprintf("no upstream has the tag %s", quoted(tag)), suggestion: meant(uid.Type, near)}
	switch {
	case near != "":
		f.severity = Error
	case len(w.tags) > 0:
		f.suggestion = "tags are " + list(printableAll(w.tags))
	}
	return f, true
}

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (w *world) groupName(uid types.EntityUID) (finding, bool) {
	id, aliases := string(uid.ID), w.in.Options.Groups
	if contains(aliases, id) || w.filed[uid] {
		return finding{}, false
	}
	if guid.MatchString(id) {
		f := finding{severity: Info, code: "guid", text: fmt.Sprintf("nobody can read which group %s is", plain(id)), suggestion: fmt.Sprintf(`give it a name: group "…" { id = %s }`, quoted(strings.ToLower(id)))}
		if alias := w.in.Groups[strings.ToLower(id)]; alias != "" {
			f.suggestion = "write " + uidText(types.NewEntityUID(uid.Type, types.String(alias)))
		}
		return f, true
	}
	if len(aliases) == 0 {
		return finding{}, false
	}
	f := finding{severity: Warning, code: "unknown-group", text: "no group block is called " + quoted(id), suggestion: meant(uid.Type, source.Near(id, aliases))}
	if f.suggestion == "" {
		f.suggestion = "it is taken for an id of the identity provider's; add a group block if it is none"
	}
	return f, true
}

func (w *world) appName(uid types.EntityUID) (finding, bool) {
	id, aliases := string(uid.ID), w.in.Options.Apps
	switch {
	case contains(aliases, id) || w.filed[uid] || id == "unknown" || strings.Contains(id, "://"):
		return finding{}, false
	case guid.MatchString(id):
		return finding{severity: Info, code: "guid", text: fmt.Sprintf("nobody can read which app %s is", plain(id)), suggestion: fmt.Sprintf(`give it a name: app "…" { client_id = %s }`, quoted(id))}, true
	case len(aliases) == 0:
		return finding{}, false
	}
	f := finding{severity: Warning, code: "unknown-app", text: "no app block is called " + quoted(id), suggestion: meant(uid.Type, source.Near(id, aliases))}
	if f.suggestion == "" {
		f.suggestion = "it is taken for a client id; add an app block if it is none"
	}
	return f, true
}

// callerName checks that an id may be that of a caller.
func (w *world) callerName(uid types.EntityUID) (finding, bool) {
	id := string(uid.ID)
	if strings.ContainsAny(id, "/#") || id == "anonymous" || w.filed[uid] {
		return finding{}, false
	}
	f := finding{
		severity: Warning, code: "caller-id", text: fmt.Sprintf("no caller has the id %s", quoted(id)),
		suggestion: `ids are "<tenant>/<object id>" with Entra, and "<issuer>#<sub>" with others`,
	}
	if strings.Contains(id, "@") {
		f.code, f.text = "mutable-id", fmt.Sprintf("%s is a name that can be given to somebody else, and the id of no caller", quoted(id))
	}
	return f, true
}

// ownName checks an entity of the operator's own types.
func (w *world) ownName(uid types.EntityUID) (finding, bool) {
	t := string(uid.Type)
	if !contains(w.in.Options.Types, t) {
		return finding{severity: Error, code: "unknown-type", text: "there is no entity type " + plain(t), suggestion: w.typeMeant(t)}, true
	}
	all := w.ids[uid.Type]
	if w.filed[uid] || len(all) == 0 {
		return finding{}, false
	}
	f := finding{severity: Warning, code: "unknown-entity", text: fmt.Sprintf("no file of entities has %s", uidText(uid)), suggestion: meant(uid.Type, source.Near(string(uid.ID), all))}
	if f.suggestion != "" {
		f.severity = Error
	}
	return f, true
}

func (w *world) typeMeant(t string) string {
	all := slices.Clone(w.in.Options.Types)
	for _, e := range source.Words().Entities {
		all = append(all, e.Name)
	}
	if near := source.Near(t, all); near != "" {
		return didYouMean(near)
	}
	return "declare types of your own in a *.cedarschema file of policy.entities"
}
