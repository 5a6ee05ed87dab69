package aggregator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	// maxParked bounds the calls that wait for answers of modern clients,
	// maxParkedPerCaller those of one caller.
	maxParked          = 1000
	maxParkedPerCaller = 20
	// parkedTime is how long one waits.
	parkedTime = 10 * time.Minute
)

var (
	errHungUp     = &upstream.Cancelled{Reason: "the client has hung up"}
	errUnanswered = &upstream.Cancelled{Reason: "the client has not answered within 10 minutes"}
	errDenied     = &upstream.Cancelled{Reason: "the caller may not make the call any more"}
	errDraining   = &upstream.Cancelled{Reason: "the gateway stops"}

	// What an upstream is told that asks in vain.
	errCannotAsk = &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "the client cannot be asked"}
	errTooMany   = &jsonrpc.Error{
		Code: jsonrpc.CodeInternalError, Message: "the client cannot be asked at the moment: too many questions wait for its answers",
	}
)

// A parkedCall is a call of a modern client to a legacy upstream, which may ask
// the client for something. Then the client gets that in place of an answer, and
// the call goes on with nobody attached, until the client makes it again with
// the answers.
type parkedCall struct {
	g       *Gateway
	m       *member
	in      *instance
	binding binding
	cancel  context.CancelCauseFunc
	free    func()        // leaves the brake; set when the call begins
	done    chan struct{} // closed when answer and err are set
	answer  answer
	err     error
	asked   chan struct{} // holds a token while there may be questions

	mu        sync.Mutex
	client    Request                    // the attached one, or the last one; guarded by mu
	talk      *talk                      // with the attached one, nil for none; guarded by mu
	questions map[string]*parkedQuestion // that have no answer, by key; guarded by mu
	inOrder   []string                   // their keys; guarded by mu
	lastKey   int                        // guarded by mu

	caller  *oauth.Caller // set when the call begins
	id      string        // while it is parked, else ""; guarded by the mu of parked
	late    *time.Timer   // while it is parked; guarded by the mu of parked
	left    func()        // to be called when it is parked no more; guarded by the mu of parked
	counted bool          // it takes a place of the caller's; guarded by the mu of parked
	ended   bool          // guarded by the mu of parked
}

// A parkedQuestion is one that the client has not answered.
type parkedQuestion struct {
	method string
	params json.RawMessage
	answer chan reply // takes one
}

// callParking sends the request over an instance whose upstream may ask. It
// takes over the use of the instance.
func (g *Gateway) callParking(ctx context.Context, r Request, m *member, in *instance) (a answer, err error) {
	p := &parkedCall{
		g: g, m: m, in: in, binding: bindingOf(r, m), done: make(chan struct{}), asked: make(chan struct{}, 1),
		questions: map[string]*parkedQuestion{}, caller: r.Caller,
	}
	t := p.attach(ctx, r)
	call := r.call(m, t, &p.answer.era)
	call.Notify, call.Request = p.notify, p.ask
	life, cancel := context.WithCancelCause(g.life)
	p.cancel = cancel
	life, p.free, err = g.goOn(life, r)
	if err != nil {
		p.cancel(nil)
		in.leave()
		return answer{}, err
	}
	if !g.running.start(func() { p.run(life, call) }) {
		p.cancel(nil)
		p.free()
		in.leave()
		return answer{}, p.failed(errDraining)
	}
	return p.attend(ctx, r.Caller)
}

// failed is why the gateway has given the call up.
func (p *parkedCall) failed(cause error) error {
	return &upstream.Error{Upstream: p.m.Name, Err: cause}
}

// run is the call, with clients coming and going.
func (p *parkedCall) run(ctx context.Context, call upstream.Call) {
	defer p.in.leave()
	defer p.free()
	p.answer.result, p.err = p.in.conn.Call(ctx, call)
	if cause := context.Cause(ctx); p.err != nil && cause != nil && cause != context.Canceled {
		p.err = p.failed(cause)
	}
	p.cancel(nil)
	close(p.done)
	p.g.parked.end(p)
}

