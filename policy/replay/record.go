package replay

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A Record is what the audit file says of one decision.
type Record struct {
	File string // where it is
	Line int    // from 1

	Time      time.Time
	Decision  string // allow, deny or would_deny
	Reference string // what the caller was told; "" for none
	Action    string // such as call_tool
	Upstream  string
	Object    string // original name, or original URI
	Caller    string // the principal, as policies name it
	Name      string // what the caller is called
	Client    string
	IP        string
	Why       string
	Reasons   []Reason
	Observed  []Reason
	Errors    []Reason
	Policies  string // digest of those that were in effect
	// Principal and Earlier are what policies could look at; nil if that is not told.
	Principal *Principal
	Earlier   *Earlier
	// Looked are the values that conditions looked at, as JSON.
	Looked map[string]json.RawMessage
	// Reduced says that only a digest of Looked was written.
	Reduced bool
	// Arguments are nil if they are not told; Bytes is their length, 0 if that is not.
	Arguments json.RawMessage
	Bytes     int
	SHA256    string

	// Mode and Salt are those of the file at that place.
	Mode, Salt string
}

// A Reason is a policy that mattered.
type Reason struct {
	ID   string `json:"id"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// A Principal is what the file tells of a caller beside the id.
type Principal struct {
	Groups        []string `json:"groups"`
	GroupIDs      []string `json:"group_ids"`
	GroupsUnknown string   `json:"groups_unknown"`
	Unresolved    []string `json:"unresolved"`
	Roles         []string `json:"roles"`
	Scopes        []string `json:"scopes"`
	Guest         bool     `json:"guest"`
	MFA           bool     `json:"mfa"`
	Contexts      []string `json:"acrs"`
	SignedIn      string   `json:"signed_in"`
	More          int      `json:"more"` // what is left out of the lists
}

// Earlier is what it tells of the caller's earlier calls.
type Earlier struct {
	Calls  int64    `json:"calls"`
	Labels []string `json:"labels"`
}

// A line is one of the file.
type line struct {
	Time      string                     `json:"time"`
	Kind      string                     `json:"kind"`
	Version   int                        `json:"version"`
	Salt      string                     `json:"salt"`
	Mode      string                     `json:"mode"`
	Count     int64                      `json:"count"`
	Decision  string                     `json:"decision"`
	Reference string                     `json:"reference"`
	Action    string                     `json:"action"`
	Upstream  string                     `json:"upstream"`
	Object    string                     `json:"object"`
	Caller    string                     `json:"caller"`
	Name      string                     `json:"name"`
	Client    string                     `json:"client"`
	IP        string                     `json:"ip"`
	Principal *Principal                 `json:"principal"`
	Earlier   *Earlier                   `json:"earlier"`
	Reasons   []Reason                   `json:"reasons"`
	Errors    []Reason                   `json:"errors"`
	Observed  []Reason                   `json:"observed"`
	Why       string                     `json:"why"`
	Looked    map[string]json.RawMessage `json:"looked"`
	Arguments json.RawMessage            `json:"arguments"`
	Bytes     int                        `json:"arguments_bytes"`
	SHA256    string                     `json:"arguments_sha256"`
	Policies  string                     `json:"policies"`
}

// The kinds of lines.
const (
	kindDecision = "decision"
	kindOpened   = "opened"
	kindLost     = "lost"
)

var errNoRecord = errors.New("it lacks what a decision has")

// record is the line's, if it is about a decision.
func (l *line) record() (*Record, error) {
	at, err := time.Parse(time.RFC3339Nano, l.Time)
	if err != nil {
		return nil, errNoRecord
	}
	switch {
	case l.Decision != "allow" && l.Decision != "deny" && l.Decision != "would_deny", l.Bytes < 0:
		return nil, errNoRecord
	}
	_, reduced := l.Looked["sha256"]
	return &Record{
		Reduced: reduced, Time: at, Decision: l.Decision, Reference: l.Reference, Action: l.Action, Upstream: l.Upstream, Object: l.Object,
		Caller: l.Caller, Name: l.Name, Client: l.Client, IP: l.IP, Why: l.Why, Reasons: l.Reasons, Observed: l.Observed, Errors: l.Errors,
		Policies: l.Policies, Principal: l.Principal, Earlier: l.Earlier, Looked: l.looked(), Arguments: l.arguments(), Bytes: l.Bytes, SHA256: l.SHA256,
	}, nil
}

// looked are the values, nil where only a digest of all of them was written.
func (l *line) looked() map[string]json.RawMessage {
	if _, is := l.Looked["sha256"]; is {
		return nil
	}
	return l.Looked
}

func (l *line) arguments() json.RawMessage {
	if string(l.Arguments) == "null" {
		return nil
	}
	return l.Arguments
}

// ID is what people find the record by: its reference, or else its time.
func (r *Record) ID() string {
	if r.Reference != "" {
		return r.Reference
	}
	return r.Time.UTC().Format(timeFormat)
}

// timeFormat is that of the file.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Place is where the record is, such as audit.jsonl:12.
func (r *Record) Place() string { return r.File + ":" + strconv.Itoa(r.Line) }

// A Verdict is what policies said of a request.
type Verdict uint8

// The verdicts.
const (
	Unasked Verdict = iota // the request was refused before, or for something else
	Allowed
	Denied // also where that was only observed
)

// String is allow, deny or unasked.
func (v Verdict) String() string { return [...]string{"unasked", "allow", "deny"}[v] }

// Verdict is what the policies that were in effect said.
func (r *Record) Verdict() Verdict {
	switch {
	case r.Decision == "allow":
		return Allowed
	case byPolicies(r.Why):
		return Denied
	}
	return Unasked
}

// hidden is why something is denied that the caller cannot see. Nothing is known of the
// arguments then.
const hidden = "hidden from the caller"

// byPolicies reports whether that is why policies deny something.
func byPolicies(why string) bool {
	switch why {
	case "no policy permits it", "a policy forbids it", "a forbid cannot be evaluated", "a template is no resource", "the URI has a simpler spelling", hidden:
		return true
	}
	for _, begin := range []string{"the caller's groups are not known: ", "policies cannot be asked: ", "stronger authentication is missing ("} {
		if strings.HasPrefix(why, begin) {
			return true
		}
	}
	return false
}
