package aggregator

import (
	"context"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/aggregator/brake"
)

// subject is who wants what, as the brake knows it.
func (r Request) subject() brake.Subject {
	c := r.Caller
	s := brake.Subject{Person: c.ID, Subject: c.Subject, Name: c.Name, Client: c.Client.ID, ClientAlias: c.Client.Alias}
	if about := r.about; about != nil && about.member != nil {
		s.Upstream = about.member.Name
		if about.action == toCall {
			s.Tool, s.Published = about.member.Name+"/"+about.original, about.published
		}
	}
	return s
}

// blocked refuses the request of a caller, or over a client, that the operator has
// stopped.
func (g *Gateway) blocked(r Request) error {
	if g.brake == nil {
		return nil
	}
	if block := g.brake.Check(r.subject()); block != nil {
		return stopped(block)
	}
	return nil
}

// enter begins what may take some time, of which it is known what it is about. The
// context ends as soon as the operator stops it. leave must be called.
func (g *Gateway) enter(ctx context.Context, r Request) (_ context.Context, leave func(), err error) {
	if g.brake == nil {
		return ctx, func() {}, nil
	}
	ctx, leave, block := g.brake.Enter(ctx, r.subject())
	if block != nil {
		return ctx, leave, stopped(block)
	}
	if r.about != nil {
		r.about.entered = ctx
	}
	return ctx, leave, nil
}

// goOn is enter for the call itself, which may outlast the request.
func (g *Gateway) goOn(ctx context.Context, r Request) (_ context.Context, leave func(), err error) {
	if r.about != nil {
		about := *r.about
		r.about = &about
	}
	return g.enter(ctx, r)
}

// stoppedMeanwhile is the refusal of a request that the operator has stopped since it
// has entered, or nil.
func (r Request) stoppedMeanwhile() error {
	if r.about.entered == nil {
		return nil
	}
	if by := (*brake.Blocked)(nil); errors.As(context.Cause(r.about.entered), &by) {
		return stopped(by.Block)
	}
	return nil
}

func stopped(block *brake.Block) error {
	return &denied{reason: "blocked", answer: &jsonrpc.Error{Code: codeDenied, Message: "denied: " + block.Message()}}
}