// resume goes on with what a client has answered. It is attached first: what
// the upstream says once it has the answers is for it.
func (p *parkedCall) resume(ctx context.Context, r Request) (answer, error) {
	p.attach(ctx, r)
	responses, _ := rawjson.ParseObject(r.Params.Get("inputResponses")) // malformed, it answers nothing
	p.hand(responses)
	return p.attend(ctx, r.Caller)
}

// abandon ends a call that waits for answers, which a request has that is denied by
// now.
func (g *Gateway) abandon(r Request) {
	if waiting, err := g.openState(&r, r.about.member); err == nil && waiting != nil {
		waiting.cancel(errDenied)
	}
}

// hand gives the upstream the client's answers. What has none is asked again,
// but for what this request's client, unlike the last one's, cannot be asked.
func (p *parkedCall) hand(responses rawjson.Object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range slices.Clone(p.inOrder) {
		q, response := p.questions[key], responses.Get(key)
		switch {
		case anObject(response) == nil:
			q.answer <- reply{result: bytes.Clone(response)} // not the request's own memory
		case p.m.mayAskOf(p.client, q.method, q.params) != nil:
			q.answer <- reply{err: errCannotAsk}
		default:
			p.poke()
			continue
		}
		p.removeLocked(key)
	}
}

// attend waits with the client that is attached until the call ends or asks for
// something.
func (p *parkedCall) attend(ctx context.Context, c *oauth.Caller) (answer, error) {
	defer p.detach()
	for {
		select {
		case <-p.done:
			return p.answer, p.err
		case <-p.asked:
			if a, ok := p.park(c.Ended); ok {
				return a, nil
			}
		case <-c.Ended:
			p.cancel(errSessionOver)
			return answer{}, errSessionOver
		case <-ctx.Done():
			p.cancel(errHungUp)
			return answer{}, ctx.Err()
		}
	}
}

// attach makes r's client the one that hears of the call and can be asked.
func (p *parkedCall) attach(ctx context.Context, r Request) *talk {
	t := r.talk(p.m, p.in.conn)
	if t.notify != nil {
		p.in.wantLogs(ctx, t.logLevel)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.talk = t
	p.client = Request{Era: r.Era, ClientCapabilities: bytes.Clone(r.ClientCapabilities)} // not the request's own memory
	return t
}

func (p *parkedCall) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.talk = nil
}

// park makes what the client gets in place of an answer; ok is false if there
// is nothing to ask for any more, or the call ends. When ended is closed, so does
// the call.
func (p *parkedCall) park(ended <-chan struct{}) (a answer, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.questions) == 0 || p.over() {
		return answer{}, false
	}
	requests := rawjson.Object{}
	for _, key := range p.inOrder {
		request := rawjson.Object{}
		request.Set("method", rawjson.String(p.questions[key].method))
		if params := p.questions[key].params; params != nil {
			request.Set("params", params)
		}
		requests.Set(key, request.Bytes())
	}
	id := rand.Text()
	if !p.g.parked.put(id, p, ended) {
		p.cancel(errDraining)
		return answer{}, false
	}
	result := rawjson.Object{}
	result.Set("resultType", rawjson.String("input_required"))
	result.Set("inputRequests", requests.Bytes())
	result.Set("requestState", rawjson.String(p.g.sealer.seal(p.binding, parkedState, id)))
	return answer{result: result.Bytes(), era: upstream.LegacyEra, asks: true}, true
}

// over reports whether the call has ended.
func (p *parkedCall) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// notify passes on what belongs to the call to the client that is attached.
func (p *parkedCall) notify(method string, params json.RawMessage) {
	p.mu.Lock()
	t := p.talk
	p.mu.Unlock()
	if t != nil && t.notify != nil {
		t.notify(method, params)
	}
}

