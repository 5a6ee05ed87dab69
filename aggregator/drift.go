package aggregator

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/mcpagg/mcpagg/policy/lock"
)

// A review says how the definition of a tool stands to what was reviewed of its
// upstream. The zero value is that nothing was.
type review struct {
	pinned  bool   // it is as it was reviewed
	drifted bool   // it is not, or nobody has reviewed it, though others were
	why     string // it has drifted, for people to read
}

// review compares a definition, as the upstream sent it, with its pin.
func (m *member) review(original string, raw json.RawMessage) review {
	if m.Pins == nil {
		return review{}
	}
	was, reviewed := m.Pins[original]
	if !reviewed {
		return review{drifted: true, why: "nobody has reviewed it: it is not in " + lock.Name}
	}
	now, err := lock.PinOf(raw)
	switch {
	case err != nil:
		return review{drifted: true, why: "it cannot be compared with what was reviewed: " + err.Error()}
	case was.Equal(now):
		return review{pinned: true}
	}
	return review{drifted: true, why: "it is not as it was reviewed: " + inWords(was.Diff(now))}
}

// maxChanges bounds the differences that are told of one definition.
const maxChanges = 6

func inWords(changes []lock.Change) string {
	var words []string
	for _, c := range changes[:min(len(changes), maxChanges)] {
		words = append(words, c.String())
	}
	if more := len(changes) - maxChanges; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, "; ")
}

// distrusted reports whether nothing counts that is said of the tool: it has
// drifted, and that does more than to be logged.
func (t *Tool) distrusted() bool { return t.review.drifted && t.member.Drift != lock.Warn }

// admit publishes a tool, unless it has drifted from what was reviewed and is to be
// hidden then.
func (p *part) admit(t *Tool) {
	if t.review.drifted {
		p.drifted = append(p.drifted, t.Original)
		t.member.drifts.report(t)
	}
	if t.review.drifted && t.member.Drift == lock.Hide {
		p.hide(t.member, "tool", t.origin, t.review.why)
		return
	}
	p.tools = append(p.tools, t)
}

// drifts remembers which definitions of an upstream are known to have drifted. It
// is safe for concurrent use.
type drifts struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]struct{} // by definition; guarded by mu
}

// maxDrifts bounds what is remembered of one upstream. One that has shown more
// definitions is told of again.
const maxDrifts = 10_000

// report logs each definition once, whoever's connection has it.
func (d *drifts) report(t *Tool) {
	key := sha256.Sum256(t.origin)
	d.mu.Lock()
	_, known := d.known[key]
	if d.known == nil || len(d.known) == maxDrifts {
		d.known = map[[sha256.Size]byte]struct{}{}
	}
	d.known[key] = struct{}{}
	d.mu.Unlock()
	if !known {
		t.member.log.Warn("a tool is not as it was reviewed", "upstream", t.Upstream, "tool", t.Original,
			"why", t.review.why, "drift", string(cmp.Or(t.member.Drift, lock.Distrust)))
	}
}

// Drifted are the tools of an upstream, by original name, that are published, or
// would be, and are not as they were reviewed.
func (c *Catalog) Drifted(label string) []string {
	for i, m := range c.members {
		if m.Name == label {
			return c.parts[i].drifted
		}
	}
	return nil
}

// Definitions are the tools of an upstream, as it sent them, that the
// configuration publishes, by original name. Those are among them whose published
// name another one has.
func (c *Catalog) Definitions(label string) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for i, m := range c.members {
		if m.Name != label {
			continue
		}
		for _, t := range c.parts[i].tools {
			if all[t.Original] == nil { // of two with one name the first is published
				all[t.Original] = t.origin
			}
		}
	}
	return all
}
