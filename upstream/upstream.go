// Package upstream keeps the gateway connected to one MCP server behind it.
//
// An [Upstream] is built from [Options], runs until its context ends, and
// meanwhile holds the server's tools, prompts, resources and templates as the
// raw JSON the server sent ([Upstream.Listing]) and sends it requests
// ([Upstream.Call]):
//
//	u := upstream.New(upstream.Options{Name: "files", Command: []string{"mcp-server-files", "/srv"}})
//	go u.Run(ctx)
//	<-u.Attempted()
//	result, err := u.Call(ctx, upstream.Call{Method: "tools/call", Params: params})
//
// One call, from the gateway to the server and back:
//
//	Call      (upstream.go)         waits for the connection, bounds the call, repeats it where that is safe,
//	                                names the upstream in errors
//	call      (conn.go)             gives the request an id and the _meta of this hop; cancels it if the caller leaves
//	roundTrip (http.go, duplex.go)  sends it, passes on what belongs to it, returns its answer
//
// and one connection: Run (run.go) dials (dial.go) a process (stdio.go,
// process.go) or an HTTP server (http.go, oldsse.go), fetches its lists
// (list.go), and hears of their changes and of updated resources (listen.go,
// subscribe.go). A process is started anew when a secret in its environment
// changes (rotate.go). What a server asks in turn goes to the call it belongs to,
// if that can be told (serve.go).
//
// A container (container.go) is a process of its engine's program (engine.go),
// or an HTTP server in one (host.go). One that runs is a box (box.go), which gets
// its environment and its pipes past the engine (entrance.go) and reaches only
// what is listed (outlet.go). What all of them share is in containers.go.
//
// A call that fails without an answer makes the connection suspected, and one
// that is silent for long as well. The server is then asked something small
// (supervise.go). If it answers, only that call has failed; if not, the
// connection is given up and dialled again, with growing pauses or when the
// next call wants it, and until then calls fail at once and say why. The
// listing stays for a while ([Options.ToolsGrace]). [Status] tells how it goes.
//
// Results, errors and arguments pass through undecoded. The package speaks the
// protocol itself instead of through the SDK's client, which decodes every
// result into structs that lose fields, delivers an answer before the
// notifications that came ahead of it, and cannot tell which call a message of
// the server belongs to.
package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// Protocol says which revision of MCP to speak with an upstream.
type Protocol string

const (
	// Auto asks with server/discover first and falls back to initialize.
	Auto Protocol = "auto"
	// Legacy is the newest revision with the initialize handshake. Over HTTP
	// it is Streamable HTTP.
	Legacy Protocol = "2025-11-25"
	// Modern is the stateless revision.
	Modern Protocol = "2026-07-28"
	// SSE is the HTTP+SSE transport of revision 2024-11-05.
	SSE Protocol = "sse"
)

// A Secret yields a value that must never be printed, such as a token. It is
// asked each time the value is needed, so that rotation comes free.
type Secret func(context.Context) (string, error)

