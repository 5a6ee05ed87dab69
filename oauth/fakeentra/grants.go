package fakeentra

import (
	"time"
)

const (
	codeLifetime    = 10 * time.Minute
	refreshLifetime = 90 * 24 * time.Hour
	spaLifetime     = 24 * time.Hour
	flowLifetime    = time.Hour
	sessionLifetime = 24 * time.Hour
	// maxKept bounds how much of each kind is kept; the oldest is dropped.
	maxKept = 10000
)

// A session is a browser in which somebody has signed in.
type session struct {
	id      string // the claim sid
	user    string
	signed  time.Time
	mfa     bool
	claims  string // the claims parameter that they signed in with
	revoked int    // how often the person's sessions had been revoked before it
}

// A grant is what an authorization code or a refresh token stands for.
type grant struct {
	tenant, user, client string
	redirect, platform   string
	scope                string // as it was asked for
	nonce                string
	challenge, method    string // of PKCE
	contexts             contexts
	session              session
	issued               time.Time
	expires              time.Time
	code                 bool // it is a code, and no refresh token
	redeemed             bool
}

// A kept is things by their secret names, of which there are not too many.
type kept[T any] struct {
	byName map[string]T
	order  []string
}

func newKept[T any]() *kept[T] { return &kept[T]{byName: map[string]T{}} }

func (k *kept[T]) add(name string, value T) {
	if len(k.order) >= maxKept {
		delete(k.byName, k.order[0])
		k.order = k.order[1:]
	}
	k.byName[name] = value
	k.order = append(k.order, name)
}

// grants are all that has been handed out.
type grants struct {
	flows    *kept[*flow]
	sessions *kept[session]
	codes    *kept[*grant]
	refresh  *kept[*grant]
	used     *kept[time.Time] // ids of assertions, and when they expire
}

func newGrants() grants {
	return grants{newKept[*flow](), newKept[session](), newKept[*grant](), newKept[*grant](), newKept[time.Time]()}
}
