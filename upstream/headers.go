package upstream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// Modern requests over HTTP repeat parts of their body in headers (MCP
// 2026-07-28, "Streamable HTTP": Mcp-Method, Mcp-Name, Mcp-Param-*).

// hasTarget reports whether requests of the method are about a name or URI.
func hasTarget(method string) bool {
	return method == "tools/call" || method == "prompts/get" || method == "resources/read"
}

// target is the name or URI that a request is about, which goes into Mcp-Name;
// "" if its method has none.
func target(method string, params rawjson.Object) string {
	var of string
	switch method {
	case "tools/call", "prompts/get":
		of, _ = params.GetString("name")
	case "resources/read":
		of, _ = params.GetString("uri")
	}
	return of
}

const base64Prefix, base64Suffix = "=?base64?", "?="

// headerValue is text as a header value: as it is where that is plain ASCII,
// otherwise in base64.
func headerValue(text string) string {
	if isPlain(text) {
		return text
	}
	return base64Prefix + base64.StdEncoding.EncodeToString([]byte(text)) + base64Suffix
}

func isPlain(text string) bool {
	if strings.Trim(text, " ") != text {
		return false
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return !strings.HasPrefix(text, base64Prefix) || !strings.HasSuffix(text, base64Suffix)
}

// A paramHeader is a tool's property that is annotated with x-mcp-header: its
// value goes into the header as well.
type paramHeader struct {
	path   []string // names of the property and of the objects it is in
	header string   // with the prefix Mcp-Param-
}

// setTools notes which headers the tools want.
func (c *conn) setTools(tools []json.RawMessage) {
	byTool := map[string][]paramHeader{}
	for _, raw := range tools {
		if !bytes.Contains(raw, []byte("x-mcp-header")) {
			continue
		}
		var tool struct {
			Name        string         `json:"name"`
			InputSchema headerProperty `json:"inputSchema"`
		}
		if err := json.Unmarshal(raw, &tool); err == nil {
			byTool[tool.Name] = tool.InputSchema.headers(nil, nil)
		}
	}
	c.paramHeaders.Store(&byTool)
}

// A headerProperty is as much of a JSON schema as says which headers to send.
type headerProperty struct {
	Header     any                        `json:"x-mcp-header"`
	Properties map[string]*headerProperty `json:"properties"`
}

// UnmarshalJSON ignores schemas of another shape, such as true.
func (p *headerProperty) UnmarshalJSON(raw []byte) error {
	type plain headerProperty
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	return json.Unmarshal(raw, (*plain)(p))
}

func (p *headerProperty) headers(path []string, found []paramHeader) []paramHeader {
	for name, property := range p.Properties {
		if property == nil {
			continue
		}
		below := append(path[:len(path):len(path)], name)
		if header, ok := property.Header.(string); ok && isToken(header) {
			found = append(found, paramHeader{below, http.CanonicalHeaderKey("Mcp-Param-" + header)})
		}
		found = property.headers(below, found)
	}
	return found
}

// isToken reports whether s can be part of a header's name (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// paramHeadersOf are the headers that a call of tool sends for its arguments.
func (c *conn) paramHeadersOf(tool, method string, params rawjson.Object) []headerField {
	byTool := c.paramHeaders.Load()
	if method != "tools/call" || byTool == nil {
		return nil
	}
	var fields []headerField
	for _, p := range (*byTool)[tool] {
		if value, ok := primitiveText(valueAt(params.Get("arguments"), p.path)); ok {
			fields = append(fields, headerField{p.header, headerValue(value)})
		}
	}
	return fields
}

func valueAt(raw json.RawMessage, path []string) json.RawMessage {
	for _, name := range path {
		o, err := rawjson.ParseObject(raw)
		if err != nil {
			return nil
		}
		raw = o.Get(name)
	}
	return raw
}

// primitiveText is a string, boolean or integer as text; other values have no
// header, nor have integers that a float64 cannot hold.
func primitiveText(raw json.RawMessage) (string, bool) {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return "", false
	}
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
			return "", false
		}
		return strconv.FormatInt(int64(v), 10), true
	}
	return "", false
}

// CheckParamHeaders makes sure that the Mcp-Param-* headers of a modern call
// repeat the arguments that the tool's definition annotates with x-mcp-header
// (MCP 2026-07-28, "Custom Headers from Tool Parameters").
func CheckParamHeaders(definition, arguments json.RawMessage, h http.Header) error {
	if !bytes.Contains(definition, []byte("x-mcp-header")) {
		return nil
	}
	var tool struct {
		InputSchema headerProperty `json:"inputSchema"`
	}
	if err := json.Unmarshal(definition, &tool); err != nil {
		return nil // it annotates nothing
	}
	for _, p := range tool.InputSchema.headers(nil, nil) {
		if err := p.check(valueAt(arguments, p.path), h.Get(p.header)); err != nil {
			return fmt.Errorf("header mismatch: %s, for the argument %q, %w", p.header, strings.Join(p.path, "."), err)
		}
	}
	return nil
}

func (p paramHeader) check(value json.RawMessage, header string) error {
	if value == nil || string(value) == "null" {
		if header != "" {
			return errors.New("is sent though the argument is not")
		}
		return nil
	}
	if header == "" {
		return errors.New("is missing")
	}
	want, ok := primitiveText(value)
	if !ok {
		return errors.New("stands for a value that no header can repeat")
	}
	got, ok := headerText(header)
	if !ok {
		return errors.New("is not valid base64")
	}
	if value[0] != '"' && sameInteger(got, want) || got == want {
		return nil
	}
	return fmt.Errorf("is %q", printable(header, 80))
}

// headerText is the opposite of headerValue.
func headerText(value string) (string, bool) {
	encoded, ok := strings.CutPrefix(value, base64Prefix)
	encoded, ended := strings.CutSuffix(encoded, base64Suffix)
	if !ok || !ended {
		return value, true
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	return string(text), err == nil
}

// sameInteger compares numbers that may be written differently, such as 1 and 1.0.
func sameInteger(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y && math.Abs(x) < 1<<53
}
