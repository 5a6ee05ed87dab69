package aggregator

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
)

func TestIdleSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		open := newSessions(Limits{SessionIdle: 10 * time.Minute})
		go open.sweep(ctx)
		s := newSession(oauth.Anonymous, "2025-11-25", nil)
		open.open(s)

		time.Sleep(9 * time.Minute)
		if open.enter(s.id, oauth.Anonymous) == nil { // a stream, open for an hour
			t.Fatal("the session ended early")
		}
		time.Sleep(time.Hour)
		s.leave()
		time.Sleep(9 * time.Minute)
		if open.enter(s.id, oauth.Anonymous) == nil {
			t.Fatal("the session ended although a stream was open")
		}
		s.leave()
		time.Sleep(12 * time.Minute)
		if open.enter(s.id, oauth.Anonymous) != nil {
			t.Error("an idle session is still there")
		}
		if s.ctx.Err() == nil {
			t.Error("what is in flight in the session goes on")
		}
		if len(open.byID) != 0 || len(open.byCaller) != 0 {
			t.Errorf("left behind: %v %v", open.byID, open.byCaller)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	open := newSessions(Limits{Sessions: 1})
	s := newSession(oauth.Anonymous, "2025-11-25", nil)
	if !open.open(s) {
		t.Fatal("no room at the start")
	}
	if open.open(newSession(&oauth.Caller{ID: "somebody else"}, "2025-11-25", nil)) {
		t.Error("room for a session beyond the limit")
	}
	open.close(s.id)
	open.close(s.id)
	if !open.open(newSession(oauth.Anonymous, "2025-11-25", nil)) {
		t.Error("no room after the session was closed")
	}
}

func TestWhatNobodyReadsIsBounded(t *testing.T) {
	s := newSession(oauth.Anonymous, "2025-11-25", nil)
	for i := range 10 * maxQueued {
		s.push(fmt.Appendf(nil, `{"n":%d}`, i/2))
	}
	if got := len(s.take(nil)); got != maxQueued {
		t.Errorf("%d messages wait, want %d", got, maxQueued)
	}
}

func TestCapabilitiesWithoutWhatIsForbidden(t *testing.T) {
	m := testMember(ToolRules{})
	for capabilities, want := range map[string]string{
		`{"elicitation":{},"n":1.0}`:             `{"elicitation":{},"n":1.0}`,
		`{"sampling":{},"elicitation":{}}`:       `{"elicitation":{}}`,
		`{"\u0073ampling":{},"roots":{"a":1.0}}`: `{"roots":{"a":1.0}}`,
		`{}`:                                     `{}`,
	} {
		if got := string(m.mayAsk([]byte(capabilities))); got != want {
			t.Errorf("mayAsk(%s) = %s, want %s", capabilities, got, want)
		}
	}
	m.Requests = []string{"sampling"}
	if got := string(m.mayAsk([]byte(`{"sampling":{},"roots":{}}`))); got != `{"sampling":{}}` {
		t.Errorf("with requests of its own: %s", got)
	}
}
