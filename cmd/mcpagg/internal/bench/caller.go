package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// requestTimeout bounds one request.
	requestTimeout = 15 * time.Second
	// maxAnswer bounds the body of one answer.
	maxAnswer = 64 << 20
)

// A caller is one client with one connection. It writes HTTP itself: next to
// what it measures it costs little, and no goroutine stands between the
// measured time and the wire. It is not safe for concurrent use.
type caller struct {
	address string // host:port
	path    string // of the MCP endpoint
	era     era
	session string // legacy, once open
	token   string // by which it is known, "" if it need not be

	conn   net.Conn // nil before the first request and after the far side closed it
	in     *bufio.Reader
	out    []byte       // the request; kept for its capacity
	body   bytes.Buffer // the answer's body; kept for its capacity
	params []byte       // kept for its capacity
	lastID int
}

func newCaller(address, path string, e era) *caller {
	return &caller{address: address, path: path, era: e}
}

// open makes the caller ready for requests: a legacy session, or proof that
// the far side is modern.
func (c *caller) open() error {
	if c.era == modern {
		_, _, err := c.request("server/discover", "", nil)
		return err
	}
	c.session = ""
	params := `"protocolVersion":"` + string(legacy) + `","capabilities":{},"clientInfo":` + clientInfo
	result, _, err := c.request("initialize", "", []byte(params))
	if err != nil {
		return err
	}
	var agreed struct {
		ProtocolVersion era `json:"protocolVersion"`
	}
	if err := json.Unmarshal(result, &agreed); err != nil || agreed.ProtocolVersion != legacy || c.session == "" {
		return fmt.Errorf("initialize gave no session of %s: %.200s", legacy, result)
	}
	resp, err := c.exchange(http.MethodPost, nil, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	if err == nil && resp.StatusCode != http.StatusAccepted {
		err = c.statusError(resp)
	}
	return err
}

// end closes a legacy session and the connection.
func (c *caller) end() {
	if c.session != "" {
		_, _ = c.exchange(http.MethodDelete, nil, nil) // nothing depends on it
		c.session = ""
	}
	c.disconnect()
}

func (c *caller) disconnect() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

const clientInfo = `{"name":"bench","version":"1.0.0"}`

// modernMeta is what every modern request says about its client.
const modernMeta = `"_meta":{"` + metaVersion + `":"` + string(modern) + `","` + metaCapabilities + `":{},"` + metaClient + `":` + clientInfo + `}`

// request sends a request with these members of params; name is the tool's in
// a tools/call, else "". took ends with the last byte of the answer.
func (c *caller) request(method, name string, members []byte) (result json.RawMessage, took time.Duration, err error) {
	c.lastID++
	var head []string
	p := append(c.params[:0], `{"jsonrpc":"2.0","id":`...)
	p = strconv.AppendInt(p, int64(c.lastID), 10)
	p = append(append(append(p, `,"method":"`...), method...), `","params":{`...)
	if c.era == modern {
		p = append(p, modernMeta...)
		if len(members) > 0 {
			p = append(p, ',')
		}
		head = append(head, methodHeader, method)
		if name != "" {
			head = append(head, nameHeader, name)
		}
	}
	p = append(append(p, members...), "}}"...)
	c.params = p

	start := time.Now()
	resp, err := c.exchange(http.MethodPost, head, p)
	took = time.Since(start)
	if err != nil {
		return nil, took, err
	}
	if id := resp.Header.Get(sessionHeader); id != "" && method == "initialize" {
		c.session = id
	}
	if resp.StatusCode != http.StatusOK {
		return nil, took, c.statusError(resp)
	}
	result, err = findResult(resp.Header.Get("Content-Type"), c.body.Bytes(), strconv.Itoa(c.lastID))
	return result, took, err
}

// exchange sends one HTTP request and reads the whole answer into c.body.
func (c *caller) exchange(method string, head []string, body []byte) (*http.Response, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	resp, err := c.roundTrip(method, head, body)
	if err != nil || resp.Close {
		c.disconnect()
	}
	return resp, err
}

func (c *caller) roundTrip(method string, head []string, body []byte) (*http.Response, error) {
	if err := c.send(method, head, body); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	c.body.Reset()
	n, err := c.body.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && n > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return resp, err
}

func (c *caller) connect() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.address, requestTimeout)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 16<<10)
	return nil
}

