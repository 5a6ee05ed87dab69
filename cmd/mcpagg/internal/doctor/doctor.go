// Package doctor finds out what is wrong with how people sign in, and what to do
// about it. It does what clients do, with the configuration of a gateway that
// need not run:
//
//	report := doctor.Examine(ctx, doctor.Options{SignIn: opts, Warnings: warnings})
//
// Each check is a short function of the list in this file. It also knows the
// clients: what has to be pasted into each, and where it has people sent back to
// ([Clients]).
package doctor

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
)

// Options say what is examined.
type Options struct {
	// SignIn is how callers sign in, as the gateway would have it; at least one
	// provider. Its HTTP and Log are not used.
	SignIn oauth.Options
	// Broker says how the gateway signs people in itself; nil if it does not.
	Broker *Broker
	// New makes who says who is calling of SignIn; nil means oauth.New alone. What it
	// makes is served to nobody.
	New func(oauth.Options) *oauth.SignIn
	// Warnings are those of the configuration.
	Warnings []string
	// Client is the one whose redirect URIs are tried; nil for all clients.
	Client *Client
	// Token is one to look at; "" for none. It is in no report.
	Token string
	// HTTP is used for all requests; nil means a client of its own. It must not
	// follow redirects.
	HTTP *http.Client
}

// A Verdict says what a finding means.
type Verdict string

// The verdicts. With a Problem, somebody cannot sign in.
const (
	OK      Verdict = "ok"
	Warning Verdict = "warning"
	Problem Verdict = "problem"
)

// A Finding is what came of looking at one thing.
type Finding struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	// Seen is what there was to see. It may hold text of a provider or token.
	Seen string `json:"seen"`
	// Remedy is what to do; "" if nothing is.
	Remedy string `json:"remedy,omitempty"`
}

// A Report is all findings, in the order of the checks.
type Report struct {
	Findings []Finding `json:"findings"`
	// Token is what the token says, in the order for reading; nil without one.
	Token []Fact `json:"token,omitempty"`
}

// Count is how many findings have a verdict.
func (r *Report) Count(v Verdict) int {
	n := 0
	for _, f := range r.Findings {
		if f.Verdict == v {
			n++
		}
	}
	return n
}

// A check looks at one thing. Its findings are named after it.
type check struct {
	name string
	look func(*examination, context.Context) []Finding
}

var checks = []check{
	{"configuration", (*examination).configuration},
	{"metadata", (*examination).metadata},
	{"keys", (*examination).keys},
	{"clock", (*examination).clock},
	{"clients", (*examination).registration},
	{"gateway", (*examination).gateway},
	{"sign-in", (*examination).authorize},
	{"credential", (*examination).credential},
	{"refresh", (*examination).refresh},
	{"store", (*examination).store},
	{"groups", (*examination).groups},
	{"token", (*examination).token},
}

// An examination is what the checks share.
type examination struct {
	opts     Options
	http     *http.Client
	observed *observer     // what providers answered
	signIn   *oauth.SignIn // as the gateway would have it
	facts    []Fact
}

const (
	// requestTimeout bounds one request.
	requestTimeout = 10 * time.Second
	// keysTimeout is how long providers have for their metadata and keys.
	keysTimeout = 2 * requestTimeout
)

// Examine looks at everything. It ends early with ctx.
func Examine(ctx context.Context, opts Options) *Report {
	x := newExamination(opts)
	ctx, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		x.signIn.Run(ctx)
	}()
	defer func() { stop(); <-stopped }()
	x.awaitKeys(ctx)
	report := &Report{Findings: []Finding{}}
	for _, c := range checks {
		for _, f := range c.look(x, ctx) {
			f.Check = c.name
			report.Findings = append(report.Findings, f)
		}
	}
	report.Token = x.facts
	return report
}

func newExamination(opts Options) *examination {
	x := &examination{opts: opts, http: opts.HTTP}
	if x.http == nil {
		x.http = &http.Client{Timeout: requestTimeout}
	}
	x.observed = newObserver(x.http.Transport)
	x.http = &http.Client{
		Transport: x.observed, Timeout: x.http.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	opts.SignIn.HTTP, opts.SignIn.Log = x.http, slog.New(slog.DiscardHandler)
	if opts.New == nil {
		opts.New = func(o oauth.Options) *oauth.SignIn { return oauth.New(o, nil) }
	}
	x.signIn = opts.New(opts.SignIn)
	return x
}

// awaitKeys waits until every provider has answered, or will not.
func (x *examination) awaitKeys(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !x.tried() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

func (x *examination) tried() bool {
	for _, s := range x.signIn.Status() {
		if !s.Tried {
			return false
		}
	}
	return true
}
