package aggregator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A stream on which nothing is said says so, until the answer.
func TestQuietStreamsAreKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		p := newResponder(w, httptest.NewRequest(http.MethodPost, "/mcp", nil), &exchange{id: json.RawMessage("1")})
		time.Sleep(time.Hour)
		if got := w.Body.String(); got != "" {
			t.Errorf("before anything was said: %q", got)
		}
		for range 3 {
			time.Sleep(keepAlive - time.Second)
			if err := p.send([]byte("{}")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2*keepAlive + time.Second)
		p.answer(json.RawMessage("{}"), nil)
		time.Sleep(time.Hour)
		if got := strings.Count(w.Body.String(), ": still here"); got != 2 {
			t.Errorf("%d comments, want 2 in %q", got, w.Body)
		}
		if !strings.HasSuffix(w.Body.String(), `data: {"jsonrpc":"2.0","id":1,"result":{}}`+"\n\n") {
			t.Errorf("after the answer: %q", w.Body)
		}
	})
}
