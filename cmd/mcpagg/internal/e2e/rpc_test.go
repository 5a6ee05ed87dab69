//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	legacyVersion = "2025-11-25"
	modernVersion = "2026-07-28"
)

// A client sends requests and hands back results as the bytes that came, which
// no SDK does: what the gateway passes on is compared byte by byte.
type client interface {
	call(ctx context.Context, method string, params object) (json.RawMessage, error)
}

type object map[string]any

// A message is a JSON-RPC message of any kind.
type message struct {
	ID     json.RawMessage
	Method string
	Result json.RawMessage
	Error  *rpcError
}

type rpcError struct {
	Code    int
	Message string
	Data    json.RawMessage
}

func (e *rpcError) Error() string { return fmt.Sprintf("error %d: %s %s", e.Code, e.Message, e.Data) }

func (m message) answer() (json.RawMessage, error) {
	if m.Error != nil {
		return nil, m.Error
	}
	return m.Result, nil
}

// encode leaves <, > and & as they are, unlike json.Marshal.
func encode(v any) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // the tests pass nothing that cannot be encoded
	}
	return bytes.TrimSpace(buf.Bytes())
}

func request(id int64, method string, params object) object {
	return object{"jsonrpc": "2.0", "id": id, "method": method, "params": params}
}

func initializeParams() object {
	return object{
		"protocolVersion": legacyVersion,
		"capabilities":    object{},
		"clientInfo":      object{"name": "e2e", "version": "1"},
	}
}

// An httpClient speaks Streamable HTTP in one era.
type httpClient struct {
	url     string
	session string // legacy only
	http    *http.Client
	ids     atomic.Int64
}

func newHTTPClient(t testing.TB, url string) *httpClient {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &httpClient{url: url, http: &http.Client{Transport: transport, Timeout: 2 * time.Minute}}
}

// legacy opens a session of the newest revision that has sessions.
func legacy(t testing.TB, url string) *httpClient {
	t.Helper()
	c := newHTTPClient(t, url)
	resp, err := c.post(t.Context(), request(0, "initialize", initializeParams()), nil)
	if err != nil {
		t.Fatalf("initialize: %v", err)
	}
	defer resp.Body.Close()
	if _, err := readAnswer(resp, "0"); err != nil {
		t.Fatalf("initialize: %v", err)
	}
	c.session = resp.Header.Get("Mcp-Session-Id")
	if c.session == "" {
		t.Fatal("initialize: no session")
	}
	resp, err = c.post(t.Context(), object{"jsonrpc": "2.0", "method": "notifications/initialized"}, c.sessionHeader())
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("notifications/initialized: %v, status %v", err, resp)
	}
	resp.Body.Close()
	return c
}

// modern needs no handshake.
func modern(t testing.TB, url string) *httpClient { return newHTTPClient(t, url) }

func (c *httpClient) sessionHeader() http.Header {
	return http.Header{"Mcp-Session-Id": {c.session}, "Mcp-Protocol-Version": {legacyVersion}}
}

func (c *httpClient) call(ctx context.Context, method string, params object) (json.RawMessage, error) {
	header := c.sessionHeader()
	if c.session == "" {
		header, params = modernRequest(method, params)
	}
	id := c.ids.Add(1)
	resp, err := c.post(ctx, request(id, method, params), header)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readAnswer(resp, fmt.Sprint(id))
}

// modernRequest adds what takes the place of the handshake.
func modernRequest(method string, params object) (http.Header, object) {
	meta := object{
		"io.modelcontextprotocol/protocolVersion":    modernVersion,
		"io.modelcontextprotocol/clientInfo":         object{"name": "e2e", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": object{},
	}
	if own, ok := params["_meta"].(object); ok {
		maps.Copy(meta, own)
	}
	with := object{}
	maps.Copy(with, params)
	with["_meta"] = meta
	header := http.Header{"Mcp-Protocol-Version": {modernVersion}, "Mcp-Method": {method}}
	for _, key := range []string{"name", "uri"} { // no method has both
		if name, ok := params[key].(string); ok {
			header.Set("Mcp-Name", name)
		}
	}
	return header, with
}

func (c *httpClient) post(ctx context.Context, body object, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(encode(body)))
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	return c.http.Do(req)
}

