// Package replay reads what the gateway wrote into its audit file, and says what
// other policies would have decided, which policies are used, and with which fewer
// permissions people would have done the same.
//
//	read, err := replay.Each(logs, since, func(r *replay.Record) error { … })
//
//	report, err := replay.Replay(logs, replay.Options{Engine: engine, Objects: objects})
//	for _, f := range report.Flips { … }
//
// A record holds less than a request. What it does not tell may have been anything:
// something is claimed only where it would come out the same whatever that was.
package replay

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/source"

	"github.com/cedar-policy/cedar-go/types"
)

// Options say what to replay with.
type Options struct {
	Engine *policy.Engine
	// Objects are those of the catalog.
	Objects []*policy.Object
	// Aliases are the ids of groups by their labels in the configuration.
	Aliases map[string]string
	Since   time.Time
	// Arguments has the examples hold the arguments of requests, where they are told.
	Arguments bool
}

// A Report is what would become of past requests.
type Report struct {
	Read   *Read  `json:"read"`
	Digest string `json:"policies"` // that were asked
	// Decided counts the requests that policies decided, Other those that were refused
	// for something else, such as a rate: whatever policies say, they are refused.
	Decided int `json:"decided"`
	Other   int `json:"refused_for_other_reasons"`
	// Of Decided, Same come out as before, Denied and Allowed do not, and of Unknown it
	// cannot be said.
	Same    int `json:"same"`
	Denied  int `json:"allow_to_deny"`
	Allowed int `json:"deny_to_allow"`
	Unknown int `json:"unknown"`
	// Flips are those that certainly come out otherwise, the most frequent first.
	Flips []*Flip `json:"flips"`
	// Unknowns are those of which it cannot be said.
	Unknowns []*Open `json:"unknowns"`
	// More counts the requests that are in none of the lists, since these are full.
	More int `json:"more,omitempty"`
}

// Certain counts the requests of which is known what comes out.
func (r *Report) Certain() int { return r.Decided - r.Unknown }

// A Group counts requests.
type Group struct {
	Count    int       `json:"count"`
	Callers  int       `json:"callers"` // 100 at most
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Examples []Example `json:"examples"`

	callers map[string]bool
}

// An Example is one request.
type Example struct {
	ID        string          `json:"id"`    // its reference, or else its time
	Place     string          `json:"place"` // such as audit.jsonl:12
	Caller    string          `json:"caller"`
	Arguments json.RawMessage `json:"arguments,omitempty"` // if they were asked for, and are short
}

// A Flip is requests about one thing that come out otherwise for one reason.
type Flip struct {
	From   string `json:"from"` // allow or deny
	To     string `json:"to"`
	Object string `json:"object"` // such as Tool::"github/create_issue"
	// Policy is what decides now; empty where no policy permits it, for which Why is.
	Policy Reason `json:"policy,omitzero"`
	Why    string `json:"why,omitempty"`
	// Before is the policy that decided; empty if none did.
	Before Reason `json:"before,omitzero"`
	Group
}

// An Open is requests about one thing of which cannot be said what comes out.
type Open struct {
	From   string   `json:"from"`
	Object string   `json:"object"`
	Policy Reason   `json:"policy,omitzero"` // the first one of which that is so
	Lacks  []string `json:"lacks"`           // what is not told, such as context.input.repo
	How    []string `json:"how"`             // to have it told
	Group
}

const (
	// maxGroups bounds the lists of a report, each by itself.
	maxGroups = 2_000
	// maxExamples bounds the examples of a group, and maxCallers who is counted.
	maxExamples = 3
	maxCallers  = 100
	// maxShown bounds the bytes of arguments in an example.
	maxShown = 4 << 10
	// maxLacks bounds how much is named that is not told.
	maxLacks = 8
)

// Replay decides the requests of logs by other policies. The error is that one of them
// cannot be read.
func Replay(logs []Log, o Options) (*Report, error) {
	p := &player{
		o: o, judge: o.Engine.Judge(), objects: NewObjects(o.Objects), literals: literalsOf(o.Engine.Policies()),
		flips: map[flipKey]*Flip{}, open: map[openKey]*Open{},
		report: &Report{Digest: o.Engine.Digest(), Flips: []*Flip{}, Unknowns: []*Open{}},
	}
	read, err := Each(logs, o.Since, func(r *Record) error { p.play(r); return nil })
	p.report.Read = read
	slices.SortStableFunc(p.report.Flips, func(a, b *Flip) int {
		return cmp.Or(cmp.Compare(b.To, a.To), cmp.Compare(b.Count, a.Count), a.First.Compare(b.First))
	})
	slices.SortStableFunc(p.report.Unknowns, func(a, b *Open) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.First.Compare(b.First))
	})
	return p.report, err
}

// A player replays records.
type player struct {
	o        Options
	judge    *policy.Judge
	objects  *Objects
	literals []string
	report   *Report
	flips    map[flipKey]*Flip
	open     map[openKey]*Open
}

type flipKey struct {
	to, object, why string
	policy, before  Reason
}

type openKey struct {
	from, object, lacks string
	policy              Reason
}

