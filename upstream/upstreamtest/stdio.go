package upstreamtest

import (
	"bufio"
	"context"
	"io"
	"sync"
)

// Stdio serves the script over r and w, as a process does over its stdin and
// stdout, until r ends.
func Stdio(s Script, r io.Reader, w io.Writer) error {
	c := newCore(s)
	var mu sync.Mutex
	send := func(raw string) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.WriteString(w, raw+"\n")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil
		}
		req, err := c.receive(ctx, line, send)
		if err != nil {
			return err
		}
		running.Go(func() { c.serveLine(req) })
	}
}

func (c *core) serveLine(r *Request) {
	if r.Method == "subscriptions/listen" && !c.current().LegacyOnly {
		r.Notify("notifications/subscriptions/acknowledged", acknowledgement(r))
		<-r.Context.Done()
		return
	}
	if raw := c.answer(r); raw != "" {
		r.send(raw)
	}
}
