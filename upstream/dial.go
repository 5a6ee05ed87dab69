package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	// maxProbe bounds finding out the era over HTTP; a third of the time to
	// connect does as well. A process, which has to start first, gets half.
	maxProbe = 3 * time.Second
	// probedGrace is between the steps of stopping a process that was only
	// asked for its era, or does not answer any more.
	probedGrace = 300 * time.Millisecond
)

// legacyVersions are the revisions whose handshake is accepted.
var legacyVersions = []string{"2024-11-05", "2025-03-26", "2025-06-18", string(Legacy)}

// errNotModern says that the server answered the probe, but does not speak the
// modern revision.
var errNotModern = fmt.Errorf("does not speak revision %s", Modern)

// dial connects and shakes hands. The listing it returns has no definitions yet.
func (u *Upstream) dial(ctx context.Context) (*conn, *Listing, error) {
	switch c := u.opts.Container; {
	case u.opts.URL != nil:
		return u.dialHTTP(ctx, u.endpoint, u.protocol())
	case c != nil && c.Port != 0:
		return u.dialContainer(ctx, u.protocol())
	}
	return u.dialProcess(ctx, u.protocol())
}

// protocol is what to speak: as configured, or what worked last time.
func (u *Upstream) protocol() Protocol {
	if u.opts.Protocol == Auto && u.worked != "" {
		return u.worked
	}
	return u.opts.Protocol
}

// probing bounds ctx for finding out the era.
func (u *Upstream) probing(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, noAnswer(limit))
}

// dialProcess starts the process and shakes hands with it. A process that
// does not know the modern revision may end when it is asked for it; then the
// legacy handshake gets a fresh one. One that does not answer may only be slow
// to start, and starting another beside it would make that worse: it is asked
// for the legacy handshake as well. Should the question have struck it dumb,
// the process of the next attempt is not asked.
func (u *Upstream) dialProcess(ctx context.Context, p Protocol) (*conn, *Listing, error) {
	c, err := u.startProcess(ctx)
	if err != nil {
		return nil, nil, err
	}
	if p == Auto || p == Modern {
		l, err := u.probeProcess(ctx, c, p)
		if err == nil || p == Modern {
			return c.orClose(l, err)
		}
		var late *timeoutError
		var unstarted *startError
		switch {
		case errors.As(err, &unstarted):
			return c.orClose(nil, err)
		case errors.As(err, &late):
			u.unanswered = true
		case !isMethodNotFound(err):
			c.transport.(*stdio).grace = probedGrace
			c.close()
			if c, err = u.startProcess(ctx); err != nil {
				return nil, nil, err
			}
		}
	}
	return c.orClose(c.initialize(ctx, u.opts.ClientCapabilities, func(string) {}))
}

func (u *Upstream) probeProcess(ctx context.Context, c *conn, p Protocol) (*Listing, error) {
	if p == Auto {
		var cancel context.CancelFunc
		ctx, cancel = u.probing(ctx, u.opts.ConnectTimeout/2)
		defer cancel()
	}
	return c.discover(ctx)
}

func (u *Upstream) startProcess(ctx context.Context) (*conn, error) {
	run, err := u.programOf(ctx)
	if err != nil {
		return nil, err
	}
	c := newConn(u)
	s, err := startStdio(run, u.opts, c)
	if err != nil {
		c.close()
		return nil, err
	}
	c.transport = s
	return c, nil
}

// orClose returns c and what the handshake with it brought, or closes c.
func (c *conn) orClose(l *Listing, err error) (*conn, *Listing, error) {
	if err != nil {
		c.close()
		return nil, nil, err
	}
	return c, l, nil
}

func (u *Upstream) dialHTTP(ctx context.Context, e *endpoint, p Protocol) (*conn, *Listing, error) {
	switch p {
	case Modern:
		return u.dialModern(ctx, e)
	case Legacy:
		return u.dialLegacy(ctx, e)
	case SSE:
		return u.dialOldSSE(ctx, e)
	}
	probe, cancel := u.probing(ctx, min(maxProbe, u.opts.ConnectTimeout/3))
	c, l, err := u.dialModern(probe, e)
	cancel()
	if err == nil || isUnreachable(err) {
		return c, l, err
	}
	c, l, err = u.dialLegacy(ctx, e)
	if err == nil || !maybeOldSSE(err) {
		return c, l, err
	}
	if c, l, errSSE := u.dialOldSSE(ctx, e); errSSE == nil {
		return c, l, nil
	}
	return nil, nil, err
}

