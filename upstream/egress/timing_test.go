package egress_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/upstream/egress"
)

// A pipeListener accepts connections that exist in memory only, so that their
// time is that of the test's bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return nil }

func (l *pipeListener) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// bubble runs a proxy in a bubble, with its own names and hosts.
func bubble(t *testing.T, opts egress.Options, run func(t *testing.T, l *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		opts.Allow = parse(t, "api.example.com:443")
		opts.Log = slog.New(slog.DiscardHandler)
		l := newPipeListener()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- egress.New(opts).Serve(ctx, l) }()
		run(t, l)
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func publicOnly(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("8.8.4.5"), netip.MustParseAddr("8.8.4.6")}, nil
}

// answerAfter reads the status line of the answer, and how long it took.
func answerAfter(t *testing.T, conn net.Conn) (string, time.Duration) {
	began := time.Now()
	buf := make([]byte, 4<<10)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(buf[:n]), "\r\n")
	_ = conn.Close()
	return line, time.Since(began)
}

func TestSlowRequests(t *testing.T) {
	bubble(t, egress.Options{}, func(t *testing.T, l *pipeListener) {
		silent := l.dial()
		if line, took := answerAfter(t, silent); line != "HTTP/1.1 408 Request Timeout" || took != 10*time.Second {
			t.Errorf("a client that says nothing gets %q after %v", line, took)
		}
		slow := l.dial()
		var sender sync.WaitGroup
		defer sender.Wait()
		sender.Go(func() {
			for range 1000 { // a byte a second
				if _, err := io.WriteString(slow, "C"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if line, took := answerAfter(t, slow); line != "HTTP/1.1 408 Request Timeout" || took != 10*time.Second {
			t.Errorf("a slow client gets %q after %v", line, took)
		}
	})
}

func TestSlowResolver(t *testing.T) {
	bubble(t, egress.Options{Resolve: func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, func(t *testing.T, l *pipeListener) {
		conn := l.dial()
		_, _ = io.WriteString(conn, connectTo("api.example.com:443"))
		if line, took := answerAfter(t, conn); line != "HTTP/1.1 504 Gateway Timeout" || took != 15*time.Second {
			t.Errorf("got %q after %v", line, took)
		}
	})
}

// TestSlowHosts has three addresses that do not answer: each is tried.
func TestSlowHosts(t *testing.T) {
	var tried []string
	bubble(t, egress.Options{Resolve: publicOnly, Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		began := time.Now()
		<-ctx.Done()
		tried = append(tried, address+" "+time.Since(began).String())
		return nil, ctx.Err()
	}}, func(t *testing.T, l *pipeListener) {
		conn := l.dial()
		_, _ = io.WriteString(conn, connectTo("api.example.com:443"))
		if line, took := answerAfter(t, conn); line != "HTTP/1.1 504 Gateway Timeout" || took != 15*time.Second {
			t.Errorf("got %q after %v", line, took)
		}
		if got, want := strings.Join(tried, ", "), "8.8.4.4:443 5s, 8.8.4.5:443 5s, 8.8.4.6:443 5s"; got != want {
			t.Errorf("tried %s, want %s", got, want)
		}
	})
}

// TestIdleTunnels has a tunnel that is used now and then, and then no more.
func TestIdleTunnels(t *testing.T) {
	bubble(t, egress.Options{Resolve: publicOnly, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go echo(theirs)
		return ours, nil
	}}, func(t *testing.T, l *pipeListener) {
		conn := l.dial()
		_, _ = io.WriteString(conn, connectTo("api.example.com:443"))
		buf := make([]byte, 100)
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(14 * time.Minute)
			_, _ = io.WriteString(conn, "x")
			if n, err := conn.Read(buf); string(buf[:n]) != "x" {
				t.Fatalf("got %q, %v", buf[:n], err)
			}
		}
		began := time.Now()
		_, err := conn.Read(buf)
		if took := time.Since(began); err != io.EOF || took != 15*time.Minute {
			t.Errorf("got %v after %v", err, took)
		}
	})
}

// TestHalfAClientHello has a client that begins TLS and stops.
func TestHalfAClientHello(t *testing.T) {
	bubble(t, egress.Options{Resolve: publicOnly, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go echo(theirs)
		return ours, nil
	}}, func(t *testing.T, l *pipeListener) {
		conn := l.dial()
		_, _ = io.WriteString(conn, connectTo("api.example.com:443"))
		buf := make([]byte, 100)
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "\x16\x03\x01")
		began := time.Now()
		_, err := conn.Read(buf)
		if took := time.Since(began); err != io.EOF || took != 10*time.Second {
			t.Errorf("got %v after %v", err, took)
		}
	})
}