// Options describe one MCP server. Exactly one of Command, Container and URL is
// set.
type Options struct {
	// Name is the upstream's label, [a-z][a-z0-9-]*. It appears in logs and errors.
	Name string
	// Fingerprint, if not "", is equal for options that make the same
	// connection. It reveals nothing of the secrets.
	Fingerprint string

	// Command is a program and its arguments, to speak MCP with over stdio.
	Command []string
	// Container is an image to run as the server.
	Container *Container
	// Containers is what the container has in common with others; nil means
	// nothing.
	Containers *Containers
	// Env is added to the process's environment, which otherwise holds only
	// the gateway's own PATH, HOME and LANG, or is the container's. Every minute
	// the values are asked again; when one has changed, the process is started
	// anew.
	Env map[string]Secret
	// Dir is the process's working directory; "" is the gateway's own.
	Dir string

	// URL is the endpoint of an HTTP upstream.
	URL *url.URL
	// Headers are sent with every HTTP request, also to a container. "Host"
	// replaces the URL's host.
	Headers map[string]Secret
	// Token, if not nil, is sent as "Authorization: Bearer".
	Token Secret

	// Protocol is the revision to speak; "" means Auto.
	Protocol Protocol
	// ConnectTimeout bounds one attempt to connect and list, including the
	// probe for the era; 0 means 10 s.
	ConnectTimeout time.Duration
	// CallTimeout bounds one request; 0 means 60 s.
	CallTimeout time.Duration
	// ToolsGrace is how long the listing of a lost upstream stays; 0 means 10 min.
	ToolsGrace time.Duration
	// MaxMessageBytes bounds one message from the upstream; 0 means 16 MiB.
	MaxMessageBytes int

	// ClientName and ClientVersion are how the gateway introduces itself;
	// "" means "mcpagg" and "dev".
	ClientName, ClientVersion string
	// ClientInfo, if not nil, is an object that replaces both.
	ClientInfo json.RawMessage
	// ClientCapabilities are what the handshake with a legacy server says the
	// client can do, an object; nil means {}.
	ClientCapabilities json.RawMessage

	// Request, if not nil, serves the requests of a legacy server that belong
	// to no call or to one that cannot be told: all that do not come on a
	// call's own stream. It is for connections that belong to one client. See
	// Call.Request; its context ends with the connection, and no call's time
	// runs meanwhile. The server is answered with -32601 where it is nil.
	Request func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error)
	// Notify, if not nil, gets the notifications that no call takes, except
	// those of changed lists: in the order of each stream, and before the
	// answer that follows on the same stream is returned by Call. Calls may
	// overlap where there are several streams. It must not block, since it
	// holds up the stream. Params are as they came, but for the subscription's
	// id in _meta. Progress that no call takes is dropped.
	Notify func(method string, params json.RawMessage)

	// CallsOnly connects for calls alone: nothing is listed when it does, and
	// later only what the server says has changed; the listing holds no
	// other definitions, and 1 MiB of a kind at most. So a modern server over
	// HTTP gets no Mcp-Param headers, which come from the tools' definitions.
	CallsOnly bool

	// Private says that all calls are of one person's clients, as Request does.
	// What a legacy server asks or logs over stdio and HTTP+SSE while only one
	// call is under way then belongs to that call.
	Private bool

	// Subscriptions are resources that are subscribed to as if by Subscribe, once
	// there is a connection.
	Subscriptions []string

	// Tally counts the calls; nil means one of the upstream's own. Upstreams that
	// are connections to the same server may have one together.
	Tally *Tally

	// Changed, if not nil, is called after the value of Listing changed. Calls
	// do not overlap. It must not block.
	Changed func()
	// Log must not be nil.
	Log *slog.Logger
}

// An Era is one of the two ways to speak MCP.
type Era string

const (
	// LegacyEra is every revision with the initialize handshake, up to 2025-11-25.
	LegacyEra Era = "legacy"
	// ModernEra is revision 2026-07-28 and later: no handshake, no session.
	ModernEra Era = "modern"
)

// A Listing is everything an upstream offers, as raw JSON. It never changes;
// a newer one replaces it.
type Listing struct {
	Era          Era
	Version      string          // negotiated protocol revision
	Versions     []string        // all revisions that a modern server says it speaks
	ServerInfo   json.RawMessage // name and version, an object, or nil
	Capabilities json.RawMessage // an object, or nil
	Instructions string

	// One element per definition, all pages joined, in the upstream's order.
	// nil where the upstream lacks the capability.
	Tools, Prompts, Resources, Templates []json.RawMessage

	// TTL says for how long the server lets its definitions be used without
	// listing them anew: the shortest time of all pages, 0 for not at all or
	// unknown (MCP 2026-07-28, "Caching").
	TTL struct{ Tools, Prompts, Resources, Templates time.Duration }
}

// Declares reports whether the server has a capability, such as "logging".
func (l *Listing) Declares(capability string) bool { return l.declares(capability, "") }

// SpeaksLegacy reports whether the server has a revision of the legacy era.
func (l *Listing) SpeaksLegacy() bool {
	return l.Era == LegacyEra || slices.ContainsFunc(l.Versions, func(v string) bool { return slices.Contains(legacyVersions, v) })
}

// A State is where an upstream is in its life.
type State string

const (
	Connecting State = "connecting" // not connected yet, or trying again
	Connected  State = "connected"
	Lost       State = "lost" // was connected, is not, and is being dialled again
	Stopped    State = "stopped"
)

