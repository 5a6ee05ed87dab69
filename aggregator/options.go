package aggregator

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/aggregator/labels"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/lock"
	"github.com/mcpagg/mcpagg/upstream"
)

// Options describe a [Gateway].
type Options struct {
	// Version is the gateway's own version, told to clients and upstreams;
	// "" means "dev".
	Version string
	// Upstreams are the MCP servers behind the gateway, in the order of the
	// configuration. Where two would publish one name, the earlier one wins.
	Upstreams []Upstream
	// Names says how published names are made.
	Names Names
	// Limits bound what a client may use.
	Limits Limits
	// ContainerMemory bounds what the containers of all upstreams may use
	// together, in bytes: the sum of their limits. The one that was idle for
	// longest gives way to the next. 0 means no bound.
	ContainerMemory int64
	// ContainerDir is where the sockets are that containers share with the gateway;
	// "" means a folder for temporary files. A reload does not change it.
	ContainerDir string

	// PublicURL is where clients reach the gateway, or nil. Its host is a
	// valid Host of requests.
	PublicURL *url.URL
	// AllowedOrigins are the web origins, such as "https://inspector.example",
	// whose pages may use the gateway. Requests with another Origin are
	// refused, unless it is the gateway's own.
	AllowedOrigins []string
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	// Authenticate says who sends a request, or how to refuse it; nil means that
	// everybody is anonymous.
	Authenticate func(*http.Request) (*oauth.Caller, *oauth.Refusal)
	// SignIn serves what clients need to sign in, at /.well-known, /oauth2 and
	// their other paths; nil if nobody does.
	SignIn http.Handler
	// StepUp makes the next sign-in of a caller, who has a session, satisfy an
	// authentication context such as "c1", and ends the session: Authenticate
	// refuses its token from then on. nil means that nobody can be had to sign in
	// again.
	StepUp func(ctx context.Context, c *oauth.Caller, authContext string) error
	// Audit gets a record of each decision; nil means that none is kept. Whoever
	// opened it closes it, once the gateway has stopped.
	Audit *audit.Log
	// Policy says what each caller sees and may do; nil allows everything.
	Policy *policy.Engine

	// Brake is what the operator has stopped, Labels what is remembered of callers
	// for policies; nil for nothing. They outlive a reload, which does not change
	// them.
	Brake  *brake.Brake
	Labels *labels.Labels

	// Log must not be nil.
	Log *slog.Logger
}

// Names says how published names are made of original ones.
type Names struct {
	// Max is the longest published name in characters, 16 or more; 0 means 50.
	Max int
	// Separator stands between prefix and original name; "" means "_".
	Separator string
}

// Limits bound what clients may use. The zero value holds the defaults.
type Limits struct {
	// RequestBytes bounds the body of one request; 0 means 4 MiB.
	RequestBytes int64
	// Sessions bounds the legacy sessions of all callers; 0 means 20,000.
	Sessions int
	// SessionsPerUser bounds the legacy sessions of one caller; 0 means no
	// bound. Without sign-in, everybody is one caller.
	SessionsPerUser int
	// SessionIdle ends a legacy session that neither sends a request nor
	// keeps a stream open for so long; 0 means 30 min.
	SessionIdle time.Duration
	// CallsPerMinute bounds the tool calls of one caller; 0 means no bound.
	// Without sign-in, everybody is one caller.
	CallsPerMinute int
}

// An Upstream is one MCP server behind the gateway and how it is published.
type Upstream struct {
	upstream.Options

	// Prefix is put before every tool and prompt name; "" adds none, and leaves
	// resource URIs alone too, whose scheme otherwise gets the label. The
	// configuration's default is the label.
	Prefix string
	// Tags group upstreams.
	Tags []string
	// Tools says which tools are published, and how.
	Tools ToolRules
	// Isolation says who shares a connection; "" is session for legacy HTTP
	// servers, user for processes where callers sign in, and else shared.
	Isolation Isolation
	// MaxInstances bounds the connections, or processes, that sessions or
	// callers have of their own: the one that was idle for longest gives way. 0
	// means 50 processes, or 1,000 connections.
	MaxInstances int
	// IdleTimeout ends one of them that nobody uses for so long; 0 means 15 min.
	IdleTimeout time.Duration
	// Requests are the kinds of requests that the upstream may send to
	// clients: "sampling", "elicitation", "roots". nil means elicitation and
	// roots.
	Requests []string

	// TrustHints has policies believe the annotations of tools that nobody reviewed.
	TrustHints bool
	// Pins are the tools as they were reviewed, by original name; nil means that
	// none was. A tool that is not in it then is one that has drifted.
	Pins map[string]lock.Pin
	// Drift says what becomes of tools that are not as they were reviewed; "" is
	// [lock.Distrust].
	Drift lock.Drift
	// Observe lets through what policies deny here, and says so in the log.
	Observe bool
	// ExtraArguments lets clients send arguments that a tool's input schema does
	// not declare, even where policies look at its arguments: they do not see those.
	ExtraArguments bool
}

// Isolation says who shares a connection to an upstream.
type Isolation string

const (
	// Shared is one connection for everybody. A legacy upstream cannot ask
	// clients anything then, since nobody could tell whom it means.
	Shared Isolation = "shared"
	// PerUser is a connection of its own for each caller.
	PerUser Isolation = "user"
	// PerSession is a connection of its own for each session of a legacy
	// client. Modern clients have no sessions: those of one caller share one.
	PerSession Isolation = "session"
)

// ToolRules select and change an upstream's tools by original name.
type ToolRules struct {
	// Allow and Deny are glob patterns ("*" is any text) of original names. A
	// tool is published if it matches Allow and not Deny. A nil Allow allows all.
	Allow, Deny []string
	// Overrides change single tools, by original name.
	Overrides map[string]Override
}

// An Override changes how one tool is published and called. A zero field
// changes nothing.
type Override struct {
	// Name replaces the original name in the published one.
	Name string
	// Description replaces the tool's description.
	Description string
	// Annotations replace single annotations, by their MCP names such as
	// "destructiveHint".
	Annotations map[string]bool
	// Require makes arguments mandatory.
	Require []string
	// Set fixes arguments: clients neither see nor send them, and the upstream
	// always gets these JSON values.
	Set map[string]json.RawMessage
	// Labels mark the caller from the moment a call is sent: policies see them in
	// context.session.labels of the caller's later calls with the same client.
	Labels []string
}
