package aggregator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// Clients and upstreams of different eras ask in different ways: a modern
// upstream answers a call with what it needs, and the call is made again with
// it (MCP 2026-07-28, "Multi Round-Trip Requests"); a legacy one asks while the
// call is in flight. callAnswering turns the former into the latter,
// callParking (parked.go) the latter into the former.

const (
	// maxRounds bounds how often an upstream may ask with one call, maxAsked for
	// how many things at once.
	maxRounds = 16
	maxAsked  = 32
	// roundPause is between calls of an upstream that asks for nothing but
	// another call.
	roundPause = time.Second
)

// callAnswering sends the request over the instance. What a modern upstream asks
// a legacy client for, the client is asked live, and the request is sent again
// with the answers.
func (g *Gateway) callAnswering(ctx context.Context, r Request, m *member, in *instance) (a answer, err error) {
	t := r.talk(m, in.conn)
	if in.owner.session == nil && t.notify != nil {
		in.wantLogs(ctx, t.logLevel)
	}
	if r.session != nil && eraOfConn(in.link.shared.conn) == upstream.ModernEra { // they are the gateway's to send
		r.Params.Delete("inputResponses")
		r.Params.Delete("requestState")
	}
	for range maxRounds {
		if a.result, err = in.conn.Call(ctx, r.call(m, t, &a.era)); err != nil || r.session == nil || a.era != upstream.ModernEra {
			return a, err
		}
		asked, ok := inputRequired(r, a.result)
		if !ok {
			return a, nil
		}
		if err := answerInput(ctx, &r, m, in, asked); err != nil {
			return a, err
		}
	}
	return a, badResult(m, fmt.Errorf("asks for input for the %dth time", maxRounds))
}

// inputRequired reports whether the result of a modern upstream asks for input.
func inputRequired(r Request, result json.RawMessage) (o rawjson.Object, ok bool) {
	if !mayNeedInput[r.Method] || !bytes.Contains(result, []byte("input_required")) {
		return nil, false
	}
	o, err := rawjson.ParseObject(result)
	if err != nil {
		return nil, false // finish says so
	}
	kind, _ := o.GetString("resultType")
	return o, kind == "input_required"
}

// answerInput asks the session's client for what the upstream asks for, one
// thing after the other, and puts the answers into the request.
func answerInput(ctx context.Context, r *Request, m *member, in *instance, asked rawjson.Object) error {
	var requests rawjson.Object
	if raw := asked.Get("inputRequests"); raw != nil {
		var err error
		if requests, err = rawjson.ParseObject(raw); err != nil || len(requests) > maxAsked {
			return badResult(m, errors.New("has malformed or too many inputRequests"))
		}
	}
	responses := rawjson.Object{}
	for _, request := range requests {
		response, err := askLive(ctx, *r, m, in, request.Value)
		if err != nil {
			return err
		}
		responses.Set(request.Name, response)
	}
	r.Params.Delete("inputResponses")
	if len(requests) > 0 {
		r.Params.Set("inputResponses", responses.Bytes())
	} else if !pause(ctx, roundPause) {
		return context.Cause(ctx)
	}
	r.Params.Delete("requestState")
	if state := asked.Get("requestState"); state != nil {
		r.Params.Set("requestState", state)
	}
	return nil
}

// askLive asks the session's client one thing. A person who is not asked in the
// end, since the client fails, has cancelled.
func askLive(ctx context.Context, r Request, m *member, in *instance, request json.RawMessage) (json.RawMessage, error) {
	o, err := rawjson.ParseObject(request)
	if err != nil {
		return nil, badResult(m, fmt.Errorf("has a malformed input request: %w", err))
	}
	method, _ := o.GetString("method")
	params := o.Get("params")
	if err := m.mayAskOf(r, method, params); err != nil {
		return nil, badResult(m, err)
	}
	response, err := question{from: m, conn: in.conn, to: r.session, stream: r.stream, method: method, params: params}.ask(ctx)
	var refused *jsonrpc.Error
	if kindOf[method] == "elicitation" && errors.As(err, &refused) {
		return json.RawMessage(`{"action":"cancel"}`), nil
	}
	return response, err
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sealState seals the state that a modern upstream has the client keep.
func (g *Gateway) sealState(r Request, from *member, result *rawjson.Object) error {
	if result.Get("requestState") == nil || r.Era != upstream.ModernEra {
		return nil
	}
	state := result.Get("requestState")
	if state[0] != '"' || len(state) > maxState {
		return fmt.Errorf("has a requestState that is no text of at most %d bytes", maxState)
	}
	result.Set("requestState", rawjson.String(g.sealer.seal(bindingOf(r, from), upstreamState, string(state))))
	return nil
}

// openState puts the upstream's own state in the place of the sealed one that a
// modern client brings back. If that names a parked call, it is returned.
func (g *Gateway) openState(r *Request, m *member) (*parkedCall, error) {
	if r.Params.Get("requestState") == nil || r.Era != upstream.ModernEra || !mayNeedInput[r.Method] {
		return nil, nil
	}
	text, _ := r.Params.GetString("requestState")
	kind, state, err := g.sealer.open(bindingOf(*r, m), text)
	if err == nil && kind == parkedState {
		if p := g.parked.take(state); p != nil {
			return p, nil
		}
		err = errors.New("its call has been taken up already, or has ended")
	}
	if err != nil {
		g.log.Warn("refused a requestState", "upstream", m.Name, "caller", r.Caller.ID, "reason", err)
		return nil, errState
	}
	r.Params.Set("requestState", json.RawMessage(state))
	return nil, nil
}
