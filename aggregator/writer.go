package aggregator

import (
	"fmt"
	"net/http"
	"time"
)

// A deadlineWriter gives up on a client that does not read: each write must be
// taken within writeTimeout, however long the answer as a whole may last.
type deadlineWriter struct {
	http.ResponseWriter
	extended time.Time
}

func (w *deadlineWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

func (w *deadlineWriter) Flush() {
	w.extend()
	_ = http.NewResponseController(w.ResponseWriter).Flush() // the next write reports what went wrong
}

// extend moves the deadline, but not for each of the writes that make one
// answer: a second less is no difference.
func (w *deadlineWriter) extend() {
	now := time.Now()
	if now.Sub(w.extended) < time.Second {
		return
	}
	w.extended = now
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(writeTimeout)) // unsupported only by test recorders
}

func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