// Status is what an operator wants to know about an upstream.
type Status struct {
	State     State
	Since     time.Time // when State was entered
	LastError string    // why the last attempt or connection failed; "" if none has
	Doing     string    // what takes long before it can connect, such as pulling an image
	Era       Era       // "" before the first connection
	Connects  int       // successful connections so far
	Restarts  int       // those after the first

	// NextAttempt is when the server is dialled again. It is zero while
	// connected, while it is being dialled, and once stopped.
	NextAttempt time.Time

	// What follows is of Options.Tally: the calls of clients, not the gateway's
	// own (see Call.Own).

	// InFlight is how many are under way.
	InFlight int
	// Calls is how many were begun. Failed of them got no answer of the server,
	// be it that the connection failed or that the time was over; those whose
	// caller left are not among them, and an error of JSON-RPC is an answer.
	Calls, Failed uint64
	// Latency is how long those took that were answered, from the beginning of
	// Call: with the wait for a connection, and for what the server asked in turn.
	Latency Latency
	// EgressAllowed and EgressRefused are how many connections containers whose
	// network is Egress have made, and how many they asked for in vain.
	EgressAllowed, EgressRefused uint64
}

// A Call is one request to an upstream.
type Call struct {
	// Method is an MCP method that clients may send, such as tools/call.
	Method string
	// Params is the request's params, a JSON object, or nil. It goes out byte
	// for byte except for _meta, whose keys of the hop (progressToken,
	// io.modelcontextprotocol/protocolVersion, …/clientInfo,
	// …/clientCapabilities, …/logLevel) are dropped or replaced.
	Params json.RawMessage
	// ClientInfo and ClientCapabilities are what a modern upstream is told of
	// the client; nil means the gateway's own name and no capabilities. A
	// legacy upstream is told nothing here.
	ClientInfo, ClientCapabilities json.RawMessage
	// Notify, if not nil, gets the notifications that belong to this call
	// (progress, log messages on the call's own stream), in the order in which
	// they came and all before Call returns. Params are as in Options.Notify.
	Notify func(method string, params json.RawMessage)
	// Progress asks the server for progress, if there is a Notify.
	Progress bool
	// LogLevel, if not nil, asks a modern server for log messages of at least
	// this level, a JSON string. Over stdio they do not say which call they
	// belong to, and get lost while several calls ask for some.
	LogLevel json.RawMessage
	// Request, if not nil, serves the requests of a legacy server that belong
	// to this call (elicitation/create and others): over Streamable HTTP those
	// on the call's own stream, over stdio and HTTP+SSE those that come while
	// no other call is under way, if the upstream is Private. What it returns goes to the server as it is,
	// an error if that is a *jsonrpc.Error. It runs on a goroutine of its own,
	// which CallTimeout does not count, and must return when ctx ends: with the
	// call, the connection, or when the server cancels its request, which is a
	// *Cancelled in the context's cause. Where it is
	// nil, Options.Request serves over stdio and HTTP+SSE, and else the server
	// is answered with -32601.
	Request func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error)

	// Own says that no client has sent the request, so that nothing the server
	// sends meanwhile belongs to it.
	Own bool
	// Idempotent says that it does no harm if the request is served twice. It
	// is repeated, once, if the connection broke before the answer came and
	// the server asked nothing meanwhile.
	Idempotent bool
	// Era, if not nil, is set to that of the connection the request was sent on,
	// once there is one.
	Era *Era

	deadline *deadline // set by Upstream.Call; nil in a request of the connection's own
}

// An Upstream keeps the gateway connected to one MCP server. It is safe for
// concurrent use.
type Upstream struct {
	// Set by New, never changed.
	opts       Options // with the defaults filled in
	secrets    *vault
	rotation   *rotation // of Options.Env
	clientInfo json.RawMessage
	endpoint   *endpoint // nil for a process and a container
	attempted  chan struct{}
	attempt    sync.Once       // closes attempted
	life       context.Context // until Run returns
	end        context.CancelFunc
	jitter     func(limit time.Duration) time.Duration
	pace       pace

	listing   atomic.Pointer[Listing]
	deadlines deadlines // of the calls under way

	subscriptions subscriptions // of the callers, whatever the connection

	// worked is the protocol of the last connection, where it is not
	// configured; "" for unknown. Only Run's goroutine uses it.
	worked Protocol
	// image is what is known of the container's. Only Run's goroutine uses it.
	image imageFacts
	// unanswered says that the process being dialled did not answer the
	// question for its era in time. Used by the goroutine of Run only.
	unanswered bool

	// What the server was seen to do, on any connection: answer while a call is
	// under way, and ping.
	answersWhileBusy, answersPing atomic.Bool

	publishing sync.Mutex // held while listing is replaced and Changed called

	mu      sync.Mutex
	conn    *conn         // guarded by mu; nil while not connected
	status  Status        // guarded by mu
	awaited bool          // guarded by mu: calls wait for the attempt that is under way
	dialing bool          // guarded by mu: an attempt is under way, or wanted
	ended   time.Time     // guarded by mu: when the last attempt ended
	moved   chan struct{} // guarded by mu; closed and replaced when any of these changes
	wanted  chan struct{} // holds a token when a call wants an attempt
}

