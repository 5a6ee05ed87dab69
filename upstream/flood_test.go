package upstream

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a server does wrong is logged, a flood of it counted.
func TestComplaintsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := newConn(New(Options{Name: "x", Command: []string{"x"}, Log: slog.New(slog.NewTextHandler(&log, nil))}))
		for range 10_000 {
			c.complain("skipped", "line", "junk")
		}
		time.Sleep(time.Second)
		c.complain("skipped", "line", "more")
		if got := strings.Count(log.String(), "\n"); got != 51 {
			t.Errorf("%d lines, want 51", got)
		}
		if !strings.Contains(log.String(), "not_logged_before=9950") {
			t.Error("the log does not say how much it lacks")
		}
		c.close()
	})
}

// What waits for a slow caller is bounded by all that it keeps alive, not by
// the params alone.
func TestWaitingMessagesAreBounded(t *testing.T) {
	c := newConn(New(Options{Name: "x", Command: []string{"x"}, Log: slog.New(slog.DiscardHandler)}))
	defer c.close()
	d := newDuplex(c, nil)
	w := d.expect(&request{id: 1, notify: func(message) {}})
	junk := strings.Repeat("x", 100<<10)
	for range 100 {
		m, err := parseMessage([]byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1},"junk":"` + junk + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		d.pass(m)
	}
	if n := len(w.notes); n == 0 || n > 11 {
		t.Errorf("%d messages of 100 KiB wait, want about 1 MiB of them", n)
	}
}
