package aggregator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// redacted takes the place of what the caller may not have.
var redacted = rawjson.String("[redacted]")

// maxRedactDepth bounds how deep paths lead; what is deeper, and may be at the end of
// one, is redacted whole.
const maxRedactDepth = 64

// release makes of what an upstream answered what the caller may have of it, as
// policies demand: no more than so many bytes, and without the values at some paths.
func release(r Request, o source.Obligations, result json.RawMessage, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, redactError(err, o.Redact)
	}
	if o.MaxBytesOut > 0 && int64(len(result)) > o.MaxBytesOut {
		return nil, deniedByPolicy("max_bytes_out", fmt.Sprintf(
			"the result has %d bytes, and may have %s; ask for less at a time", len(result), formatBytes(o.MaxBytesOut)))
	}
	if len(o.Redact) == 0 {
		return result, nil
	}
	return redactResult(r, result, begin(o.Redact))
}

// redactResult takes values out of structured content, and of texts that are JSON.
func redactResult(r Request, result json.RawMessage, paths []way) (json.RawMessage, error) {
	o, err := rawjson.ParseObject(result)
	if err != nil {
		return nil, badResult(r.about.member, err)
	}
	switch r.about.action {
	case toCall:
		if structured := o.Get("structuredContent"); structured != nil {
			o.Set("structuredContent", redact(structured, paths, 0))
		}
		redactEach(&o, "content", func(block *rawjson.Object) { redactBlock(block, paths) })
	case toGet:
		redactEach(&o, "messages", func(message *rawjson.Object) {
			redactIn(message, "content", func(block *rawjson.Object) { redactBlock(block, paths) })
			redactEach(message, "content", func(block *rawjson.Object) { redactBlock(block, paths) })
		})
	case toRead:
		redactEach(&o, "contents", func(contents *rawjson.Object) { redactContents(contents, paths) })
	}
	return o.Bytes(), nil
}

// redactBlock is for a block of content: a text, or a resource with one.
func redactBlock(block *rawjson.Object, paths []way) {
	redactText(block, paths)
	redactIn(block, "resource", func(resource *rawjson.Object) { redactContents(resource, paths) })
}

// redactContents is for what a resource holds, as a text or in base64.
func redactContents(o *rawjson.Object, paths []way) {
	redactText(o, paths)
	redactBlob(o, paths)
}

// redactText is for the text of o, if it is JSON as a whole.
func redactText(o *rawjson.Object, paths []way) {
	text, ok := o.GetString("text")
	if !ok {
		return
	}
	if now, changed := redactJSON(text, paths); changed {
		o.Set("text", rawjson.String(now))
	}
}

// redactBlob is for the bytes that o holds in base64, if they are JSON as a whole,
// whatever their type is said to be. Those that cannot be decoded are withheld: a
// client may take more for base64 than the gateway does.
func redactBlob(o *rawjson.Object, paths []way) {
	blob, ok := o.GetString("blob")
	if !ok {
		return
	}
	plain, err := decodeBlob(blob)
	now, changed := redactJSON(string(plain), paths)
	if err != nil {
		now, changed = string(redacted), true
	}
	if changed {
		o.Set("blob", rawjson.String(base64.StdEncoding.EncodeToString([]byte(now))))
	}
}

// decodeBlob decodes base64 in either alphabet, padded or not, with white space or
// without.
func decodeBlob(blob string) ([]byte, error) {
	compact := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n':
			return -1
		case '-':
			return '+'
		case '_':
			return '/'
		}
		return r
	}, blob)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(compact, "="))
}

// redactJSON takes values out of a text that is JSON as a whole, but for a byte order
// mark.
func redactJSON(text string, paths []way) (now string, changed bool) {
	raw := strings.TrimPrefix(text, "\uFEFF")
	if !json.Valid([]byte(raw)) {
		return text, false
	}
	now = string(redact(json.RawMessage(raw), paths, 0))
	return now, now != raw
}

// redactIn edits the object that o holds under name; anything else stays as it is.
func redactIn(o *rawjson.Object, name string, edit func(*rawjson.Object)) {
	below, err := rawjson.ParseObject(o.Get(name))
	if err != nil {
		return
	}
	edit(&below)
	o.Set(name, below.Bytes())
}