func (p *player) play(r *Record) {
	was := r.Verdict()
	if was == Unasked {
		p.report.Other++
		return
	}
	p.report.Decided++
	object := p.objects.Of(r)
	if object == nil {
		p.leaveOpen(r, objectName(r), Reason{}, []string{"the tool"}, []string{"it is not in the catalog; write it anew with: mcpagg catalog pull"})
		return
	}
	c := reconstruct(r, object, p.o.Aliases, p.literals)
	if c == nil {
		p.leaveOpen(r, object.String(), Reason{}, []string{"the caller"}, []string{"the record does not tell who called"})
		return
	}
	j := p.judge.Of(c.past)
	switch {
	case !j.Certain():
		p.leaveOpen(r, object.String(), firstOpen(j), j.Lacks, remedies(r, j.Lacks))
	case j.MayAllow == (was == Allowed):
		p.report.Same++
	default:
		p.flip(r, object.String(), j)
	}
}

// objectName is how policies write what a record is about.
func objectName(r *Record) string {
	t, ok := typeOf[r.Action]
	if !ok {
		t = "Object"
	}
	return types.NewEntityUID(t, types.String(r.Upstream+"/"+r.Object)).String()
}

// flip counts a request that comes out otherwise.
func (p *player) flip(r *Record, object string, j *policy.Judgement) {
	f := Flip{From: "allow", To: "deny", Object: object, Why: j.Why}
	if len(r.Reasons) > 0 {
		f.Before = r.Reasons[0]
	}
	decides := j.Forbids
	if j.MayAllow {
		f.From, f.To, decides = "deny", "allow", j.Permits
		p.report.Allowed++
	} else {
		p.report.Denied++
	}
	if i := slices.IndexFunc(decides, func(d policy.Prospect) bool { return d.Outcome&may.False == 0 && d.Outcome != 0 }); i >= 0 {
		f.Policy = reasonOf(decides[i].Policy)
	} else if i := slices.IndexFunc(decides, func(d policy.Prospect) bool { return d.Outcome == may.Error }); i >= 0 {
		f.Policy = reasonOf(decides[i].Policy)
	}
	if f.Policy.ID == "" && f.Why == "" {
		f.Why = "no policy permits it"
	}
	key := flipKey{f.To, object, f.Why, f.Policy, f.Before}
	group := p.flips[key]
	if group == nil {
		if len(p.flips) >= maxGroups {
			p.report.More++
			return
		}
		group = &f
		p.flips[key] = group
		p.report.Flips = append(p.report.Flips, group)
	}
	p.count(&group.Group, r)
}

func reasonOf(p *source.Policy) Reason { return Reason{ID: p.ID, File: p.File, Line: p.Line} }

// firstOpen is the first policy of which is not known what it comes to: forbids first.
func firstOpen(j *policy.Judgement) Reason {
	for _, d := range slices.Concat(j.Forbids, j.Permits) {
		if d.Outcome&(d.Outcome-1) != 0 {
			return reasonOf(d.Policy)
		}
	}
	return Reason{}
}

// leaveOpen counts a request of which cannot be said what comes out.
func (p *player) leaveOpen(r *Record, object string, by Reason, lacks, how []string) {
	p.report.Unknown++
	lacks = lacks[:min(len(lacks), maxLacks)]
	key := openKey{r.Verdict().String(), object, join(lacks) + "\x00" + join(how), by}
	group := p.open[key]
	if group == nil {
		if len(p.open) >= maxGroups {
			p.report.More++
			return
		}
		group = &Open{From: r.Verdict().String(), Object: object, Policy: by, Lacks: lacks, How: how}
		p.open[key] = group
		p.report.Unknowns = append(p.report.Unknowns, group)
	}
	p.count(&group.Group, r)
}

func join(texts []string) string {
	all := ""
	for _, s := range texts {
		all += s + "\x00"
	}
	return all
}

// count adds a record to a group.
func (p *player) count(g *Group, r *Record) {
	g.Count++
	if g.Count == 1 || r.Time.Before(g.First) {
		g.First = r.Time
	}
	if r.Time.After(g.Last) {
		g.Last = r.Time
	}
	if g.callers == nil {
		g.callers = map[string]bool{}
	}
	if len(g.callers) < maxCallers {
		g.callers[r.Caller] = true
	}
	g.Callers = len(g.callers)
	if len(g.Examples) < maxExamples {
		e := Example{ID: r.ID(), Place: r.Place(), Caller: r.Caller}
		if p.o.Arguments && len(r.Arguments) <= maxShown {
			e.Arguments = r.Arguments
		}
		g.Examples = append(g.Examples, e)
	}
}

// literalsOf are the texts in policies that may be too long for a record.
func literalsOf(policies []*source.Policy) []string {
	const long = 1 << 10 / 6
	var all []string
	for _, p := range policies {
		for _, c := range p.AST.Conditions {
			ast.Inspect(c.Body, func(n ast.Node) bool {
				v, _ := n.(ast.Value)
				if s, ok := v.Value.(types.String); ok && len(s) >= long && !slices.Contains(all, string(s)) {
					all = append(all, string(s))
				}
				return true
			})
		}
	}
	return all
}
