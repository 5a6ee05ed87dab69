// Package lsp is a language server for policies: what package check finds while they are
// written, and what can be written where.
//
//	err := lsp.Serve(ctx, os.Stdin, os.Stdout, lsp.Options{Load: load})
//
// It speaks the Language Server Protocol 3.17. Texts are those of the editor where it has
// opened a file; all else is loaded again when it changes.
package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"sync"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Project is what policies are checked against. It must not be changed.
type Project struct {
	// Input has everything but Files and Done.
	Input check.Input
	// Sets are the policies in effect and, where there are some, those that are decided
	// in their shadow; each set is checked by itself.
	Sets [][]source.File
	// Paths are where files are, by their names. Files without one are in no file of
	// their own, and not shown.
	Paths map[string]string
	// Schemas are the input schemas of tools, by entities such as Tool::"github/create_issue".
	Schemas map[string]json.RawMessage
	// Definitions are where aliases are defined, such as Group::platform.
	Definitions map[string]Definition
	// Problem is what is missing of it, and why; "" if nothing is.
	Problem string
}

// A Definition is the line of a file, from 1.
type Definition struct {
	Path string
	Line int
}

// Options say what a server works with.
type Options struct {
	// Load loads the project in a folder, "" for the working directory.
	Load func(ctx context.Context, folder string) (*Project, error)
	// Stamp is a text that changes with what Load reads; nil if nothing does.
	Stamp func() string
	// Resolve is the path by which a file is known in Paths; nil for the path itself.
	Resolve func(path string) string
	Version string
}

// How long the server waits.
const (
	debounce = 40 * time.Millisecond // after a keystroke, for the next one
	poll     = 2 * time.Second       // between looks at files
)

// ErrNoShutdown says that a client left without saying that it would.
var ErrNoShutdown = errors.New("the client ended without a shutdown request")

// Serve serves one client until it leaves or the context ends. It ends in and out, if
// they can be closed, and waits for what it started.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := newServer(o)
	codec := &boundedCodec{}
	stream := jsonrpc2.NewBufferedStream(stdio{in, out}, codec)
	handler := jsonrpc2.HandlerWithError(s.handle).SuppressErrClosed()
	ready := make(chan struct{})
	conn := jsonrpc2.NewConn(ctx, stream, waiting{ready, handler}, jsonrpc2.SetLogger(log.New(io.Discard, "", 0)))
	s.conn = conn
	close(ready)
	var work sync.WaitGroup
	work.Go(func() { s.checkChanges(ctx) })
	work.Go(func() { s.reload(ctx) })
	<-conn.DisconnectNotify()
	cancel()
	work.Wait()
	switch {
	case s.ended():
		return nil
	case codec.failure() != nil:
		return fmt.Errorf("serving an editor: %w", codec.failure())
	}
	return ErrNoShutdown
}

// waiting handles requests once the server has its connection.
type waiting struct {
	ready <-chan struct{}
	jsonrpc2.Handler
}

// Handle implements [jsonrpc2.Handler].
func (w waiting) Handle(ctx context.Context, c *jsonrpc2.Conn, r *jsonrpc2.Request) {
	<-w.ready
	w.Handler.Handle(ctx, c, r)
}

// stdio is what is read and written as one.
type stdio struct {
	io.Reader
	io.Writer
}

// Close closes what can be closed.
func (s stdio) Close() error {
	var errs []error
	for _, end := range []any{s.Reader, s.Writer} {
		if c, ok := end.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