// redactEach edits every object in the array that o holds under name.
func redactEach(o *rawjson.Object, name string, edit func(*rawjson.Object)) {
	elements, err := rawjson.ParseArray(o.Get(name))
	if err != nil {
		return
	}
	for i, raw := range elements {
		if element, err := rawjson.ParseObject(raw); err == nil {
			edit(&element)
			elements[i] = element.Bytes()
		}
	}
	o.Set(name, rawjson.Array(elements))
}

// redactError is for the data of an upstream's error.
func redactError(err error, paths []source.Path) error {
	var answer *jsonrpc.Error
	if len(paths) == 0 || !errors.As(err, &answer) || answer.Data == nil || isDenied(err) {
		return err
	}
	return &jsonrpc.Error{Code: answer.Code, Message: answer.Message, Data: redact(answer.Data, begin(paths), 0)}
}

// redactingLogs is notify without the values at some paths in log messages.
func redactingLogs(notify func(string, json.RawMessage), paths []source.Path) func(string, json.RawMessage) {
	if notify == nil || len(paths) == 0 {
		return notify
	}
	return func(method string, params json.RawMessage) {
		o, err := rawjson.ParseObject(params)
		if method == "notifications/message" && err == nil {
			if data := o.Get("data"); data != nil {
				o.Set("data", redactData(data, begin(paths)))
			}
			params = o.Bytes()
		}
		notify(method, params)
	}
}

// redactData is for the data of a log message, which may be JSON in a text, too.
func redactData(data json.RawMessage, paths []way) json.RawMessage {
	holder := rawjson.Object{}
	holder.Set("text", data)
	redactText(&holder, paths)
	return redact(holder.Get("text"), paths, 0)
}

// A way is what is left of a path at some place.
type way source.Path

func begin(paths []source.Path) []way {
	var all []way
	for _, p := range paths {
		all = append(all, way(p))
	}
	return all
}

// redact takes the values out of raw that ways lead to. All else stays byte for byte.
// What cannot be read in one way is redacted whole.
func redact(raw json.RawMessage, ways []way, depth int) json.RawMessage {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	if len(ways) == 0 || len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
		return raw
	}
	if depth >= maxRedactDepth {
		return redacted
	}
	if trimmed[0] == '[' {
		return redactArray(raw, ways, depth)
	}
	o, err := rawjson.ParseObject(raw)
	if err != nil {
		return redacted
	}
	changed := false
	for i, m := range o {
		if now := redactBelow(m.Value, ways, m.Name, false, depth); !sameRaw(now, m.Value) {
			o[i].Value, changed = now, true
		}
	}
	if !changed {
		return raw
	}
	return o.Bytes()
}

func redactArray(raw json.RawMessage, ways []way, depth int) json.RawMessage {
	elements, err := rawjson.ParseArray(raw)
	if err != nil {
		return redacted
	}
	changed := false
	for i, e := range elements {
		if now := redactBelow(e, ways, "", true, depth); !sameRaw(now, e) {
			elements[i], changed = now, true
		}
	}
	if !changed {
		return raw
	}
	return rawjson.Array(elements)
}

// redactBelow is for one member, or element.
func redactBelow(raw json.RawMessage, ways []way, name string, element bool, depth int) json.RawMessage {
	var on []way
	for _, w := range ways {
		step := w[0]
		if step.Depth {
			on = addWay(on, w)
		}
		if !step.All && (element || step.Name != name) {
			continue
		}
		if len(w) == 1 {
			return redacted
		}
		on = addWay(on, w[1:])
	}
	return redact(raw, on, depth+1)
}

// addWay adds a way unless it is there: several may lead to one place.
func addWay(ways []way, w way) []way {
	if slices.ContainsFunc(ways, func(have way) bool { return len(have) == len(w) && &have[0] == &w[0] }) {
		return ways
	}
	return append(ways, w)
}

// sameRaw reports whether nothing was changed: then it is the same memory.
func sameRaw(a, b json.RawMessage) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