// maybeOldSSE reports whether a POST was refused as by a server of revision
// 2024-11-05 (MCP 2025-11-25 "Transports", "Backwards Compatibility").
func maybeOldSSE(err error) bool {
	var refused *httpError
	return errors.As(err, &refused) &&
		slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed}, refused.status)
}

func (u *Upstream) dialModern(ctx context.Context, e *endpoint) (*conn, *Listing, error) {
	c := newConn(u)
	t := newStreamable(e, u.opts, c)
	t.modern, t.version = true, string(Modern)
	c.transport, c.stateless = t, true
	return c.orClose(c.discover(ctx))
}

func (u *Upstream) dialLegacy(ctx context.Context, e *endpoint) (*conn, *Listing, error) {
	c := newConn(u)
	t := newStreamable(e, u.opts, c)
	c.transport = t
	l, err := c.initialize(ctx, u.opts.ClientCapabilities, func(version string) { t.version = version })
	if err == nil {
		t.listen(func() { u.missed(c) })
	}
	return c.orClose(l, err)
}

func (u *Upstream) dialOldSSE(ctx context.Context, e *endpoint) (*conn, *Listing, error) {
	c := newConn(u)
	s, err := startOldSSE(ctx, e, u.opts, c)
	c.transport, c.speaks = s, SSE
	if err != nil {
		return c.orClose(nil, err)
	}
	return c.orClose(c.initialize(ctx, u.opts.ClientCapabilities, func(string) {}))
}

// discover asks a modern server what it is. Its error is a *jsonrpc.Error if
// that was the answer.
func (c *conn) discover(ctx context.Context) (*Listing, error) {
	c.modern, c.version = true, string(Modern)
	raw, err := c.ask(ctx, Call{Method: "server/discover", Params: json.RawMessage(`{}`)})
	var found struct {
		SupportedVersions []string                   `json:"supportedVersions"`
		Capabilities      json.RawMessage            `json:"capabilities"`
		Instructions      string                     `json:"instructions"`
		Meta              map[string]json.RawMessage `json:"_meta"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &found)
	}
	if err == nil && !slices.Contains(found.SupportedVersions, string(Modern)) {
		err = errNotModern
	}
	if err != nil {
		c.modern, c.version = false, ""
		return nil, err
	}
	c.speaks = Modern
	return &Listing{
		Era:          ModernEra,
		Version:      c.version,
		Versions:     found.SupportedVersions,
		ServerInfo:   found.Meta["io.modelcontextprotocol/serverInfo"],
		Capabilities: found.Capabilities,
		Instructions: found.Instructions,
	}, nil
}

// initialize shakes hands with a legacy server. agreed gets the version before
// anything else is sent. capabilities are those of the client.
func (c *conn) initialize(ctx context.Context, capabilities json.RawMessage, agreed func(version string)) (*Listing, error) {
	params := rawjson.Object{}
	params.Set("protocolVersion", rawjson.String(string(Legacy)))
	params.Set("capabilities", capabilities)
	params.Set("clientInfo", c.clientInfo)
	raw, err := c.ask(ctx, Call{Method: "initialize", Params: params.Bytes()})
	if err != nil {
		return nil, fmt.Errorf("initialize: %w", plain(err))
	}
	var found struct {
		ProtocolVersion string          `json:"protocolVersion"`
		Capabilities    json.RawMessage `json:"capabilities"`
		ServerInfo      json.RawMessage `json:"serverInfo"`
		Instructions    string          `json:"instructions"`
	}
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, fmt.Errorf("initialize: result: %w", err)
	}
	if !slices.Contains(legacyVersions, found.ProtocolVersion) {
		return nil, fmt.Errorf("initialize: speaks the unknown protocol version %q", printable(found.ProtocolVersion, 40))
	}
	c.version = found.ProtocolVersion
	c.speaks = cmp.Or(c.speaks, Legacy)
	agreed(c.version)
	if err := c.transport.send(ctx, notification("notifications/initialized", nil)); err != nil {
		return nil, fmt.Errorf("notifications/initialized: %w", err)
	}
	return &Listing{
		Era:          LegacyEra,
		Version:      c.version,
		ServerInfo:   found.ServerInfo,
		Capabilities: found.Capabilities,
		Instructions: found.Instructions,
	}, nil
}

// plain puts a server's own error into words, for where it is not passed on.
func plain(err error) error {
	if answer, ok := err.(*jsonrpc.Error); ok {
		return fmt.Errorf("answered with error %d: %s", answer.Code, printable(answer.Message, 300))
	}
	return err
}