// ask is a live request of the upstream.
func (p *parkedCall) ask(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	q, key, err := p.add(method, without(params, taskParam))
	if err != nil {
		if p.m.complaints.Allow() {
			p.m.log.Warn("refused a request of the upstream", "upstream", p.m.Name, "method", method, "reason", err)
		}
		if errors.Is(err, errTooMany) {
			return nil, errTooMany
		}
		return nil, errCannotAsk
	}
	select {
	case a := <-q.answer:
		return a.result, a.err
	case <-ctx.Done():
		p.mu.Lock()
		p.removeLocked(key)
		p.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// add adds a question, if the upstream may ask it and the client can answer.
func (p *parkedCall) add(method string, params json.RawMessage) (q *parkedQuestion, key string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.m.mayAskOf(p.client, method, params); err != nil {
		return nil, "", err
	}
	if len(p.questions) >= maxAsked {
		return nil, "", fmt.Errorf("with one call: %w", errTooMany)
	}
	if kindOf[method] == "elicitation" {
		if params, err = p.m.signed(params); err != nil {
			return nil, "", err
		}
	}
	if !p.g.parked.count(p) {
		return nil, "", fmt.Errorf("with this call and others, or after its end: %w", errTooMany)
	}
	p.lastKey++
	key = strconv.Itoa(p.lastKey)
	q = &parkedQuestion{method: method, params: params, answer: make(chan reply, 1)}
	p.questions[key] = q
	p.inOrder = append(p.inOrder, key)
	p.poke()
	return q, key, nil
}

func (p *parkedCall) poke() {
	select {
	case p.asked <- struct{}{}:
	default:
	}
}

func (p *parkedCall) removeLocked(key string) {
	delete(p.questions, key)
	for i, k := range p.inOrder {
		if k == key {
			p.inOrder = append(p.inOrder[:i:i], p.inOrder[i+1:]...)
			return
		}
	}
}

// parked are the calls that wait for answers. It is safe for concurrent use.
type parked struct {
	mu       sync.Mutex
	closed   bool                   // no more are parked; guarded by mu
	calls    map[string]*parkedCall // by id; guarded by mu
	total    int                    // places that are taken; guarded by mu
	byCaller map[string]int         // of those; guarded by mu
}

// count takes a place for a call that asks, unless it has one. It reports false
// if there is none, or the call has ended: nobody would give the place back.
func (s *parked) count(p *parkedCall) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.counted {
		return true
	}
	if p.ended || s.total >= maxParked || s.byCaller[p.caller.ID] >= maxParkedPerCaller {
		return false
	}
	if s.byCaller == nil {
		s.byCaller, s.calls = map[string]int{}, map[string]*parkedCall{}
	}
	s.total++
	s.byCaller[p.caller.ID]++
	p.counted = true
	return true
}

// put keeps a call until it is taken, which only one client can, or parkedTime
// is over, or ended is closed. One that ends meanwhile is kept as well: its client
// still asks for the result. It reports false once the gateway drains.
func (s *parked) put(id string, p *parkedCall, ended <-chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.calls[id], p.id = p, id
	p.late = time.AfterFunc(parkedTime, func() {
		if s.take(id) != nil {
			p.cancel(errUnanswered)
		}
	})
	p.left = s.watch(id, p, ended)
	return true
}

// watch ends a parked call when ended is closed, until left is called.
func (s *parked) watch(id string, p *parkedCall, ended <-chan struct{}) (left func()) {
	if ended == nil {
		return func() {}
	}
	waiting, left := context.WithCancel(context.Background())
	go func() {
		select {
		case <-ended:
			if s.take(id) != nil {
				p.cancel(errSessionOver)
			}
		case <-waiting.Done():
		}
	}()
	return left
}

// take returns the parked call, nil for none.
func (s *parked) take(id string) *parkedCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.calls[id]
	if p == nil {
		return nil
	}
	p.late.Stop()
	p.left()
	delete(s.calls, id)
	p.id = ""
	s.settleLocked(p)
	return p
}

// end notes that a call has ended.
func (s *parked) end(p *parkedCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ended = true
	s.settleLocked(p)
}

// settleLocked gives the place of a call back that has ended and is not parked.
func (s *parked) settleLocked(p *parkedCall) {
	if !p.counted || !p.ended || p.id != "" {
		return
	}
	p.counted = false
	s.total--
	if s.byCaller[p.caller.ID]--; s.byCaller[p.caller.ID] == 0 {
		delete(s.byCaller, p.caller.ID)
	}
}

// drain ends the calls that nobody will take up again. It may be called twice.
func (s *parked) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, p := range s.calls {
		p.late.Stop()
		p.left()
		p.cancel(errDraining)
	}
}
