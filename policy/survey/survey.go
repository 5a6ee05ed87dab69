// Package survey says who may use what: for each caller and each tool, prompt or
// resource whether policies allow it always, only when some condition holds, or never.
//
//	callers := survey.Callers(engine.Policies(), personas)
//	m, err := survey.Of(engine, callers, rows, survey.Options{Groups: ids})
//	fmt.Println(m.At(0, 3).Sentence())
//
// [Compare] finds what is different between the maps of two sets of policies, and
// [WriteHTML] makes a page of one for people to look at. Both enumerate callers and
// tools: of somebody else, such as one who is in two groups at once, they say nothing.
package survey

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
)

// A Row is something that callers may use, and how people know it.
type Row struct {
	Object    *policy.Object
	Kind      string // tool, prompt, resource or template
	Published string // the name that clients know it by, or its URI
}

// Name is the row's own name at its upstream.
func (r Row) Name() string { return r.Object.Origin()[len(r.Object.Upstream())+1:] }

// Options say how callers are made.
type Options struct {
	// Groups are the ids of groups by their aliases, "" for those that are not known.
	Groups map[string]string
	// Now is when personas that have signed in some time ago did so; the zero value
	// means the present.
	Now time.Time
}

// A Map is what all callers may use. It must not be changed.
type Map struct {
	Callers []Caller
	Rows    []Row
	cells   []*explain.Answer
}

// At is what the policies say of a caller and a row, by their places.
func (m *Map) At(caller, row int) *explain.Answer { return m.cells[row*len(m.Callers)+caller] }

// maxCells bounds a map.
const maxCells = 2_000_000

// Of makes the map of what an engine decides. It uses all processors, and fails only
// if there is too much to ask.
func Of(e *policy.Engine, callers []Caller, rows []Row, o Options) (*Map, error) {
	if len(callers)*len(rows) > maxCells {
		return nil, fmt.Errorf("%d callers and %d tools, prompts and resources are more than the %d pairs that are looked at; choose some callers", len(callers), len(rows), maxCells)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	m := &Map{Callers: callers, Rows: rows, cells: make([]*explain.Answer, len(callers)*len(rows))}
	s := newSurveyor(e, o)
	askers := make([]asker, len(callers))
	for i, c := range callers {
		askers[i] = s.asker(c)
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(callers)) {
		all.Go(func() {
			for c := int(next.Add(1)) - 1; c < len(callers); c = int(next.Add(1)) - 1 {
				for r := range rows {
					m.cells[r*len(callers)+c] = askers[c].of(rows[r].Object)
				}
			}
		})
	}
	all.Wait()
	return m, nil
}

// A surveyor has one explainer for all callers of whom the same circumstances are known.
type surveyor struct {
	engine     *policy.Engine
	options    Options
	explainers map[string]*explain.Explainer
}

func newSurveyor(e *policy.Engine, o Options) *surveyor {
	return &surveyor{engine: e, options: o, explainers: map[string]*explain.Explainer{}}
}

// An asker is a caller, and who answers it.
type asker struct {
	principal *policy.Principal
	explainer *explain.Explainer
}

func (a asker) of(o *policy.Object) *explain.Answer { return a.explainer.Of(a.principal, o) }

func (s *surveyor) asker(c Caller) asker {
	p := c.Resolve(s.options.Groups).Principal()
	p.Auth = c.Auth(s.options.Now)
	known := s.engine.Circumstances(&policy.Request{Principal: p, IP: c.IP, Now: s.options.Now}, c.known()...)
	key := string(known.MarshalCedar())
	if s.explainers[key] == nil {
		s.explainers[key] = explain.New(s.engine).Knowing(known)
	}
	return asker{p, s.explainers[key]}
}
