package labels

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// marks are the labels of one owner. Only until when they last changes.
type marks struct {
	revision uint64 // that the store has of them; 0 without one
	names    []string
	labels   []*label // in the order of names
}

// A label lasts until a time. It is stored with a later one, so that not every call
// has to wait for the store: after a restart it lasts that long.
type label struct {
	until  atomic.Int64 // Unix time in ns
	stored int64        // as until
}

// merged are marks of what is stored at a revision, and of what is known already,
// which may be nil. What is known to be stored as late lasts as long as is known.
func (m *marks) merged(revision uint64, stored map[string]time.Time) *marks {
	all := map[string]*label{}
	for i, name := range m.all() {
		all[name] = m.labels[i]
	}
	for name, at := range stored {
		if one := all[name]; one == nil || one.stored < at.UnixNano() {
			all[name] = newLabel(at.UnixNano())
		}
	}
	next := &marks{revision: revision, names: slices.Sorted(maps.Keys(all))}
	for _, name := range next.names {
		next.labels = append(next.labels, all[name])
	}
	return next
}

// unstored are the same marks, of which nothing is stored.
func (m *marks) unstored() *marks {
	next := &marks{names: m.names}
	for _, one := range m.labels {
		copied := newLabel(one.until.Load())
		copied.stored = 0
		next.labels = append(next.labels, copied)
	}
	return next
}

func newLabel(stored int64) *label {
	one := &label{stored: stored}
	one.until.Store(stored)
	return one
}

func (m *marks) all() []string {
	if m == nil {
		return nil
	}
	return m.names
}

// now are the labels that are not over.
func (m *marks) now(now time.Time) []string {
	over := func(i int) bool { return m.labels[i].until.Load() <= now.UnixNano() }
	for i := range m.names {
		if !over(i) {
			continue
		}
		var left []string
		for i, name := range m.names {
			if !over(i) {
				left = append(left, name)
			}
		}
		return left
	}
	return m.names
}

// prolong has labels last for ttl from now, and reports whether that is no news to
// the store: each is there, and is stored to last as long.
func (m *marks) prolong(names []string, now time.Time, ttl time.Duration) bool {
	until := now.Add(ttl).UnixNano()
	for _, name := range names {
		if one := m.get(name); one == nil || one.stored < until {
			return false
		}
	}
	for _, name := range names {
		m.get(name).prolong(until)
	}
	return true
}

func (m *marks) get(name string) *label {
	if m == nil {
		return nil
	}
	if i, ok := slices.BinarySearchFunc(m.names, name, strings.Compare); ok {
		return m.labels[i]
	}
	return nil
}

func (one *label) prolong(until int64) {
	for {
		was := one.until.Load()
		if was >= until || one.until.CompareAndSwap(was, until) {
			return
		}
	}
}

// stored is what is stored, without what is over.
func (m *marks) stored(now time.Time) map[string]time.Time {
	all := map[string]time.Time{}
	for i, name := range m.all() {
		if at := time.Unix(0, m.labels[i].stored); at.After(now) {
			all[name] = at
		}
	}
	return all
}

// at is the revision that is known, 0 for none.
func (m *marks) at() uint64 {
	if m == nil {
		return 0
	}
	return m.revision
}
