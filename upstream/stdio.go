package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"syscall"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A stdio is the transport to a process: one message a line (MCP "stdio").
type stdio struct {
	*duplex
	*process
	max          int
	writeTimeout time.Duration
	grace        time.Duration // between the steps of stopping the process
	log          *slog.Logger
	out          chan []byte // unbuffered: a message is taken when the one before is written
	running      group
}

// startStdio starts a program.
func startStdio(run *program, opts Options, c *conn) (*stdio, error) {
	s := &stdio{
		max:          opts.MaxMessageBytes,
		writeTimeout: opts.CallTimeout,
		grace:        stopGrace,
		log:          opts.Log,
		out:          make(chan []byte),
	}
	s.duplex = newDuplex(c, s.enqueue)
	var err error
	if s.process, err = startProcess(run, opts.Log); err != nil {
		return nil, err
	}
	s.watch(s.readMessages)
	s.running.start(s.writeMessages)
	s.running.start(func() {
		<-s.exited
		c.end(s.cause)
	})
	return s, nil
}

func (s *stdio) close() {
	if s.conn.isGivenUp() {
		s.grace = probedGrace // one that hangs will not end by itself
	}
	s.stop(s.grace)
	s.running.wait()
}

// enqueue hands a message to the writer.
func (s *stdio) enqueue(ctx context.Context, body []byte) error {
	select {
	case s.out <- body:
		return nil
	case <-s.conn.life.Done():
		return &unsentError{context.Cause(s.conn.life)}
	case <-ctx.Done():
		var timeout *timeoutError
		if errors.As(context.Cause(ctx), &timeout) {
			return errNotRead
		}
		return context.Cause(ctx)
	}
}

func (s *stdio) writeMessages() {
	for {
		select {
		case <-s.conn.life.Done():
			return
		case body := <-s.out:
			_ = s.stdin.SetWriteDeadline(time.Now().Add(s.writeTimeout))
			line := asLine(body)
			if n, err := s.stdin.Write(line); err != nil {
				if n < len(line) && errors.Is(err, syscall.EPIPE) {
					s.unread(line)
				}
				s.writeFailed(err)
				return
			}
		}
	}
}

// unread notes that a message was not read to its end, nor will be.
func (s *stdio) unread(line []byte) {
	if id, _ := identify(line, nil); id != 0 {
		s.unsent(id)
	}
}

// writeFailed ends the connection. A process that is just ending gets the time
// to say why.
func (s *stdio) writeFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.conn.end(errNotRead)
		return
	}
	if !s.waitExit(pipeGrace) {
		s.conn.end(&brokenError{errors.New("has closed its input")})
	}
}

// asLine ends a message with LF. White space between its tokens may hold line
// ends, which become spaces; inside a string JSON has none.
func asLine(body []byte) []byte {
	for _, end := range []byte{'\n', '\r'} {
		for i := bytes.IndexByte(body, end); i >= 0; i = bytes.IndexByte(body, end) {
			body[i] = ' '
		}
	}
	return append(body, '\n')
}

func (s *stdio) readMessages(stdout io.Reader) {
	lines := newLineReader(s.conn.listening(stdout), s.max)
	for {
		line, tail, err := lines.next()
		switch {
		case err != nil:
			s.outputEnded()
			return
		case tail != nil:
			s.oversized(line, tail)
		default:
			s.readLine(line)
		}
	}
}

func (s *stdio) readLine(line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	if err := eachMessage(line, s.pass); err != nil {
		id, _ := identify(line, line)
		if id != 0 && s.settle(id, outcome{err: fmt.Errorf("answered with a malformed message: %w", err)}) {
			return
		}
		s.conn.complain("skipped text on stdout that is no message", "line", s.redacted(line), "err", err)
	}
}

func (s *stdio) redacted(line []byte) string {
	return printable(s.secrets.redact(string(line[:min(len(line), 1000)])), 200)
}

// outputEnded ends a connection whose process closed its stdout but lives on.
func (s *stdio) outputEnded() {
	s.running.start(func() {
		if !s.waitExit(2 * pipeGrace) {
			s.conn.end(&brokenError{errors.New("has closed its output")})
		}
	})
}

// oversized fails the one call that a message over the limit answers. Where
// its two ends do not tell which that is, the connection fails.
func (s *stdio) oversized(head, tail []byte) {
	err := &oversizeError{s.max}
	id, notification := identify(head, tail)
	switch {
	case notification:
		s.conn.complain("dropped a notification", "err", err)
	case s.settle(id, outcome{err: err}):
	case id != 0:
		s.conn.complain("dropped an answer nobody waits for", "err", err)
	default:
		s.conn.end(err)
	}
}

var idAtEnd = regexp.MustCompile(`"id"\s*:\s*(\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)

// identify finds the id of a message of which only the ends are known. Servers
// write it ahead of the result or last.
func identify(head, tail []byte) (id int64, notification bool) {
	d := jsontext.NewDecoder(bytes.NewReader(head[:min(len(head), 4<<10)]))
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() == '"' {
		var key jsontext.Token
		if key, err = d.ReadToken(); err != nil {
			break
		}
		name := key.String()
		var value jsontext.Value
		if value, err = d.ReadValue(); err != nil {
			break
		}
		switch name {
		case "id":
			id, _ = parseID([]byte(value))
			return id, false
		case "method":
			notification = true
		}
	}
	if m := idAtEnd.FindSubmatch(tail); m != nil && !notification {
		id, _ = parseID(m[1])
	}
	return id, notification
}
