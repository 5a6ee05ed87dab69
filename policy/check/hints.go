package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// hintNames are the attributes that are made of what a tool says of itself.
var hintNames = []string{
	"read_only", "destructive", "idempotent", "open_world", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint",
}

// hints finds attributes that no tool has as it says, since nobody believes it, and those
// that are believed of definitions that can change.
func (w *world) hints(p *subject) []finding {
	var all []finding
	seen := map[string]bool{}
	for _, c := range p.syntax.Conditions {
		syntax.Walk(c.Body, func(n *syntax.Node) bool {
			if !seen[n.Name] && n.Kind == syntax.Attribute && bare(n.Args[0]).Kind == syntax.Variable && bare(n.Args[0]).Name == "resource" && contains(hintNames, n.Name) {
				seen[n.Name] = true
				if f, ok := w.hint(p, n); ok {
					all = append(all, f)
				}
			}
			return true
		})
	}
	return all
}

// hint looks at one use of such an attribute.
func (w *world) hint(p *subject, n *syntax.Node) (finding, bool) {
	var unbelieved, unlocked []*object
	believed := 0
	for _, o := range p.about {
		if !o.hinted {
			o.hinted, o.hints = true, hintsOf(o.Tool())
		}
		switch h := o.hints[n.Name]; {
		case h.unbelieved:
			unbelieved = append(unbelieved, o)
		case h.unlocked:
			unlocked = append(unlocked, o)
			believed++
		case o.Tool() != nil && o.Tool().Pinned:
			believed++
		}
	}
	f := finding{code: "untrusted-hint", at: n.NameSpan, expr: n, objects: unbelieved}
	switch labels := upstreamsOf(unbelieved); {
	case len(unbelieved) > 0:
		f.severity = Info
		if believed == 0 && p.syntax.Permit { // a forbid then forbids rather too much
			f.severity = Warning
		}
		f.text = fmt.Sprintf("nobody believes what %s says of %s: it has not been reviewed, and its upstream is not trusted", object0, n.Name)
		f.suggestion = fmt.Sprintf(`review it with mcpagg lock %s, or write trust = "hints" in upstream %s`, strings.Join(labels[:1], " "), quoted(labels[0]))
		return f, true
	case len(unlocked) > 0:
		labels = upstreamsOf(unlocked)
		f.severity, f.code, f.objects = Info, "unlocked-hint", unlocked
		f.text = fmt.Sprintf("%s is what %s says of itself, and its upstream can change that at any time", n.Name, object0)
		f.suggestion = "pin its definition with mcpagg lock " + labels[0]
		return f, true
	}
	return finding{}, false
}

// A hint is what a tool has to say of one of its attributes: something that is not believed,
// or that is and could be something else tomorrow.
type hint struct{ unbelieved, unlocked bool }

// hintsOf are those of a tool by its attributes, nil if it says nothing of the kind.
func hintsOf(t *policy.Tool) map[string]hint {
	if t == nil || t.Pinned && !t.Drifted || len(t.Annotations) == 0 {
		return nil
	}
	believed, silent := *t, *t
	believed.Pinned, believed.Drifted = true, false
	silent.Annotations = nil
	now, would, nothing := effectsOf(*t), effectsOf(believed), effectsOf(silent)
	all := map[string]hint{}
	for i, name := range hintNames {
		all[name] = hint{unbelieved: now[i] != would[i], unlocked: now[i] == would[i] && now[i] != nothing[i]}
	}
	return all
}

// effectsOf are the attributes of a tool in the order of hintNames, those of MCP's own
// names "" where they are not there.
func effectsOf(t policy.Tool) [8]string {
	e, h := t.Effects(), t.Hints()
	text := func(b *bool) string {
		if b == nil {
			return ""
		}
		return strconv.FormatBool(*b)
	}
	return [8]string{
		text(&e.ReadOnly), text(&e.Destructive), text(&e.Idempotent), text(&e.OpenWorld),
		text(h.ReadOnly), text(h.Destructive), text(h.Idempotent), text(h.OpenWorld),
	}
}

func upstreamsOf(all []*object) []string {
	var labels []string
	for _, o := range all {
		if !contains(labels, o.Upstream()) {
			labels = append(labels, o.Upstream())
		}
	}
	return labels
}
