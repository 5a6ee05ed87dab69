package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// JSON-RPC error codes.
const (
	codeParse    = -32700
	codeRequest  = -32600
	codeMethod   = -32601
	codeParams   = -32602
	codeMismatch = -32020 // of a header and the body
	codeVersion  = -32022 // of the protocol, not spoken here
)

// A refusal is the answer to a request that the upstream does not serve.
type refusal struct {
	status, code int
	message      string
	supported    []era // of codeVersion
}

func refuse(status, code int, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func (f *refusal) write(w http.ResponseWriter, id json.RawMessage) {
	if id == nil {
		id = json.RawMessage("null")
	}
	text, _ := json.Marshal(f.message) // strings cannot fail
	data := ""
	if f.supported != nil {
		supported, _ := json.Marshal(map[string]any{"supported": f.supported})
		data = `,"data":` + string(supported)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%s%s}}`,
		id, f.code, text, data)
}

// check refuses what a client may not send in the request's era.
func (u *upstream) check(r *http.Request, m *message) *refusal {
	if contentType := r.Header.Get("Content-Type"); !strings.HasPrefix(contentType, "application/json") {
		return refuse(http.StatusUnsupportedMediaType, codeRequest, "content type %q", contentType)
	}
	accept := r.Header.Get("Accept")
	if !strings.Contains(accept, "application/json") || !strings.Contains(accept, "text/event-stream") {
		return refuse(http.StatusNotAcceptable, codeRequest, "accept %q", accept)
	}
	if r.Header.Get(versionHeader) == string(modern) || eraOf(m) == modern {
		return u.checkModern(r, m)
	}
	return u.checkLegacy(r, m)
}

func (u *upstream) checkModern(r *http.Request, m *message) *refusal {
	switch {
	case !u.modern:
		f := refuse(http.StatusBadRequest, codeVersion, "only %s is spoken here", legacy)
		f.supported = []era{legacy}
		return f
	case r.Header.Get(versionHeader) != string(modern) || eraOf(m) != modern:
		return refuse(http.StatusBadRequest, codeMismatch, "%s differs from the body", versionHeader)
	case r.Header.Get(methodHeader) != m.Method:
		return refuse(http.StatusBadRequest, codeMismatch, "%s differs from the body", methodHeader)
	case m.Method == "tools/call" && r.Header.Get(nameHeader) != m.Params.Name:
		return refuse(http.StatusBadRequest, codeMismatch, "%s differs from the body", nameHeader)
	case m.ID != nil && len(m.Params.Meta[metaCapabilities]) == 0:
		return refuse(http.StatusBadRequest, codeParams, "_meta lacks %s", metaCapabilities)
	case m.Method == "initialize":
		return refuse(http.StatusNotFound, codeMethod, "initialize is of another era")
	}
	return nil
}

func (u *upstream) checkLegacy(r *http.Request, m *message) *refusal {
	version := r.Header.Get(versionHeader)
	switch {
	case !u.legacy:
		f := refuse(http.StatusBadRequest, codeVersion, "only %s is spoken here", modern)
		f.supported = []era{modern}
		return f
	case m.Method == "initialize" && m.Params.Version == "":
		return refuse(http.StatusBadRequest, codeParams, "no protocolVersion")
	case m.Method == "initialize":
		return nil
	case r.Header.Get(sessionHeader) == "":
		return refuse(http.StatusBadRequest, codeRequest, "no session")
	case u.session(r) == nil:
		return refuse(http.StatusNotFound, codeRequest, "unknown session")
	case version != string(legacy):
		return refuse(http.StatusBadRequest, codeRequest, "%s is %q", versionHeader, version)
	case m.Method == "server/discover" || m.Method == "subscriptions/listen":
		return refuse(http.StatusNotFound, codeMethod, "%s is of another era", m.Method)
	}
	return nil
}