// New builds an upstream. It connects to nothing before Run.
func New(opts Options) *Upstream {
	opts.Protocol = cmp.Or(opts.Protocol, Auto)
	opts.ConnectTimeout = cmp.Or(opts.ConnectTimeout, 10*time.Second)
	opts.CallTimeout = cmp.Or(opts.CallTimeout, 60*time.Second)
	opts.ToolsGrace = cmp.Or(opts.ToolsGrace, 10*time.Minute)
	opts.MaxMessageBytes = cmp.Or(opts.MaxMessageBytes, 16<<20)
	opts.Private = opts.Private || opts.Request != nil
	opts.Tally = cmp.Or(opts.Tally, &Tally{})
	secrets := &vault{}
	opts.Log = secrets.logger(opts.Log).With("upstream", opts.Name)
	opts.Env, opts.Headers, opts.Token = secrets.watchAll(opts.Env), secrets.watchAll(opts.Headers), secrets.watch(opts.Token)
	rotation := newRotation(opts.Env)
	opts.Env = rotation.noting()
	if opts.Container != nil {
		opts.Container = opts.Container.withDefaults()
		opts.Containers = cmp.Or(opts.Containers, NewContainers(0, opts.Log))
	}
	if opts.ClientCapabilities == nil {
		opts.ClientCapabilities = json.RawMessage(`{}`)
	}
	info := rawjson.Object{}
	info.Set("name", rawjson.String(cmp.Or(opts.ClientName, "mcpagg")))
	info.Set("version", rawjson.String(cmp.Or(opts.ClientVersion, "dev")))
	u := &Upstream{
		opts:       opts,
		secrets:    secrets,
		rotation:   rotation,
		clientInfo: info.Bytes(),
		attempted:  make(chan struct{}),
		jitter:     fullJitter,
		pace:       newPace(opts),
		wanted:     make(chan struct{}, 1),
		status:     Status{State: Connecting, Since: time.Now()},
		awaited:    true,
		moved:      make(chan struct{}),

		subscriptions: subscriptions{uris: slices.Clone(opts.Subscriptions), changed: make(chan struct{}, 1)},
	}
	if opts.ClientInfo != nil {
		u.clientInfo = opts.ClientInfo
	}
	u.life, u.end = context.WithCancel(context.Background())
	if opts.URL != nil {
		u.endpoint = newEndpoint(opts.URL, opts)
	}
	return u
}

// Name is the upstream's label.
func (u *Upstream) Name() string { return u.opts.Name }

// Attempted is closed once the first attempt to connect has ended, well or not.
func (u *Upstream) Attempted() <-chan struct{} { return u.attempted }

// Listing is what the server offers. It is nil before the first connection,
// and once the upstream has been lost for longer than ToolsGrace.
func (u *Upstream) Listing() *Listing { return u.listing.Load() }

// SharesStream reports whether all messages of the server come on one stream,
// as over stdio and HTTP+SSE, where most do not say which call they belong to.
// It is true while there is no connection, since nobody knows.
func (u *Upstream) SharesStream() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn == nil {
		return true
	}
	_, exact := u.conn.transport.(*streamable)
	return !exact
}

// Status is how the upstream is.
func (u *Upstream) Status() Status {
	u.mu.Lock()
	s := u.status
	u.mu.Unlock()
	s.Restarts = max(0, s.Connects-1)
	u.opts.Tally.fill(&s)
	return s
}

// Call sends one request to the server and returns its result. An error that
// the server answered with is a *jsonrpc.Error, just as it came; any other is
// an *Error. A request that reached no tool is sent once more, on a new
// connection if need be; one that may have done so, only if it is Idempotent.
//
// While the upstream is not connected, a call has it dialled at once, and waits
// a second for that, unless the last attempt ended just before (1 s over HTTP,
// 2 s for a process): then it fails at once. It waits for as long as it takes
// for the first attempt, and for the one after the server dropped its session.
func (u *Upstream) Call(ctx context.Context, call Call) (result json.RawMessage, err error) {
	if !call.Own {
		began := u.opts.Tally.begin()
		defer func() { u.opts.Tally.end(began, err) }()
	}
	return u.ask(ctx, call)
}

