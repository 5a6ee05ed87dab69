package aggregator

import (
	"cmp"
	linked "container/list"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
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

// A Denial is a tool call, or a request for a prompt or resource, that the gateway
// refused, for a reason that the caller may do something about.
type Denial struct {
	Time time.Time
	// Tool is the published name, or the URI of a resource; "" if the caller's tools
	// were not known.
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

// refuse makes the answer of a refusal, which is noted wherever somebody may look
// for it by the reference that the caller is told.
func (g *Gateway) refuse(r Request, d *denied) (json.RawMessage, error) {
	r.about.reference = rand.Text()[:10]
	g.noteDenial(r, d)
	if r.about.action != "" {
		g.record(r, audit.Deny, d.why()) // it is refused, whether that can be kept or not
	}
	if d.asResult && r.Method == "tools/call" {
		return deniedResult(r.Era, d.answer.Message, r.about.reference), nil
	}
	answer := *d.answer
	answer.Data = rawjson.Value(map[string]string{"reference": r.about.reference})
	return nil, &answer
}

// deniedResult is how a tools/call says what a model and its person can act on.
func deniedResult(era upstream.Era, message, reference string) json.RawMessage {
	text := rawjson.Object{}
	text.Set("type", rawjson.String("text"))
	text.Set("text", rawjson.String(message+"\nReference: "+reference))
	result := rawjson.Object{}
	result.Set("content", rawjson.Array([]json.RawMessage{text.Bytes()}))
	result.Set("isError", json.RawMessage("true"))
	if era == upstream.ModernEra {
		result.Set("resultType", rawjson.String("complete"))
	}
	return result.Bytes()
}

// noteDenial logs a refusal, and remembers it for its caller if it is about
// something that they know.
func (g *Gateway) noteDenial(r Request, refused *denied) {
	about := r.about
	d := Denial{Time: time.Now(), Tool: about.published, Why: shorten(refused.Error()), Reference: about.reference}
	if r.Caller != oauth.Anonymous && (about.action != "" || r.Method == "tools/call") {
		g.denials.add(r.Caller.ID, d)
	}
	if !g.denials.logged.Allow() {
		return
	}
	attributes := append(r.attributes(), "reason", refused.reason, "reference", d.Reference)
	if refused.argument != "" {
		attributes = append(attributes, "argument", refused.argument)
	}
	if about.decision != nil {
		attributes = append(attributes, "policies", idsOf(about.decision.Reasons), "why", cmp.Or(about.decision.Why, refused.Error()))
		if told := about.decision.Told; told != "" {
			attributes = append(attributes, "told", told)
		}
	}
	g.log.Info("refused a call", attributes...)
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
