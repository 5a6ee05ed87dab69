package aggregator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// serverInfoKey is where a modern server names itself in a result.
const serverInfoKey = "io.modelcontextprotocol/serverInfo"

// finish makes the client's result of the upstream's: the members of the hop
// are the gateway's own, publish (nil for none) rewrites URIs, and all else
// stays byte for byte. A result that needs neither is not even taken apart.
// era is that of the connection which the answer came on.
func (g *Gateway) finish(r Request, era upstream.Era, from *member, result json.RawMessage, publish func(*rawjson.Object) error) (json.RawMessage, error) {
	fromModern := era == upstream.ModernEra
	if trimmed := bytes.TrimLeft(result, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, badResult(from, errors.New("is not a JSON object"))
	}
	if !fromModern && r.Method == "tools/call" && isTask(result) {
		return nil, badResult(from, errors.New("is a task, which the gateway does not support"))
	}
	if !fromModern && r.Era == upstream.LegacyEra && (publish == nil || !mentionsResource(result)) {
		return result, nil
	}
	o, err := rawjson.ParseObject(result)
	if err != nil {
		return nil, badResult(from, fmt.Errorf("is malformed: %w", err))
	}
	came := slices.Clone(o)
	if fromModern {
		if err := g.endHop(&o, r, from); err != nil {
			return nil, badResult(from, err)
		}
	}
	if r.Era == upstream.ModernEra {
		dropLookalikes(&o, "resultType", "inputRequests", "requestState")
		beginHop(&o, r.Method, fromModern)
	}
	if publish != nil && mentionsResource(result) {
		if err := publish(&o); err != nil {
			return nil, badResult(from, err)
		}
	}
	if slices.EqualFunc(o, came, sameMember) {
		return result, nil
	}
	return o.Bytes(), nil
}

// sameMember is quick for a value that nobody has touched.
func sameMember(a, b rawjson.Member) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }

// isTask reports whether an upstream of revision 2025-11-25 answered with the
// handle of a task: to a client that knows none it would be an empty success.
func isTask(result json.RawMessage) bool {
	if !bytes.Contains(result, []byte(`"task"`)) {
		return false
	}
	o, err := rawjson.ParseObject(result)
	return err == nil && o.Get("content") == nil && anObject(o.Get("task")) == nil
}

func eraOfConn(u *upstream.Upstream) upstream.Era {
	if l := u.Listing(); l != nil {
		return l.Era
	}
	return u.Status().Era
}

// mayNeedInput are the methods whose results may ask for input.
var mayNeedInput = map[string]bool{"tools/call": true, "prompts/get": true, "resources/read": true}

// endHop takes out what a modern upstream said to the gateway only.
func (g *Gateway) endHop(o *rawjson.Object, r Request, from *member) error {
	kind, isText := o.GetString("resultType")
	switch {
	case o.Get("resultType") == nil || kind == "complete":
	case !isText:
		return errors.New("has a type that is no text")
	case kind == "input_required" && !mayNeedInput[r.Method]:
		return fmt.Errorf("asks for input, which no answer to %s can", r.Method)
	case kind == "input_required":
		if err := from.publishInputRequests(r, o); err != nil {
			return err
		}
		if err := g.sealState(r, from, o); err != nil {
			return err
		}
	default:
		return fmt.Errorf("has the unknown type %q", kind)
	}
	if r.Era == upstream.LegacyEra {
		o.Delete("resultType")
	}
	meta, err := rawjson.ParseObject(o.Get("_meta"))
	if err != nil || meta.Get(serverInfoKey) == nil {
		return nil
	}
	meta.Delete(serverInfoKey)
	if len(meta) == 0 {
		o.Delete("_meta")
	} else {
		o.Set("_meta", meta.Bytes())
	}
	return nil
}

// beginHop adds what a modern client needs (MCP 2026-07-28, "Results").
// In a legacy upstream's result, resultType has no meaning.
func beginHop(o *rawjson.Object, method string, fromModern bool) {
	if o.Get("resultType") == nil || !fromModern {
		o.Set("resultType", rawjson.String("complete"))
	}
	if kind, _ := o.GetString("resultType"); method != "resources/read" || kind != "complete" {
		return
	}
	if ttl := o.Get("ttlMs"); len(ttl) == 0 || ttl[0] < '0' || ttl[0] > '9' { // absent, or no time
		o.Set("ttlMs", json.RawMessage("0"))
	}
	o.Set("cacheScope", rawjson.String("private")) // what a caller may read is that caller's own
}

func badResult(from *member, err error) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: fmt.Sprintf("upstream %q: its result %v", from.Name, err)}
}

// mentionsResource is a quick look for anything that may hold a URI to
// rewrite; an escaped character in a name or type counts as one, to be safe.
func mentionsResource(result json.RawMessage) bool {
	return bytes.Contains(result, []byte(`resource`)) || bytes.Contains(result, []byte(`"uri"`)) || bytes.Contains(result, []byte(`\u00`))
}

// publishToolResult rewrites the URIs in content (MCP "Tool Result").
func (m *member) publishToolResult(o *rawjson.Object) error {
	return m.rewriteEach(o, "content", m.publishContent)
}

// publishPromptResult rewrites the URIs in messages.
func (m *member) publishPromptResult(o *rawjson.Object) error {
	return m.rewriteEach(o, "messages", func(message *rawjson.Object) error {
		content, err := rawjson.ParseObject(message.Get("content"))
		if err != nil {
			return nil // not a content block: none of the gateway's business
		}
		if err := m.publishContent(&content); err != nil {
			return err
		}
		message.Set("content", content.Bytes())
		return nil
	})
}

// publishReadResult rewrites the URIs of the contents that were read.
func (m *member) publishReadResult(o *rawjson.Object) error {
	return m.rewriteEach(o, "contents", func(contents *rawjson.Object) error {
		setURI(contents, m.publishURI)
		return nil
	})
}

// publishContent rewrites the URI of one content block, if it has one.
func (m *member) publishContent(block *rawjson.Object) error {
	switch kind, _ := block.GetString("type"); kind {
	case "resource_link":
		setURI(block, m.publishLink)
	case "resource":
		resource, err := rawjson.ParseObject(block.Get("resource"))
		if err != nil {
			return nil
		}
		setURI(&resource, m.publishLink)
		block.Set("resource", resource.Bytes())
	}
	return nil
}

func setURI(o *rawjson.Object, publish func(string) string) {
	uri, ok := o.GetString("uri")
	if published := publish(uri); ok && published != uri {
		o.Set("uri", rawjson.String(published))
	}
}

// rewriteEach applies rewrite to every object in the array that o holds under
// name; what is not an array of objects stays as it is.
func (m *member) rewriteEach(o *rawjson.Object, name string, rewrite func(*rawjson.Object) error) error {
	if m.Prefix == "" || o.Get(name) == nil {
		return nil
	}
	elements, err := rawjson.ParseArray(o.Get(name))
	if err != nil {
		return nil
	}
	for i, raw := range elements {
		element, err := rawjson.ParseObject(raw)
		if err != nil {
			continue
		}
		if err := rewrite(&element); err != nil {
			return err
		}
		elements[i] = element.Bytes()
	}
	o.Set(name, rawjson.Array(elements))
	return nil
}
