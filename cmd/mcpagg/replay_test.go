package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Policies before and after, and calls that meet them. What text is before, the policies
// look at; the format of the time they do not.
const (
	before = `@id("notes") permit (principal, action, resource in Upstream::"notes") when { !(context.input has text) || context.input.text != "never" };
@id("clock") permit (principal, action, resource in Upstream::"clock");
`
	after = `@id("notes") permit (principal, action, resource in Upstream::"notes");
@id("clock") permit (principal, action, resource in Upstream::"clock") when { !(context.input has zone) || context.input.zone != "UTC" };
@id("secrets") forbid (principal, action, resource == Tool::"notes/add") when { context.input.text like "secret*" };
@id("long") forbid (principal, action, resource == Tool::"notes/add") when { context.size.text > 20 };
`
)

var replayed = []struct{ tool, input string }{
	{"notes_add", `{"text": "milk"}`},
	{"notes_add", `{"text":  "secret plans"}`},
	{"notes_add", `{"text": "never"}`},
	{"notes_add", `{"text": "something that is long enough"}`},
	{"notes_list", `{}`},
	{"clock_now", `{"zone": "UTC"}`},
	{"clock_now", `{"zone": "Europe/Berlin"}`},
	{"clock_now", `{}`},
}

// A claim is what mcpagg policy replay says of requests.
type claim struct {
	From, To string
	Examples []struct{ Place string }
}

// TestReplay has a gateway decide calls, asks what becomes of them with other policies,
// and then has the gateway decide the same calls by these.
func TestReplay(t *testing.T) {
	t.Parallel()
	for mode, wantUnknown := range map[string]int{"none": 7, "hashed": 2, "full": 0} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.write(t, "gateway.hcl", fmt.Sprintf("audit \"file\" \"main\" {\n  path = \"log/audit.jsonl\"\n  arguments = %q\n}\npolicy {\n  dir = \"policies\"\n}\n", mode)+notesBlock+clockBlock)
			h.writePolicy(t, "policies/a.cedar", before)
			h.writePolicy(t, "next/a.cedar", after)
			g := h.start(t)
			g.awaitStates(t, "notes connected, clock connected")
			old := g.decide(t, 0)
			if _, stderr, code := h.run(t, "catalog", "pull"); code != 0 {
				t.Fatal(stderr)
			}
			stdout, stderr, code := h.run(t, "policy", "replay", "log/audit.jsonl", "--policies", "next", "--catalog", "catalog.json", "-c", "gateway.hcl", "--json")
			if code != 0 {
				t.Fatal(stderr)
			}
			var report struct {
				Decided, Unknown int
				Flips, Unknowns  []claim
			}
			if err := json.Unmarshal([]byte(stdout), &report); err != nil {
				t.Fatal(err)
			}
			h.writePolicy(t, "policies/a.cedar", after)
			if _, stderr, code := h.run(t, "reload"); code != 0 {
				t.Fatal(stderr)
			}
			now := g.decide(t, len(replayed))
			if report.Decided != len(replayed) || report.Unknown != wantUnknown {
				t.Errorf("of %d calls %d are unknown, want %d of %d\n%s", report.Decided, report.Unknown, wantUnknown, len(replayed), stdout)
			}
			compareClaims(t, report.Flips, report.Unknowns, old, now)
		})
	}
}

// A decided call is one with its line in the audit file.
type auditedCall struct {
	line     int
	decision string
}

// decide makes the calls, after so many others, and tells what was decided of each.
func (g *gatewayProcess) decide(t *testing.T, before int) (all []auditedCall) {
	t.Helper()
	path := filepath.Join(g.dir, "log", "audit.jsonl")
	for _, c := range replayed {
		g.run(t, "call", c.tool, "--input", c.input, "--url", g.url)
	}
	var lines []auditedCall
	eventually(t, func() string {
		if lines = auditedCalls(t, path); len(lines) != before+len(replayed) {
			return fmt.Sprintf("there are %d decisions", len(lines))
		}
		return ""
	})
	return lines[len(lines)-len(replayed):]
}

func auditedCalls(t *testing.T, path string) (all []auditedCall) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		var l audited
		if json.Unmarshal([]byte(line), &l) == nil && l.Kind == "decision" {
			all = append(all, auditedCall{i + 1, l.Decision})
		}
	}
	return all
}

// compareClaims compares what was claimed of each call with what became of it.
func compareClaims(t *testing.T, flips, unknowns []claim, old, now []auditedCall) {
	t.Helper()
	said := map[int]string{}
	for _, claims := range [][]claim{flips, unknowns} {
		for _, c := range claims {
			for _, e := range c.Examples {
				_, line, _ := strings.Cut(e.Place, ":")
				n, err := strconv.Atoi(line)
				if err != nil {
					t.Fatal(err)
				}
				said[n] = c.To // "" for unknown
			}
		}
	}
	flipped := 0
	for i := range old {
		claimed, listed := said[old[i].line]
		if !listed {
			claimed = old[i].decision
		}
		if claimed != "" && claimed != now[i].decision {
			t.Errorf("%v: %s is claimed, and it is %s; before it was %s", replayed[i], claimed, now[i].decision, old[i].decision)
		}
		if old[i].decision != now[i].decision {
			flipped++
		}
	}
	if flipped != 4 {
		t.Errorf("%d calls come out otherwise, want 4", flipped)
	}
}