// send writes one HTTP request, in one write.
func (c *caller) send(method string, head []string, body []byte) error {
	o := append(c.out[:0], method...)
	o = append(append(append(o, ' '), c.path...), " HTTP/1.1\r\n"...)
	o = appendHeader(o, "Host", c.address)
	if method == http.MethodPost {
		o = appendHeader(o, "Content-Type", "application/json")
		o = appendHeader(o, "Accept", "application/json, text/event-stream")
		o = appendHeader(o, "Content-Length", strconv.Itoa(len(body)))
	} else {
		o = appendHeader(o, "Accept", "text/event-stream")
	}
	if c.token != "" {
		o = appendHeader(o, "Authorization", "Bearer "+c.token)
	}
	if c.session != "" {
		o = appendHeader(o, sessionHeader, c.session)
	}
	if c.session != "" || c.era == modern {
		o = appendHeader(o, versionHeader, string(c.era))
	}
	for i := 0; i+1 < len(head); i += 2 {
		o = appendHeader(o, head[i], head[i+1])
	}
	o = append(append(o, "\r\n"...), body...)
	c.out = o
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(o)
	return err
}

func appendHeader(o []byte, name, value string) []byte {
	o = append(append(o, name...), ": "...)
	return append(append(o, value...), "\r\n"...)
}

// stream opens the legacy session's stream and leaves it open: the caller can
// only be disconnected afterwards.
func (c *caller) stream() error {
	c.disconnect()
	if err := c.connect(); err != nil {
		return err
	}
	if err := c.send(http.MethodGet, nil, nil); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET: HTTP %s", resp.Status)
	}
	return nil
}

func (c *caller) statusError(resp *http.Response) error {
	return fmt.Errorf("HTTP %s: %.300s", resp.Status, bytes.TrimSpace(c.body.Bytes()))
}

// findResult returns the result in an answer of either form.
func findResult(contentType string, body []byte, id string) (json.RawMessage, error) {
	switch {
	case strings.HasPrefix(contentType, "application/json"):
		result, found, err := parseAnswer(body, id)
		if err == nil && !found {
			err = errors.New("the body holds no answer")
		}
		return result, err
	case strings.HasPrefix(contentType, "text/event-stream"):
		return findEvent(body, id)
	}
	return nil, fmt.Errorf("content type %q", contentType)
}

// findEvent returns the result in a finished stream of events, each of one
// line of data, as JSON without line breaks has.
func findEvent(body []byte, id string) (json.RawMessage, error) {
	for line := range bytes.Lines(body) {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if data = bytes.TrimSpace(data); !ok || len(data) == 0 {
			continue
		}
		result, found, err := parseAnswer(data, id)
		if found || err != nil {
			return result, err
		}
	}
	return nil, errors.New("the stream ended without an answer")
}

// parseAnswer reports whether text answers the request; the far side's own
// requests and notifications do not.
func parseAnswer(text []byte, id string) (result json.RawMessage, found bool, err error) {
	var m struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
		Result  json.RawMessage `json:"result"`
		Error   json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, false, fmt.Errorf("%w in %.200s", err, text)
	}
	switch {
	case m.Method != "":
		return nil, false, nil
	case m.JSONRPC != "2.0" || string(m.ID) != id:
		return nil, true, fmt.Errorf("not the answer to request %s: %.200s", id, text)
	case m.Error != nil:
		return nil, true, fmt.Errorf("answered with error %.300s", m.Error)
	case m.Result == nil:
		return nil, true, fmt.Errorf("neither result nor error: %.200s", text)
	}
	return m.Result, true, nil
}
