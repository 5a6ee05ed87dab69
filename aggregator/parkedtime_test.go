package aggregator

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
)

// parkedOf is a call of the caller that waits for answers, as id.
func parkedOf(t *testing.T, s *parked, caller, id string) (*parkedCall, context.Context) {
	t.Helper()
	p := &parkedCall{caller: &oauth.Caller{ID: caller}}
	ctx, cancel := context.WithCancelCause(t.Context())
	p.cancel = cancel
	if !s.count(p) || !s.put(id, p, nil) {
		t.Fatalf("call %s of %s is not parked", id, caller)
	}
	return p, ctx
}

// Nobody waits for longer than ten minutes for an answer.
func TestParkedCallsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &parked{}
		taken, takenLife := parkedOf(t, s, "ann", "1")
		_, life := parkedOf(t, s, "ann", "2")
		time.Sleep(parkedTime - time.Second)
		if s.take("1") != taken || life.Err() != nil {
			t.Errorf("just before: taken or given up, %v", context.Cause(life))
		}
		time.Sleep(2 * time.Second)
		if cause := context.Cause(life); !errors.Is(cause, errUnanswered) || s.take("2") != nil {
			t.Errorf("afterwards: %v", cause)
		}
		if takenLife.Err() != nil {
			t.Errorf("one that was taken in time: %v", context.Cause(takenLife))
		}
	})
}

// All callers together have so many places, and one is free again once a call
// has ended and nobody comes for its result any more.
func TestParkedCallsOfAllAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &parked{}
		var last *parkedCall
		for i := range maxParked {
			last, _ = parkedOf(t, s, fmt.Sprint(i/maxParkedPerCaller), fmt.Sprint(i))
		}
		another := &parkedCall{caller: &oauth.Caller{ID: "another"}}
		if s.count(another) {
			t.Error("one more than there may be has a place")
		}
		if s.end(last); s.count(another) {
			t.Error("a call that has ended gives its place back while its client may come for the result")
		}
		if s.take(fmt.Sprint(maxParked-1)) != last || !s.count(another) {
			t.Error("there is no place once the client has come")
		}
		if s.drain(); s.put("late", another, nil) {
			t.Error("a call is parked while the gateway drains")
		}
	})
}
