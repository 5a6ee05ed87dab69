package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// askable is a session whose client can be asked.
func askable() *session {
	s := newSession(oauth.Anonymous, "2025-11-25", nil)
	s.client.capabilities = json.RawMessage(`{"elicitation":{}}`)
	return s
}

// asks has the session's client asked, and answers for it once sent returns what
// it was sent.
func asks(t *testing.T, q question, sent func() []byte) (answer json.RawMessage) {
	t.Helper()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		var err error
		if answer, err = q.ask(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	o, err := rawjson.ParseObject(sent())
	if err != nil {
		t.Fatal(err)
	}
	message := rawjson.Object{}
	message.Set("id", o.Get("id"))
	message.Set("result", json.RawMessage(`{"action":"accept"}`))
	q.to.answered(message)
	<-answered
	return answer
}

// A question that belongs to no call fails at once when nobody can hear it: the
// client never had a stream of its own, or it broke.
func TestQuestionsWithoutAStream(t *testing.T) {
	g := New(Options{Log: slog.New(slog.DiscardHandler)})
	s := askable()
	g.sessions.open(s)
	defer g.sessions.close(s.id)
	q := question{from: testMember(ToolRules{}), to: s, method: "elicitation/create", params: json.RawMessage(`{"message":"Sure?"}`)}
	if _, err := q.ask(t.Context()); !errors.Is(err, errGone) {
		t.Errorf("without a stream: %v, want %v", err, errGone)
	}

	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/mcp", nil)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Mcp-Session-Id", s.id)
	opened, closed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(closed)
		g.Handler().ServeHTTP(&flushed{httptest.NewRecorder(), opened}, r)
	}()
	<-opened
	leave()
	<-closed
	if _, err := q.ask(t.Context()); !errors.Is(err, errGone) {
		t.Errorf("after the client has left: %v, want %v", err, errGone)
	}
}

// flushed closes opened when its headers are sent.
type flushed struct {
	*httptest.ResponseRecorder
	opened chan struct{}
}

func (f *flushed) Flush() {
	if !f.Flushed {
		close(f.opened)
	}
	f.ResponseRecorder.Flush()
}

// A question must not get lost, so the limits of what may do not count for it.
func TestLargeQuestions(t *testing.T) {
	s := askable()
	_, stream, detach := s.attach(t.Context())
	defer detach()
	for len(s.queue) < maxQueued {
		s.push([]byte(`{}`))
	}
	large := strings.Repeat("x", maxQueuedBytes+1)
	q := question{from: testMember(ToolRules{}), to: s, method: "elicitation/create", params: json.RawMessage(`{"message":"` + large + `"}`)}
	answer := asks(t, q, func() []byte {
		for {
			<-s.wake
			if messages := s.take(stream); len(messages) > maxQueued {
				return messages[maxQueued]
			} else if len(messages) > 0 {
				s.putBack(messages)
			}
		}
	})
	if string(answer) != `{"action":"accept"}` {
		t.Errorf("answer %s", answer)
	}
}

// When the stream of the call is broken, the client is asked on its own stream.
func TestQuestionsOfABrokenCall(t *testing.T) {
	s := askable()
	_, stream, detach := s.attach(t.Context())
	defer detach()
	q := question{
		from: testMember(ToolRules{}), to: s, method: "elicitation/create", params: json.RawMessage(`{"message":"Sure?"}`),
		stream: &responder{era: upstream.LegacyEra, w: broken{httptest.NewRecorder()}},
	}
	asks(t, q, func() []byte {
		<-s.wake
		return s.take(stream)[0]
	})
}

type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// What counts for a result is the connection it came on, also while the one that
// everybody shares is not there.
func TestResultsAreJudgedByTheirOwnConnection(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{
		ModernOnly: true, Resources: []string{},
		Reply: func(*upstreamtest.Request) upstreamtest.Reply {
			return upstreamtest.Result(`{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":{"message":"Sure?"}}}}`)
		},
	})
	g, _, s := withSession(t, upstream.Options{URL: srv.URL})
	params, _ := rawjson.ParseObject([]byte(`{"uri":"up+file:///a"}`))
	result, _, err := g.Serve(t.Context(), Request{Caller: oauth.Anonymous, session: s, Era: upstream.LegacyEra, Method: "resources/read", Params: params})
	if err == nil || !strings.Contains(err.Error(), "asks for \"elicitation/create\", which the client does not support") {
		t.Errorf("got %s, %v, want a refusal", result, err)
	}
}
