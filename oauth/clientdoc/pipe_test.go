package clientdoc_test

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// A pipeEnd is an end of a net.Pipe with room for what the other end has yet to
// read, as sockets have. Without it, two ends that say goodbye to each other wait.
type pipeEnd struct {
	net.Conn
	out    chan []byte
	once   sync.Once
	closed chan struct{} // when nothing more is to be written
	broken chan struct{} // when nothing more can be
}

func newPipe() (near, far net.Conn) {
	a, b := net.Pipe()
	return newPipeEnd(a), newPipeEnd(b)
}

func newPipeEnd(c net.Conn) *pipeEnd {
	p := &pipeEnd{Conn: c, out: make(chan []byte, 16), closed: make(chan struct{}), broken: make(chan struct{})}
	go p.pass()
	return p
}

// pass hands on what was written, until the end is closed and all has been read,
// or a second after.
func (p *pipeEnd) pass() {
	defer p.Conn.Close()
	defer close(p.broken)
	for {
		select {
		case b := <-p.out:
			if _, err := p.Conn.Write(b); err != nil {
				return
			}
		case <-p.closed:
			for {
				select {
				case b := <-p.out:
					if _, err := p.Conn.Write(b); err != nil {
						return
					}
				default:
					return
				}
			}
		}
	}
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	select {
	case p.out <- bytes.Clone(b):
		return len(b), nil
	case <-p.closed:
	case <-p.broken:
	}
	return 0, net.ErrClosed
}

func (p *pipeEnd) Close() error {
	p.once.Do(func() {
		_ = p.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		_ = p.Conn.SetReadDeadline(time.Now())
		close(p.closed)
	})
	return nil
}

// SetDeadline and SetWriteDeadline leave the time alone that pass has.
func (p *pipeEnd) SetDeadline(t time.Time) error    { return p.SetReadDeadline(t) }
func (p *pipeEnd) SetWriteDeadline(time.Time) error { return nil }

// A pipeListener accepts far ends.
type pipeListener struct {
	pipes  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.pipes:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
