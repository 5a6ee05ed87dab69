package aggregator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// fakeSession is one side of an SDK session in memory; closed ends with it.
func fakeSession(t *testing.T, server *mcp.Server) (ss *mcp.ServerSession, closed <-chan error) {
	t.Helper()
	clientSide, serverSide := mcp.NewInMemoryTransports()
	ss, err := server.Connect(t.Context(), serverSide, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientSide.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	ended := make(chan error, 1)
	go func() { ended <- ss.Wait() }()
	return ss, ended
}

func TestIdleSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		s := newSessions(Limits{SessionIdle: 10 * time.Minute})
		go s.sweep(ctx)
		ss, closed := fakeSession(t, mcp.NewServer(&mcp.Implementation{Name: "t", Version: "1"}, nil))
		s.open(ss, Anonymous)

		time.Sleep(9 * time.Minute)
		leave, ok := s.enter(ss.ID(), Anonymous) // a stream, open for an hour
		if !ok {
			t.Fatal("the session ended early")
		}
		time.Sleep(time.Hour)
		leave()
		time.Sleep(9 * time.Minute)
		if leave, ok := s.enter(ss.ID(), Anonymous); ok {
			leave()
		} else {
			t.Fatal("the session ended although a stream was open")
		}
		time.Sleep(12 * time.Minute)
		if _, ok := s.enter(ss.ID(), Anonymous); ok {
			t.Error("an idle session is still there")
		}
		select {
		case <-closed:
		default:
			t.Error("the SDK's session was not closed")
		}
		if len(s.byID) != 0 || len(s.byCaller) != 0 {
			t.Errorf("left behind: %v %v", s.byID, s.byCaller)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	server := mcp.NewServer(&mcp.Implementation{Name: "t", Version: "1"}, &mcp.ServerOptions{})
	s := newSessions(Limits{Sessions: 1})
	if !s.room(Anonymous) {
		t.Fatal("no room at the start")
	}
	ss, closed := fakeSession(t, server)
	s.open(ss, Anonymous)
	if s.room(Caller{ID: "somebody else"}) {
		t.Error("room for a session beyond the limit")
	}
	s.close(ss.ID())
	s.close(ss.ID())
	if !s.room(Anonymous) {
		t.Error("no room after the session was closed")
	}
	_ = ss.Close()
	<-closed
}

func TestRatesForgetIdleCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(2)
		busy := Caller{ID: "busy"}
		for i := range maxRates {
			r.limiter(Caller{ID: time.Duration(i).String()})
		}
		_ = r.allow(busy)
		if got := len(r.byCaller); got != 1 {
			t.Errorf("%d callers are counted, want 1", got)
		}
		if r.allow(busy) != nil || r.allow(busy) == nil {
			t.Error("not two calls were allowed")
		}
		time.Sleep(30 * time.Second)
		if err := r.allow(busy); err != nil {
			t.Errorf("half a minute later: %v", err)
		}
	})
}
