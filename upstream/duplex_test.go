package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A wire is the transport of a duplex whose server is the test.
type wire struct {
	*duplex
	t      *testing.T
	onCall func() error // what sending a call does; nil for nothing

	mu   sync.Mutex
	sent []string // to the server; guarded by mu
}

func (*wire) close() {}

// says has the server say something.
func (w *wire) says(message string) {
	w.t.Helper()
	if err := eachMessage([]byte(message), w.pass); err != nil {
		w.t.Fatal(err)
	}
}

// answers are what the server was sent in answer to its requests.
func (w *wire) answers() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.sent), func(m string) bool { return strings.Contains(m, `"method"`) })
}

// onWire runs a test of a connection of one client in a bubble.
func onWire(t *testing.T, test func(t *testing.T, c *conn, server *wire)) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(New(Options{
			Name: "x", Log: slog.New(slog.DiscardHandler),
			Request: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
				return nil, errors.New("it belongs to no call")
			},
		}))
		server := &wire{t: t}
		server.duplex = newDuplex(c, func(_ context.Context, body []byte) error {
			if server.onCall != nil && bytes.Contains(body, []byte(`"tools/call"`)) {
				return server.onCall()
			}
			server.mu.Lock()
			defer server.mu.Unlock()
			server.sent = append(server.sent, string(body))
			return nil
		})
		c.transport = server
		defer c.close()
		test(t, c, server)
	})
}

// busyCall calls a tool whose caller is busy with progress, until release is
// closed, while the question q waits for its turn.
func busyCall(c *conn, server *wire, asked func()) (release, done chan struct{}) {
	release, done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.call(server.t.Context(), Call{
			Method: "tools/call", Progress: true, deadline: newDeadline(time.Minute, func() {}),
			Notify: func(string, json.RawMessage) { <-release },
			Request: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
				asked()
				return json.RawMessage(`{}`), nil
			},
		})
	}()
	synctest.Wait()
	server.says(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
	synctest.Wait()
	server.says(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?"}}`)
	synctest.Wait()
	return release, done
}

func TestWaitingQuestionIsAsked(t *testing.T) {
	onWire(t, func(t *testing.T, c *conn, server *wire) {
		asked := 0
		release, done := busyCall(c, server, func() { asked++ })
		close(release)
		synctest.Wait()
		server.says(`{"jsonrpc":"2.0","id":1,"result":{}}`)
		<-done
		if got := server.answers(); asked != 1 || !slices.Equal(got, []string{`{"jsonrpc":"2.0","id":"q","result":{}}`}) {
			t.Errorf("asked %d times, answered %q", asked, got)
		}
	})
}

func TestWaitingQuestionIsTakenBack(t *testing.T) {
	onWire(t, func(t *testing.T, c *conn, server *wire) {
		release, done := busyCall(c, server, func() { t.Error("asked what was taken back") })
		server.says(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}`)
		close(release)
		synctest.Wait()
		server.says(`{"jsonrpc":"2.0","id":1,"result":{}}`)
		<-done
		if got := server.answers(); len(got) > 0 {
			t.Errorf("answered %q, want nothing", got)
		}
	})
}

// A call that is given up before anybody has looked at the question.
func TestWaitingQuestionOfACallThatIsGivenUp(t *testing.T) {
	onWire(t, func(t *testing.T, c *conn, server *wire) {
		server.onCall = func() error {
			server.says(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?"}}`)
			return context.Canceled
		}
		_, err := c.call(t.Context(), Call{
			Method: "tools/call", deadline: newDeadline(time.Minute, func() {}),
			Request: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
				t.Error("asked for a call that was given up")
				return nil, nil
			},
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the call: %v", err)
		}
		synctest.Wait()
		want := []string{`{"jsonrpc":"2.0","id":"q","error":{"code":-32603,"message":"the call that the request belongs to has ended"}}`}
		if got := server.answers(); !slices.Equal(got, want) {
			t.Errorf("answered %q, want %q", got, want)
		}
	})
}

// Progress of a call that is over belongs to nobody: its token is the gateway's own.
func TestLateProgress(t *testing.T) {
	onWire(t, func(t *testing.T, c *conn, server *wire) {
		var got []string
		c.notify = func(method string, _ json.RawMessage) { got = append(got, method) }
		server.says(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
		server.says(`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`)
		if !slices.Equal(got, []string{"notifications/message"}) {
			t.Errorf("passed on %q, want the log message alone", got)
		}
	})
}