func (u *Upstream) ask(ctx context.Context, call Call) (json.RawMessage, error) {
	bound, limit, cancel := u.bound(ctx)
	defer cancel()
	call.deadline = limit
	result, again, err := u.try(bound, call)
	if again != nil && again(bound) {
		result, _, err = u.try(bound, call)
	}
	return result, u.explain(ctx, err)
}

// try sends a call once. If it is worth sending again, again waits until it is
// known whether the connection is to be used any more.
func (u *Upstream) try(ctx context.Context, call Call) (result json.RawMessage, again func(context.Context) bool, err error) {
	c, err := u.connected(ctx)
	if err != nil {
		return nil, nil, err
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx) // it need not be sent, nor cancelled
	}
	if call.Era != nil {
		*call.Era = c.era()
	}
	asked := c.asked.Load()
	if !c.underWay.enter() {
		return nil, c.settled, errStopped // or started anew, for which the call waits
	}
	result, err = c.call(ctx, call)
	c.underWay.leave()
	if err != nil && (isUnsent(err) || call.Idempotent && isBroken(err) && c.asked.Load() == asked) {
		again = c.settled
	}
	return result, again, err
}

// bound limits ctx to CallTimeout, while limit is not held.
func (u *Upstream) bound(ctx context.Context) (_ context.Context, limit *deadline, cancel context.CancelFunc) {
	ctx, stop := context.WithCancelCause(ctx)
	limit = newDeadline(u.opts.CallTimeout, func() { stop(noAnswer(u.opts.CallTimeout)) })
	u.deadlines.add(limit)
	return ctx, limit, func() {
		u.deadlines.remove(limit)
		stop(nil)
	}
}

// Notify sends a notification of the client, such as
// notifications/roots/list_changed, on the connection there is. The modern
// revision has none, so a modern server is sent nothing.
func (u *Upstream) Notify(ctx context.Context, method string, params json.RawMessage) error {
	u.mu.Lock()
	c, status := u.conn, u.status
	u.mu.Unlock()
	switch {
	case c == nil && status.State == Stopped:
		return u.explain(ctx, errStopped)
	case c == nil || c.life.Err() != nil:
		return u.explain(ctx, status.notConnected())
	case c.modern:
		return nil
	}
	bound, cancel := context.WithTimeoutCause(ctx, u.opts.CallTimeout, noAnswer(u.opts.CallTimeout))
	defer cancel()
	defer context.AfterFunc(c.calls, cancel)()
	return u.explain(ctx, c.transport.send(bound, notification(method, params)))
}

// connected returns the connection. Without one it waits for the attempt to
// connect that is under way, or has one made, as far as calls may.
func (u *Upstream) connected(ctx context.Context) (*conn, error) {
	var late <-chan time.Time
	for {
		u.mu.Lock()
		c, moved := u.conn, u.moved
		if c != nil && c.life.Err() == nil {
			u.mu.Unlock()
			return c, nil
		}
		patient, err := u.demandLocked()
		u.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if !patient && late == nil {
			late = time.After(u.pace.wait)
		}
		select {
		case <-moved:
		case <-late:
			status := u.Status()
			return nil, status.notConnected()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// demandLocked has the server dialled, if it may be by now. Its error is that of
// a call that is not to wait. patient says that the call is to wait for as long
// as it takes.
func (u *Upstream) demandLocked() (patient bool, err error) {
	switch {
	case u.status.State == Stopped:
		return false, errStopped
	case u.conn != nil || u.awaited: // Run is about to see that the connection has ended
		return true, nil
	case u.dialing:
		return false, nil
	case time.Since(u.ended) < u.pace.demand:
		return false, u.status.notConnected()
	}
	u.dialing = true
	u.wanted <- struct{}{} // there is none: dialing is set as long as there is
	return false, nil
}

// notConnected says why there is no connection, and when there may be one.
func (s *Status) notConnected() error {
	next := "an attempt is under way"
	if d := time.Until(s.NextAttempt); d > 0 {
		next = fmt.Sprintf("next attempt in %v", max(d.Round(100*time.Millisecond), 100*time.Millisecond))
	}
	return fmt.Errorf("not connected: %s; %s", s.LastError, next)
}

// explain makes the error that Call returns. ctx is the caller's. The text is
// all that is kept of an error on the way: what it wraps belongs to the
// connection, not to the call.
func (u *Upstream) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(*jsonrpc.Error); ok {
		return err
	}
	if ctx.Err() != nil {
		return &Error{Upstream: u.opts.Name, Err: ctx.Err()}
	}
	return &Error{Upstream: u.opts.Name, Err: errors.New(u.secrets.redact(err.Error()))}
}
