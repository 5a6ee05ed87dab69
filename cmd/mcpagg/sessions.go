package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/oauth/broker"
)

// A refusal is why the gateway has not done what an operator asked for.
type refusal struct {
	Error string `json:"error"`
}

// brokered serves what only a gateway can do that signs people in itself.
func (o *operated) brokered(serve func(*broker.State, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		state := o.signIns.broker()
		if state == nil {
			writeJSON(w, http.StatusConflict, refusal{"this gateway does not sign people in itself, so it knows no sessions and has no keys: it has no auth block in the mode broker"})
			return
		}
		serve(state, w, r)
	}
}

// A session is one sign-in of a person with a client.
type session struct {
	ID         string    `json:"id"`
	Person     string    `json:"person"` // as policies name them
	Name       string    `json:"name"`
	Provider   string    `json:"provider"` // name of the auth block
	Client     string    `json:"client"`   // its client id
	ClientName string    `json:"client_name"`
	SignedIn   time.Time `json:"signed_in"`
	Refreshed  time.Time `json:"refreshed"`
	Ends       time.Time `json:"ends"`
}

// A sessionMatch says which sessions are meant: those that match all that is given.
// All must be true where nothing is.
type sessionMatch struct {
	IDs    []string `json:"ids,omitempty"`
	Person string   `json:"person,omitempty"`
	Client string   `json:"client,omitempty"`
	All    bool     `json:"all,omitempty"`
}

// of reports whether a session is meant; see [broker.Match] for whose names count.
func (m *sessionMatch) of(s broker.Session) bool {
	return m.broker().Matches(s) && (len(m.IDs) == 0 || slices.Contains(m.IDs, s.ID))
}

func (m *sessionMatch) broker() broker.Match { return broker.Match{Person: m.Person, Client: m.Client} }

// String says which sessions are meant.
func (m *sessionMatch) String() string {
	var all []string
	if len(m.IDs) > 0 {
		all = append(all, "ids "+strings.Join(m.IDs, " "))
	}
	if m.Person != "" {
		all = append(all, "person "+m.Person)
	}
	if m.Client != "" {
		all = append(all, "client "+m.Client)
	}
	return cmp.Or(strings.Join(all, ", "), "all")
}

// in are the sessions that are meant.
func (m *sessionMatch) in(state *broker.State) []broker.Session {
	return slices.DeleteFunc(slices.Clone(state.Sessions()), func(s broker.Session) bool { return !m.of(s) })
}

func listSessions(state *broker.State, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	m := sessionMatch{Person: q.Get("person"), Client: q.Get("client")}
	sessions := []session{}
	for _, s := range m.in(state) {
		sessions = append(sessions, session{
			ID: s.ID, Person: s.Person, Name: s.Name, Provider: s.Provider, Client: s.Client, ClientName: s.ClientName,
			SignedIn: s.Created, Refreshed: s.Refreshed, Ends: s.Expires,
		})
	}
	writeJSON(w, http.StatusOK, sessions)
}

// A revocation is what came of ending sessions.
type revocation struct {
	Revoked int `json:"revoked"`
	// Unknown are ids that no session has.
	Unknown []string `json:"unknown,omitempty"`
}

func (o *operated) revokeSessions(state *broker.State, w http.ResponseWriter, r *http.Request) {
	var m sessionMatch
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || m.All == (len(m.IDs) > 0 || m.Person != "" || m.Client != "") {
		writeJSON(w, http.StatusBadRequest, refusal{"which sessions are to end? Name ids, a person, a client or all"})
		return
	}
	result, err := m.revoke(r.Context(), state)
	o.audit.act(audit.Record{Act: "revoke", Who: who(r), What: m.String(), New: count(result.Revoked, "session") + " ended", Error: textOf(err)})
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, refusal{"ending sessions: " + err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, result)
}

// revoke ends the sessions that are meant. A person who is meant is signed out of
// their own page as well.
func (m *sessionMatch) revoke(ctx context.Context, state *broker.State) (result revocation, err error) {
	if len(m.IDs) == 0 {
		result.Revoked, err = state.Revoke(ctx, m.broker())
		return result, err
	}
	meant := m.in(state)
	for _, s := range meant {
		n, err := state.Revoke(ctx, broker.Match{ID: s.ID})
		if err != nil {
			return result, err
		}
		result.Revoked += n
	}
	for _, id := range m.IDs {
		if !slices.ContainsFunc(meant, func(s broker.Session) bool { return s.ID == id }) {
			result.Unknown = append(result.Unknown, id)
		}
	}
	return result, nil
}

// A rotation is what came of making new keys.
type rotation struct {
	// Until is how long tokens count that the key before has signed.
	Until time.Time `json:"until"`
}

func (o *operated) rotateKeys(state *broker.State, w http.ResponseWriter, r *http.Request) {
	old := state.Status().KeyID
	until, err := state.RotateKeys(r.Context())
	o.audit.act(audit.Record{Act: "rotate_keys", Who: who(r), What: "keys", Old: old, New: state.Status().KeyID, Error: textOf(err)})
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, refusal{"making new keys: " + err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, rotation{until})
}
