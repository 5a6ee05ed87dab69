package policycmd

import (
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy"
)

// A draft is a policy that is being written.
type draft struct {
	forbid   bool
	group    string           // "" for everybody
	upstream string           // "" for all
	tools    []*policy.Object // nil for all
	readOnly bool             // of these, only those that do nothing but read
	when     []condition
	id       string
}

// calls reports whether the policy is about calls of tools alone.
func (d *draft) calls() bool { return d.tools != nil || d.readOnly || len(d.when) > 0 }

// defaultID is what the policy does, in an id.
func (d *draft) defaultID() string {
	who, what := d.group, "everything"
	if who == "" {
		who = "everybody"
	}
	switch {
	case len(d.tools) == 1:
		what = d.tools[0].Origin()
	case d.readOnly:
		what = strings.TrimSpace(d.upstream + " reads")
	case len(d.tools) > 1:
		what = d.upstream + " tools"
	case d.upstream != "":
		what = d.upstream
	}
	verb := "may"
	if d.forbid {
		verb = "must not"
	}
	return slug(who + " " + verb + " " + what)
}

// text is the policy as it stands in a file.
func (d *draft) text() string {
	effect := "permit"
	if d.forbid {
		effect = "forbid"
	}
	scope := []string{"principal", "action", "resource"}
	if d.group != "" {
		scope[0] = "principal in " + entity("Group", d.group)
	}
	if d.calls() {
		scope[1] = "action == " + entity("Action", "call_tool")
	}
	switch {
	case len(d.tools) == 1:
		scope[2] = "resource == " + d.tools[0].String()
	case d.upstream != "":
		scope[2] = "resource in " + entity("Upstream", d.upstream)
	}
	return laidOutText(fmt.Sprintf("@id(%s) %s (%s)%s;", cedarText(d.id), effect, strings.Join(scope, ", "), d.conditions()))
}

// conditions is the when clause, "" for none.
func (d *draft) conditions() string {
	var parts []string
	if len(d.tools) > 1 {
		names := make([]string, len(d.tools))
		for i, t := range d.tools {
			names[i] = t.String()
		}
		parts = append(parts, "resource in ["+strings.Join(names, ", ")+"]")
	}
	if d.readOnly {
		parts = append(parts, "resource.read_only")
	}
	for i := range d.when {
		parts = append(parts, d.when[i].text(d.forbid))
	}
	if len(parts) == 0 {
		return ""
	}
	return " when { " + strings.Join(parts, " && ") + " }"
}

// entity is how policies write one.
func entity(typ types.EntityType, id string) string {
	return types.NewEntityUID(typ, types.String(id)).String()
}

// cedarText is a text as policies write it.
func cedarText(s string) string { return string(types.String(s).MarshalCedar()) }

// sentence says in words who may do what.
func (d *draft) sentence() string {
	who, verb, what := "Everybody", "may use", "everything"
	if d.group != "" {
		who = fmt.Sprintf("Whoever is in the group %q", cli.Visible(d.group))
	}
	if d.forbid {
		who, verb = strings.Replace(who, "Everybody", "Nobody", 1), "may use"
		if d.group != "" {
			verb = "must not use"
		}
	}
	switch {
	case len(d.tools) == 1:
		what = cli.Visible(d.tools[0].Origin())
	case len(d.tools) > 1:
		what = fmt.Sprintf("%d tools of %s", len(d.tools), cli.Visible(d.upstream))
	case d.upstream != "":
		what = "all of " + cli.Visible(d.upstream)
	}
	if d.readOnly {
		what += " that only reads"
	}
	for i := range d.when {
		what += []string{" where ", " and "}[min(i, 1)] + d.when[i].String()
		if d.forbid && d.when[i].optional {
			what += ", or is missing"
		}
	}
	return who + " " + verb + " " + what + "."
}
