package aggregator

import (
	"context"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A matter is what a request turns out to be about, and what is decided of it. It
// is of one request, which is served by one goroutine.
type matter struct {
	action    string // of policies, such as call_tool; "" while it is not known
	member    *member
	object    *policy.Object
	original  string
	published string // the name or URI that the client used

	arguments arguments
	decision  *policy.Decision // nil until there is one
	decided   time.Time        // when policies were asked
	earlier   *audit.Earlier   // calls, as policies were told of them; nil if they were not
	took      time.Duration    // to decide
	recorded  bool             // in the audit file
	reference string           // made when it is refused
	entered   context.Context  // that the operator may end; nil if it takes no time
}

// byPolicy is the reason of a denial that policies decided.
const byPolicy = "policy"

// The actions of policies.
const (
	toCall = "call_tool"
	toGet  = "get_prompt"
	toRead = "read_resource"
)

func (a *matter) isTool(t *Tool) {
	a.action, a.member, a.object, a.original, a.published = toCall, t.member, t.object, t.Original, t.Name
}

func (a *matter) isPrompt(p *item) {
	a.action, a.member, a.object, a.original, a.published = toGet, p.member, p.object, p.original, p.key
}

func (a *matter) isResource(t target, uri string) {
	a.action, a.member, a.object, a.original, a.published = toRead, t.member, t.object, t.original, uri
}

// decide asks the policies about the request, whose names are the original ones by
// now, and sees to what they demand before it goes on. It returns what they demand of
// the result. Its error is a *denied or a *challenged.
func (g *Gateway) decide(ctx context.Context, r Request, args arguments) (source.Obligations, error) {
	about := r.about
	about.arguments = args
	begun := time.Now()
	about.decided = begun
	q := g.question(r, begun)
	about.decision = r.catalog.decide(q)
	about.took = time.Since(begun)
	d := about.decision
	if args.unfit != nil {
		d.WouldDeny, d.Why = true, "arguments"
	}
	g.noteDecision(r)
	if !d.Allow {
		g.abandon(r)
		return source.Obligations{}, g.deny(ctx, r, q)
	}
	g.challenges.helped(r.Caller)
	if err := g.quotas.oblige(r, d.Obligations); err != nil {
		return source.Obligations{}, err
	}
	if !g.record(r, decisionOf(d), "") {
		return source.Obligations{}, &denied{reason: "audit", answer: &jsonrpc.Error{
			Code: codeBusy, Message: "the gateway cannot keep a record of this request, and so does not serve it; try again later",
		}}
	}
	return d.Obligations, nil
}

// decide is the decision about a request: everything is allowed without policies.
func (c *Catalog) decide(q *policy.Request) *policy.Decision {
	if c.Policy == nil {
		return &policy.Decision{Allow: true}
	}
	return c.Policy.Decide(q)
}

// question is the request as policies see it.
func (g *Gateway) question(r Request, now time.Time) *policy.Request {
	about := r.about
	q := &policy.Request{
		Object: about.object, Arguments: about.arguments.values, Raw: about.arguments.raw,
		IP: r.IP, Now: now, Observed: about.member.Observe,
	}
	if r.catalog.Policy == nil {
		return q
	}
	if g.labels != nil {
		q.Session.Calls, q.Session.Labels = g.labels.Of(r.Caller.ID, clientOf(r.Caller))
	}
	about.earlier = &audit.Earlier{Calls: q.Session.Calls, Labels: q.Session.Labels}
	q.Principal = g.principals.of(r.Caller).Principal
	return q
}

func decisionOf(d *policy.Decision) audit.Decision {
	switch {
	case !d.Allow:
		return audit.Deny
	case d.WouldDeny:
		return audit.WouldDeny
	}
	return audit.Allow
}

// notes bound how often of each kind a line is logged.
type notes struct{ would, differs, failed, observed *rate.Limiter }

func newNotes() notes {
	some := func() *rate.Limiter { return rate.NewLimiter(5, 50) }
	return notes{some(), some(), some(), some()}
}

// noteDecision logs what an operator wants to know of a decision beside that it is a
// denial.
func (g *Gateway) noteDecision(r Request) {
	d := r.about.decision
	if d.WouldDeny && g.notes.would.Allow() {
		g.log.Info("would deny", append(r.attributes(), "why", d.Why, "policies", idsOf(d.Reasons))...)
	}
	if d.Candidate != nil && g.notes.differs.Allow() {
		g.log.Info("the candidate policies decide otherwise", append(r.attributes(),
			"decision", decisionOf(d), "candidate", decisionOf(d.Candidate), "policies", idsOf(d.Candidate.Reasons))...)
	}
	if len(d.Errors) > 0 && g.notes.failed.Allow() {
		g.log.Warn("policies cannot be evaluated", append(r.attributes(), "policies", idsOf(d.Errors))...)
	}
	if len(d.Observed) > 0 && g.notes.observed.Allow() {
		g.log.Info("policies that are only observed are satisfied", append(r.attributes(), "policies", idsOf(d.Observed))...)
	}
}

// attributes are what a line in the log says of the request.
func (r Request) attributes() []any {
	attributes := []any{"caller", r.Caller.ID}
	if m := r.about.member; m != nil {
		attributes = append(attributes, "upstream", m.Name)
	}
	if r.about.action == "" {
		return append(attributes, "method", r.Method)
	}
	return append(attributes, nounOf[r.about.action], r.about.published)
}

// nounOf is what a log calls the object of an action.
var nounOf = map[string]string{toCall: "tool", toGet: "prompt", toRead: "resource"}

func idsOf(reasons []policy.Reason) []string {
	var ids []string
	for _, r := range reasons {
		ids = append(ids, r.ID)
	}
	return ids
}
