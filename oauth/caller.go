package oauth

import (
	"encoding/json"
	"time"
)

// A Caller is the person or workload behind a request, as one verified token
// tells it. It never changes, so that many requests may share it.
type Caller struct {
	// ID is the principal, unique and stable: `User::"<tenant>/<object id>"` with
	// Entra, `User::"<issuer>#<subject>"` with other providers, and Workload
	// instead of User for a token of a program that no person is behind.
	ID string
	// Workload says that it is such a program.
	Workload bool

	// Provider is the name of the auth block whose token this is.
	Provider string
	// Issuer is the token's iss, Tenant its Entra tenant, or "". Subject is
	// the object id with Entra and else the token's sub.
	Issuer, Tenant, Subject string
	// Name is what the person is called. It can be changed by themselves, so it is
	// for people to read, and nothing may be decided by it.
	Name string

	Groups Groups
	Roles  []string // app roles; sorted
	Scopes []string // short names, such as mcp.access; sorted
	Client Client
	// Guest says that the person is at home in another tenant.
	Guest bool

	// AuthContexts are the authentication contexts that were satisfied (acrs), and
	// AuthMethods how the person proved who they are (amr). AuthTime is when they
	// did; zero if the token does not say.
	AuthContexts, AuthMethods []string
	AuthTime                  time.Time

	// Expires is when the token ends, with the allowed skew of clocks.
	Expires time.Time
	// Session is the id of the gateway's own session that the token is of, and Ended
	// is closed when that ends before the token does; "" and nil if there is none.
	Session string
	Ended   <-chan struct{}
	// Claims is the payload of the token: one JSON object without duplicate
	// members. It holds what people call private; it must not be logged.
	Claims json.RawMessage
}

// Anonymous is every caller while the gateway asks nobody to sign in.
var Anonymous = &Caller{ID: `User::"anonymous"`}

// Groups are the groups that a caller is a member of, as far as they are known.
type Groups struct {
	// IDs are the groups' ids, sorted. Names are the same in the same order, each
	// by its alias in the configuration, or else by its id.
	IDs, Names []string
	// Complete says that these are all of them. If they are not, nothing follows
	// from a group that is missing, and Why says why.
	Complete bool
	Why      string
	// Unavailable says that the directory has an answer that could not be had: the
	// groups are too many for the token, or the token is too old for its
	// list to count, and Graph was not there to ask.
	Unavailable bool
	// Unresolved are aliases whose id the directory does not know: whether the
	// caller is in one of them is not known.
	Unresolved []string
}

// A Client is the program that a caller uses, as the token's issuer knows it.
type Client struct {
	ID    string // its client id; "" if the token does not say
	Alias string // of the app block with that id; "" if there is none
}
