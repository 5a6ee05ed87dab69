package aggregator

import (
	linked "container/list"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/oauth"
)

const (
	// maxDenials bounds what is remembered for one caller, maxDenied for how many
	// callers, and denialAge for how long.
	maxDenials = 20
	maxDenied  = 2000
	denialAge  = 7 * 24 * time.Hour
	// maxWhy bounds the reason of each, in bytes.
	maxWhy = 240
)

// A Denial is a tool call that the gateway refused, for a reason that the caller
// may do something about.
type Denial struct {
	Time time.Time
	// Tool is the published name, "" if the caller's tools were not known.
	Tool string
	// Why is for the caller alone: it may quote arguments.
	Why string
	// Reference finds it in the gateway's log.
	Reference string
}

// denials remembers the last ones of the callers who were denied something lately.
// It is safe for concurrent use.
type denials struct {
	logged *rate.Limiter // bounds how many are logged

	mu     sync.Mutex
	of     map[string]*linked.Element // by Caller.ID; guarded by mu
	recent linked.List                // of *deniedCaller, the latest first; guarded by mu
}

type deniedCaller struct {
	id   string
	last []Denial // the oldest first
}

func newDenials() *denials {
	return &denials{of: map[string]*linked.Element{}, logged: rate.NewLimiter(5, 50)}
}

// Denials are the latest refusals of the caller's tool calls, the newest first: 20
// at most, none older than a week, and none of a caller whom 2,000 others were
// refused something after.
func (g *Gateway) Denials(c *oauth.Caller) []Denial {
	all := g.denials.last(c.ID)
	old := time.Now().Add(-denialAge)
	all = slices.DeleteFunc(all, func(d Denial) bool { return d.Time.Before(old) })
	slices.Reverse(all)
	return all
}

// noteDenial remembers that a call failed with err, if it is the gateway's own
// refusal. tool is nil if it is not known.
func (g *Gateway) noteDenial(c *oauth.Caller, tool *Tool, err error) {
	if err == nil || c == oauth.Anonymous {
		return
	}
	var refused *denied
	if !errors.As(err, &refused) {
		return
	}
	d := Denial{Time: time.Now(), Why: shorten(refused.Error()), Reference: rand.Text()[:10]}
	var of string
	if tool != nil {
		d.Tool, of = tool.Name, tool.Upstream
	}
	g.denials.add(c.ID, d)
	if g.denials.logged.Allow() {
		g.log.Info("refused a call", "caller", c.ID, "upstream", of, "tool", d.Tool, "reason", refused.reason, "reference", d.Reference)
	}
}

// shorten makes one line of text, of maxWhy bytes at most.
func shorten(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\ufffd")), " ")
	if len(text) <= maxWhy {
		return text
	}
	return strings.ToValidUTF8(text[:maxWhy-len("…")], "") + "…"
}

// add forgets who was denied nothing for longest, if there are too many.
func (ds *denials) add(id string, d Denial) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	e := ds.of[id]
	if e == nil {
		if len(ds.of) >= maxDenied {
			oldest := ds.recent.Remove(ds.recent.Back()).(*deniedCaller)
			delete(ds.of, oldest.id)
		}
		e = ds.recent.PushFront(&deniedCaller{id: id})
		ds.of[id] = e
	}
	ds.recent.MoveToFront(e)
	c := e.Value.(*deniedCaller)
	if len(c.last) >= maxDenials {
		c.last = slices.Delete(c.last, 0, 1)
	}
	c.last = append(c.last, d)
}

func (ds *denials) last(id string) []Denial {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if e := ds.of[id]; e != nil {
		return slices.Clone(e.Value.(*deniedCaller).last)
	}
	return nil
}
