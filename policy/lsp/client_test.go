package lsp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"github.com/mcpagg/mcpagg/policy/lsp"
)

// A client is an editor that is connected to a server.
type client struct {
	t     *testing.T
	conn  *jsonrpc2.Conn
	ended chan error // what Serve returned
	come  chan published

	mu       sync.Mutex
	messages []string // that were shown; guarded by mu
}

// A published message is what a server found in a file.
type published struct {
	URI         string
	Version     int
	Diagnostics []struct {
		Range    lsp.Range
		Severity int
		Code     string
		Message  string
	}
}

// connect starts a server, and greets it.
func connect(t *testing.T, o lsp.Options) *client {
	t.Helper()
	c := &client{t: t, ended: make(chan error, 1), come: make(chan published, 1000)}
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	go func() { c.ended <- lsp.Serve(context.Background(), fromClient, toClient, o) }()
	stream := jsonrpc2.NewBufferedStream(pipes{fromServer, toServer}, jsonrpc2.VSCodeObjectCodec{})
	c.conn = jsonrpc2.NewConn(context.Background(), stream, jsonrpc2.HandlerWithError(c.handle))
	c.call("initialize", `{"processId":null,"rootUri":null,"capabilities":{}}`)
	c.notify("initialized", `{}`)
	return c
}

// leave ends a session as editors do.
func (c *client) leave() {
	c.t.Helper()
	c.call("shutdown", "")
	c.notify("exit", "")
	if err := <-c.ended; err != nil {
		c.t.Errorf("the server ended with %v", err)
	}
	_ = c.conn.Close() // which the server has closed
}

func (c *client) handle(_ context.Context, _ *jsonrpc2.Conn, r *jsonrpc2.Request) (any, error) {
	switch r.Method {
	case "textDocument/publishDiagnostics":
		var p published
		if err := json.Unmarshal(*r.Params, &p); err != nil {
			c.t.Error(err)
		}
		c.come <- p
	case "window/showMessage":
		c.mu.Lock()
		defer c.mu.Unlock()
		c.messages = append(c.messages, string(*r.Params))
	}
	return nil, nil
}

func (c *client) call(method, params string) string {
	c.t.Helper()
	var result json.RawMessage
	if err := c.conn.Call(context.Background(), method, raw(params), &result); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	return string(result)
}

func (c *client) notify(method, params string) {
	c.t.Helper()
	if err := c.conn.Notify(context.Background(), method, raw(params)); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

func raw(params string) any {
	if params == "" {
		return nil
	}
	return json.RawMessage(params)
}

func (c *client) open(uri, text string) {
	c.t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		c.t.Fatal(err)
	}
	c.notify("textDocument/didOpen", `{"textDocument":{"uri":"`+uri+`","languageId":"cedar","version":1,"text":`+string(quoted)+`}}`)
}

// codes waits until a file has findings with these codes alone, and returns them.
func (c *client) codes(uri, want string) published {
	c.t.Helper()
	var last string
	for late := time.After(time.Minute); ; {
		select {
		case p := <-c.come:
			var codes []string
			for _, d := range p.Diagnostics {
				codes = append(codes, d.Code)
			}
			if p.URI == uri && strings.Join(codes, " ") == want {
				return p
			}
			last = fmt.Sprintf("%+v", p)
		case <-late:
			c.t.Fatalf("%s has no findings %q; the last are %s", uri, want, last)
		}
	}
}

type pipes struct {
	io.ReadCloser
	out io.WriteCloser
}

func (p pipes) Write(b []byte) (int, error) { return p.out.Write(b) }

func (p pipes) Close() error {
	_ = p.ReadCloser.Close() // pipes do not fail
	return p.out.Close()
}