// close ends a legacy session.
func (c *httpClient) close(t testing.TB) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, c.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = c.sessionHeader()
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatalf("ending the session: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("ending the session: status %d", resp.StatusCode)
	}
	c.http.CloseIdleConnections()
}

// readAnswer finds the response to a request in JSON or an event stream.
func readAnswer(resp *http.Response, id string) (json.RawMessage, error) {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return readEvents(resp.Body, id)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil || m.Result == nil && m.Error == nil {
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, short(string(body)))
	}
	return m.answer()
}

func readEvents(body io.Reader, id string) (json.RawMessage, error) {
	lines := bufio.NewReader(body)
	var data []byte
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("event stream without the answer: %w", err)
		}
		if part, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(data, bytes.TrimSpace(part)...)
			continue
		}
		if len(bytes.TrimSpace(line)) > 0 || len(data) == 0 {
			continue // another field, or an event without data
		}
		var m message
		if err := json.Unmarshal(data, &m); err != nil {
			return nil, fmt.Errorf("event %s: %w", short(string(data)), err)
		}
		if m.Method == "" && string(m.ID) == id {
			return m.answer()
		}
		data = nil
	}
}

// A stdioClient speaks with a program over its stdin and stdout.
type stdioClient struct {
	*daemon
	ids atomic.Int64

	mu      sync.Mutex
	waiting map[string]chan message // guarded by mu; by request id
}

// stdio starts a program and initializes a session with it.
func stdio(t testing.TB, s sandbox, env []string, argv ...string) *stdioClient {
	t.Helper()
	r, w := io.Pipe()
	c := &stdioClient{waiting: map[string]chan message{}}
	c.daemon = s.start(t, w, env, argv...)
	t.Cleanup(c.leave)
	go func() {
		<-c.exited
		w.Close()
	}()
	go c.read(r)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.call(ctx, "initialize", initializeParams()); err != nil {
		t.Fatalf("%s: initialize: %v", strings.Join(argv, " "), err)
	}
	if err := c.send(object{"jsonrpc": "2.0", "method": "notifications/initialized"}); err != nil {
		t.Fatalf("%s: notifications/initialized: %v", strings.Join(argv, " "), err)
	}
	return c
}

// leave ends the session. Servers that do not end with it are killed later.
func (c *stdioClient) leave() {
	c.stdin.Close()
	select {
	case <-c.exited:
	case <-time.After(3 * time.Second):
	}
}

func (c *stdioClient) call(ctx context.Context, method string, params object) (json.RawMessage, error) {
	id := c.ids.Add(1)
	answer := make(chan message, 1)
	c.mu.Lock()
	c.waiting[fmt.Sprint(id)] = answer
	c.mu.Unlock()
	if err := c.send(request(id, method, params)); err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		return m.answer()
	case <-c.exited:
		return nil, errors.New("the program ended")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *stdioClient) send(m object) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.stdin.Write(append(encode(m), '\n'))
	return err
}

// read hands answers out. Servers may ask for nothing, as the client has no
// capabilities, so that requests of theirs are ignored, like notifications.
func (c *stdioClient) read(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(line, &m) != nil || m.Method != "" {
			continue
		}
		c.mu.Lock()
		answer, ok := c.waiting[string(m.ID)]
		delete(c.waiting, string(m.ID))
		c.mu.Unlock()
		if ok {
			answer <- m
		}
	}
}

// callTool calls a tool and returns its result.
func callTool(ctx context.Context, c client, name string, arguments any) (json.RawMessage, error) {
	return c.call(ctx, "tools/call", object{"name": name, "arguments": arguments})
}
