package audit

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// A Decision says what became of a request.
type Decision string

const (
	// Allow lets the request go on.
	Allow Decision = "allow"
	// Deny refuses it.
	Deny Decision = "deny"
	// WouldDeny lets it go on, only since nothing is enforced.
	WouldDeny Decision = "would_deny"
)

// A Kind says what a record is about.
type Kind string

const (
	// KindDecision is the decision about one request.
	KindDecision Kind = "decision"
	// KindAct is what somebody did to the gateway.
	KindAct Kind = "act"

	kindOpened Kind = "opened" // the log begins to write to the file
	kindClosed Kind = "closed" // and ends to
	kindLost   Kind = "lost"   // records that could not be taken
)

// A Record is one line of the log. What is zero is left out of it, texts that are
// too long are cut, and what is not UTF-8 is replaced. docs/audit.md describes
// the members of a line.
type Record struct {
	Time time.Time // zero: when it is added
	Kind Kind

	// Of a decision.

	// Reference is what the caller was told, to find the record by; "" for none.
	Reference string
	Decision  Decision
	Action    string // such as call_tool
	Caller    string // the principal, such as User::"<tenant>/<object id>"
	Name      string // what the caller is called, for people to read
	Client    string // the app, as policies name it
	Provider  string // name of the auth block
	Session   string // id of the caller's sign-in with the client
	IP        string
	Upstream  string // label
	Object    string // original name of a tool or prompt, or original URI
	Published string // the name that the client used
	// Principal is what policies could know of the caller at that time, Session what
	// they could know of the caller's earlier calls; nil where that was not asked for.
	Principal  *Principal
	Earlier    *Earlier
	Generation uint64 // of the catalog
	Policies   string // digest of the policies
	// Reasons are the policies that decided, Errors those that could not be
	// evaluated, Observed those that are satisfied and not in effect.
	Reasons, Errors, Observed []Reason
	// Why says in a few words why it is denied. Told is the id of the policy whose
	// message the caller was told, "" for none.
	Why, Told string
	// Candidate is what the candidate policies say, where that is something else.
	Candidate *Candidate
	// Micros is how long the decision took, in microseconds.
	Micros int64
	// Looked gives the values that conditions looked at, by their path such as
	// context.input.repo; nil for none. It is called once and from another
	// goroutine, after Add has returned. Values are what encoding/json encodes.
	Looked func() map[string]any
	// Arguments are those of the request as they came; nil for none. Nobody may
	// change them any more.
	Arguments json.RawMessage
	// Full has the arguments written whole, whatever the options say.
	Full bool

	// Of an act.

	Act  string // such as reload
	Who  string // such as "uid 1000"
	What string // that it was done to
	// Old and New name the state before and after, such as the digests of the
	// configuration.
	Old, New string
	// Error is why it was not done; "" if it was.
	Error string
}

// A Reason is a policy that matters to a decision.
type Reason struct {
	ID    string `json:"id"`
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
	Error string `json:"error,omitempty"` // why it could not be evaluated
}

// A Candidate is a decision that is not in effect.
type Candidate struct {
	Decision Decision `json:"decision"`
	Reasons  []Reason `json:"reasons,omitempty"`
}

// A Principal is what policies could look at of a caller, beside who it is. Which of it
// they do look at changes with them: with this, others can be tried on the same calls.
// It never changes, so that many records may share it.
type Principal struct {
	Groups   []string `json:"groups,omitempty"`    // by the names that policies give them
	GroupIDs []string `json:"group_ids,omitempty"` // of those of Groups that have another name
	// GroupsUnknown says why these may not be all; "" if they are.
	GroupsUnknown string   `json:"groups_unknown,omitempty"`
	Unresolved    []string `json:"unresolved,omitempty"` // groups of which nobody knows who is in them
	Roles         []string `json:"roles,omitempty"`
	Scopes        []string `json:"scopes,omitempty"`
	Guest         bool     `json:"guest,omitempty"`
	MFA           bool     `json:"mfa,omitempty"`
	Contexts      []string `json:"acrs,omitempty"`      // authentication contexts
	SignedIn      string   `json:"signed_in,omitempty"` // RFC 3339; "" if it is not known
	// More counts what is left out of the lists; [Principal.Bound] sets it.
	More int `json:"more,omitempty"`
}

// Earlier is what policies could look at of the earlier calls of a caller with a client.
type Earlier struct {
	Calls  int64    `json:"calls"`
	Labels []string `json:"labels,omitempty"`
}

const (
	// maxTexts bounds each list of a Principal or Earlier, and maxText each text in it,
	// in bytes.
	maxTexts = 24
	maxText  = 96
)

// Bound is p as it is written: of each list, the first 24 texts that can be written
// as they are. The lists of p are left as they are.
func (p Principal) Bound() *Principal {
	for _, list := range []*[]string{&p.Groups, &p.GroupIDs, &p.Unresolved, &p.Roles, &p.Scopes, &p.Contexts} {
		bound := bounded(*list)
		p.More += len(*list) - len(bound)
		*list = bound
	}
	p.GroupsUnknown, p.SignedIn = cut(p.GroupsUnknown, 256), cut(p.SignedIn, 64)
	return &p
}

// Bound is e as it is written, nil if that is not all of it.
func (e Earlier) Bound() *Earlier {
	if len(bounded(e.Labels)) < len(e.Labels) {
		return nil
	}
	return &e
}

// bounded are the first texts of a list that take little room and can be written.
func bounded(texts []string) []string {
	var few []string
	for _, s := range texts {
		if len(few) < maxTexts && utf8.ValidString(s) && cut(s, maxText) == s {
			few = append(few, s)
		}
	}
	return few
}
