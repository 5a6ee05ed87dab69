package aggregator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// A deadlineWriter gives up on a client that does not read: each write must be
// taken within writeTimeout, however long the answer as a whole may last.
type deadlineWriter struct{ http.ResponseWriter }

func (w *deadlineWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

func (w *deadlineWriter) Flush() {
	w.extend()
	_ = http.NewResponseController(w.ResponseWriter).Flush() // the next write reports what went wrong
}

func (w *deadlineWriter) extend() {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout)) // unsupported only by test recorders
}

func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// An errorWriter turns the SDK's plain-text refusals into JSON-RPC errors, so
// that a client sees one form of error only.
type errorWriter struct {
	http.ResponseWriter
	id     json.RawMessage // of the request, or nil
	status int             // of a refusal whose text is still to come
}

func (w *errorWriter) WriteHeader(status int) {
	if status >= 400 && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		w.Header().Del("Content-Length")
		w.status = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *errorWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		return w.ResponseWriter.Write(p)
	}
	writeError(w.ResponseWriter, w.status, w.id, jsonrpc.CodeInvalidRequest, string(bytes.TrimSpace(p)))
	w.status = 0
	return len(p), nil
}

func (w *errorWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() } // as above

func (w *errorWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func formatBytes(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
