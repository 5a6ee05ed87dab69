package aggregator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"golang.org/x/sync/errgroup"

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
	if r.session != nil && eraOfConn(in.link.shared.conn) != upstream.LegacyEra { // they are the gateway's to send
		r.Params.Delete("inputResponses")
		r.Params.Delete("requestState")
	}
	for round := 0; ; round++ {
		if a.result, err = in.conn.Call(ctx, r.call(m, t, &a.era)); err != nil || r.session == nil || a.era != upstream.ModernEra {
			return a, err
		}
		asked, ok := inputRequired(r, a.result)
		if !ok {
			return a, nil
		}
		if round == maxRounds {
			return a, badResult(m, fmt.Errorf("asks for input more than %d times", maxRounds))
		}
		if err := answerInput(ctx, &r, m, in, asked); err != nil {
			return a, err
		}
	}
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

// answerInput asks the session's client for what the upstream asks for, and puts
// the answers into the request.
func answerInput(ctx context.Context, r *Request, m *member, in *instance, asked rawjson.Object) error {
	keys, questions, err := questionsIn(*r, m, in, asked)
	if err != nil {
		return badResult(m, err)
	}
	answers, err := askAll(ctx, questions)
	if err != nil {
		return err
	}
	r.Params.Delete("inputResponses")
	if len(keys) > 0 {
		responses := rawjson.Object{}
		for i, key := range keys {
			responses.Set(key, answers[i])
		}
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

// questionsIn are the questions to the session's client in a result, with their
// keys. It fails if there is one that must not be asked: none is then.
func questionsIn(r Request, m *member, in *instance, asked rawjson.Object) (keys []string, questions []question, err error) {
	raw := asked.Get("inputRequests")
	if raw == nil {
		return nil, nil, nil
	}
	requests, err := rawjson.ParseObject(raw)
	if err != nil || len(requests) > maxAsked {
		return nil, nil, errors.New("has malformed or too many inputRequests")
	}
	for _, request := range requests {
		o, err := rawjson.ParseObject(request.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("has a malformed input request: %w", err)
		}
		method, _ := o.GetString("method")
		if err := m.mayAskOf(r, method, o.Get("params")); err != nil {
			return nil, nil, err
		}
		params, err := forLegacy(method, o.Get("params"))
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, request.Name)
		questions = append(questions, question{from: m, conn: in.conn, to: r.session, stream: r.stream, method: method, params: params})
	}
	return keys, questions, nil
}

// forLegacy adds what a legacy client needs to the params of a modern upstream's
// request: an elicitation at a URL has an id there (MCP 2025-11-25, "URL Mode
// Elicitation Requests").
func forLegacy(method string, params json.RawMessage) (json.RawMessage, error) {
	if kindOf[method] != "elicitation" {
		return params, nil
	}
	o, err := rawjson.ParseObject(params)
	if err != nil {
		return nil, fmt.Errorf("has a malformed elicitation: %w", err)
	}
	if mode, _ := o.GetString("mode"); mode == "url" && o.Get("elicitationId") == nil {
		o.Set("elicitationId", rawjson.String(rand.Text()))
	}
	return o.Bytes(), nil
}

// askAll asks everything at once, in its order, and waits for the answers. If
// one fails, the others are taken back.
func askAll(ctx context.Context, questions []question) ([]json.RawMessage, error) {
	asking, ctx := errgroup.WithContext(ctx)
	answers := make([]json.RawMessage, len(questions))
	for i, q := range questions {
		sent := make(chan struct{})
		q.sent = sync.OnceFunc(func() { close(sent) })
		asking.Go(func() (err error) {
			defer q.sent() // or it never was
			answers[i], err = q.askPerson(ctx)
			return err
		})
		<-sent
	}
	return answers, asking.Wait()
}

// askPerson is ask for who need not answer: a person who is not asked in the end,
// since the client fails, has cancelled.
func (q question) askPerson(ctx context.Context) (json.RawMessage, error) {
	answer, err := q.ask(ctx)
	var refused *jsonrpc.Error
	switch {
	case err == nil:
		return answer, nil
	case !errors.As(err, &refused):
		return nil, fmt.Errorf("upstream %q asks for %q: %w", q.from.Name, q.method, err)
	case kindOf[q.method] == "elicitation":
		return json.RawMessage(`{"action":"cancel"}`), nil
	}
	return nil, refused
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

// sealState seals the state that a modern upstream has the client keep, for the
// same link: after a reload, another server may have the label.
func (g *Gateway) sealState(r Request, from *member, result *rawjson.Object) error {
	if result.Get("requestState") == nil || r.Era != upstream.ModernEra {
		return nil
	}
	state := result.Get("requestState")
	if state[0] != '"' || len(state) > maxState {
		return fmt.Errorf("has a requestState that is no text of at most %d bytes", maxState)
	}
	result.Set("requestState", rawjson.String(g.sealer.seal(bindingOf(r, from), upstreamState, from.id+string(state))))
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
	if err == nil {
		var same bool
		if state, same = strings.CutPrefix(state, m.id); !same {
			err = errors.New("a reload has replaced the connection to its upstream")
		}
	}
	if err != nil {
		if m.complaints.Allow() {
			g.log.Warn("refused a requestState", "upstream", m.Name, "caller", r.Caller.ID, "reason", err)
		}
		return nil, errState
	}
	r.Params.Set("requestState", json.RawMessage(state))
	return nil, nil
}
