package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A message is one JSON-RPC message of the server. Its raw parts share memory
// with what was read.
type message struct {
	id     json.RawMessage // nil in a notification
	method string          // "" in an answer
	params json.RawMessage
	result json.RawMessage
	err    *jsonrpc.Error
	size   int // bytes of the whole message
}

func (m *message) isAnswer() bool       { return m.method == "" }
func (m *message) isRequest() bool      { return m.method != "" && m.id != nil }
func (m *message) isNotification() bool { return m.method != "" && m.id == nil }

// answers reports whether m is the answer to request id.
func (m *message) answers(id int64) bool {
	got, ok := parseID(m.id)
	return m.isAnswer() && ok && got == id
}

// answersNobody reports whether m is an error about a request whose id the
// server could not read.
func (m *message) answersNobody() bool {
	return m.isAnswer() && m.err != nil && (m.id == nil || string(m.id) == "null")
}

// outcome is what an answer says.
func (m *message) outcome() (json.RawMessage, error) {
	if m.err != nil {
		return nil, m.err
	}
	return m.result, nil
}

// parseID reads an id that the gateway made. It makes integers only.
func parseID(raw json.RawMessage) (int64, bool) {
	id, err := strconv.ParseInt(string(raw), 10, 64)
	return id, err == nil
}

// eachMessage passes the message in raw, or every one of a batch (revision
// 2025-03-26), to handle.
func eachMessage(raw []byte, handle func(message)) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '[' {
		m, err := parseMessage(raw)
		if err != nil {
			return err
		}
		handle(m)
		return nil
	}
	batch, err := rawjson.ParseArray(raw)
	if err != nil {
		return err
	}
	for _, element := range batch {
		m, err := parseMessage(element)
		if err != nil {
			return err
		}
		handle(m)
	}
	return nil
}

func parseMessage(raw []byte) (message, error) {
	o, err := rawjson.ParseObject(raw)
	if err != nil {
		return message{}, err
	}
	m := message{id: o.Get("id"), params: o.Get("params"), result: o.Get("result"), size: len(raw)}
	m.method, _ = o.GetString("method")
	if e := o.Get("error"); e != nil && string(e) != "null" {
		if m.err, err = parseError(e); err != nil {
			return message{}, err
		}
	}
	if m.isAnswer() && m.result == nil && m.err == nil {
		return message{}, errors.New("a message without method, result and error")
	}
	return m, nil
}

func parseError(raw json.RawMessage) (*jsonrpc.Error, error) {
	o, err := rawjson.ParseObject(raw)
	if err != nil {
		return nil, fmt.Errorf("error: %w", err)
	}
	var code float64
	if err := json.Unmarshal(o.Get("code"), &code); err != nil {
		return nil, errors.New("an error without a numeric code")
	}
	text, _ := o.GetString("message")
	return &jsonrpc.Error{Code: int64(code), Message: text, Data: o.Get("data")}, nil
}

// A request is one request to the server.
type request struct {
	id     int64
	method string
	params json.RawMessage // an object, or nil
	target string          // name or URI that the request is about, if its method has one
	header []headerField   // that the Streamable HTTP transport sends along
	// notify gets the notifications that belong to the request; nil drops them.
	notify func(message)
	// logs says that the request asks a modern server for log messages, which
	// such a server sends for no other request.
	logs bool

	// Of a call, while ctx has not ended: serve serves what the server asks
	// with it; nil refuses.
	ctx      context.Context
	serve    requestHandler
	deadline *deadline // nil in a request of the connection's own
	own      bool      // the gateway's own, though it is a call
}

// A headerField is one header. Its name is in the canonical form.
type headerField struct{ name, value string }

func (r *request) body() []byte {
	b := make([]byte, 0, len(r.params)+len(r.method)+64)
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendInt(b, r.id, 10)
	return finishBody(b, r.method, r.params)
}

func notification(method string, params json.RawMessage) []byte {
	return finishBody([]byte(`{"jsonrpc":"2.0"`), method, params)
}

func finishBody(b []byte, method string, params json.RawMessage) []byte {
	b = append(b, `,"method":`...)
	b = append(b, rawjson.String(method)...)
	if params != nil {
		b = append(b, `,"params":`...)
		b = append(b, params...)
	}
	return append(b, '}')
}

// answerTo builds the gateway's answer to a request of the server; member is
// "result" or "error".
func answerTo(id json.RawMessage, member, value string) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,%q:%s}`, id, member, value)
}
