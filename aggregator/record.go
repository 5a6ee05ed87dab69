package aggregator

import (
	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/policy"
)

// hidden is why a request is denied in the audit file whose caller is told that there
// is no such thing.
const hidden = "hidden from the caller"

// record puts what became of a request into the audit file, once. It reports false if
// that cannot be kept.
func (g *Gateway) record(r Request, decision audit.Decision, reason string) bool {
	about := r.about
	if about.recorded {
		return true
	}
	about.recorded = true
	g.figures.decided(decision)
	log := r.catalog.Audit
	if log == nil {
		return true
	}
	record := audit.Record{
		Kind: audit.KindDecision, Reference: about.reference, Decision: decision, Why: reason,
		Action: about.action, Object: about.original, Published: about.published,
		Caller: r.Caller.ID, Name: r.Caller.Name, Client: clientOf(r.Caller), Provider: r.Caller.Provider, Session: r.Caller.Session,
		Generation: r.catalog.Generation, Arguments: about.arguments.raw,
	}
	if r.IP.IsValid() {
		record.IP = r.IP.String()
	}
	if about.member != nil {
		record.Upstream = about.member.Name
	}
	if p := r.catalog.Policy; p != nil {
		record.Policies = p.Digest()
		record.Principal, record.Earlier = g.principals.of(r.Caller).audited, about.earlier
	}
	if d := about.decision; d != nil {
		about.addDecision(&record, d)
	}
	return log.Add(record)
}

// addDecision is what the policies said, and when.
func (a *matter) addDecision(record *audit.Record, d *policy.Decision) {
	record.Time = a.decided
	record.Reasons, record.Errors, record.Observed = reasonsOf(d.Reasons), reasonsOf(d.Errors), reasonsOf(d.Observed)
	record.Micros, record.Looked, record.Full = a.took.Microseconds(), d.Looked, d.Obligations.Audit
	if record.Why == "" || record.Why == byPolicy {
		record.Why, record.Told = d.Why, d.Told
	}
	if d.Candidate != nil {
		record.Candidate = &audit.Candidate{Decision: decisionOf(d.Candidate), Reasons: reasonsOf(d.Candidate.Reasons)}
	}
}

func reasonsOf(reasons []policy.Reason) []audit.Reason {
	var all []audit.Reason
	for _, r := range reasons {
		all = append(all, audit.Reason(r))
	}
	return all
}
