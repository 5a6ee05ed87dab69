package pages

import (
	"net/http"
	"time"
)

// A MePage is what the gateway knows about a person who is signed in.
type MePage struct {
	Gateway  string // the host that the person knows it by
	Name     string // of the person; "" if it is not known
	Person   string // the principal, as policies name it
	Provider string // where they signed in

	Groups    []string // by name
	GroupsWhy string   // why they are not known, or not all, as in SignedInPage
	Roles     []string

	Tools    []Tool // in any order, those of one upstream in the order in which they are shown
	ToolsWhy string // why there are none, as in SignedInPage

	Denials  []Denial  // the most recent first
	Sessions []Session // the person's own, the most important first

	// The forms are sent by POST with the field "token" as given. Those of
	// RevokeAction also have "session", which is the ID of one or AllSessions.
	RevokeAction, SignOutAction, Token string
	FormTargets                        []string // see ConsentPage

	Now time.Time // from which times are told; zero is now
}

// AllSessions is the value of the field "session" that means each of them.
const AllSessions = "*"

// A Denial is a call that policy did not allow.
type Denial struct {
	Time      time.Time // zero is not shown
	Tool      string
	Why       string
	Reference string // with which the operator finds it
}

// A Session is a sign-in that is good until it ends or is revoked.
type Session struct {
	ID         string
	Client     string // the name of the program; "" if it has none
	ClientHost string // where it comes from; "" if it registered itself
	// Created is when the person signed in, Refreshed when the program last renewed
	// its access, and Expires when it ends unless it does so again. Zero times are
	// not shown.
	Created, Refreshed, Expires time.Time
	This                        bool // that in which the page is seen
}

const (
	// maxLatest is how many denials are shown at once, and maxDenials how many with
	// those behind a click.
	maxLatest, maxDenials = 3, 20
	// maxRecent and maxSessions are the same for sessions.
	maxRecent, maxSessions = 8, 100
)

var mePage = parse("me.html")

// Me shows a person what the gateway knows about them. Sessions can be revoked
// on it.
func Me(w http.ResponseWriter, m MePage) {
	if m.Now.IsZero() {
		m.Now = time.Now()
	}
	view := meView{MePage: m, GroupList: listOf(m.Groups, maxOpen), RoleList: listOf(m.Roles, maxOpen), Shelves: shelvesOf(m.Tools)}
	denials := m.Denials[:min(len(m.Denials), maxDenials)]
	latest := min(len(denials), maxLatest)
	view.Latest, view.Older = denials[:latest], denials[latest:]
	sessions := m.Sessions[:min(len(m.Sessions), maxSessions)]
	recent := min(len(sessions), maxRecent)
	view.Recent, view.Others, view.MoreSessions = sessions[:recent], sessions[recent:], len(m.Sessions)-len(sessions)
	response{page: mePage, data: view, forms: formSources(m.FormTargets), apart: true}.write(w)
}

type meView struct {
	MePage
	GroupList, RoleList list
	Shelves             []*shelf
	Latest, Older       []Denial
	Recent, Others      []Session
	MoreSessions        int
}

// A denialRow is a denial as seen from when the page is written.
type denialRow struct {
	Denial
	At moment
}

// DenialRow tells of a denial.
func (v meView) DenialRow(d Denial) denialRow { return denialRow{d, v.At(d.Time)} }

// A sessionRow is a session with what its form has.
type sessionRow struct {
	Session
	Page meView
}

// SessionRow tells of a session.
func (v meView) SessionRow(s Session) sessionRow { return sessionRow{s, v} }

// At tells a time as seen from when the page is written.
func (v meView) At(t time.Time) moment { return momentAt(t, v.Now) }

// All is the value that means each session.
func (v meView) All() string { return AllSessions }

// OpenShelf says whether the tools of an upstream are shown without a click.
func (v meView) OpenShelf() bool { return len(v.Tools) <= maxOpen }
