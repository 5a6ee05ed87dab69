package entra

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// maxPeople bounds the people whose groups are remembered, and maxKept the ids
	// of groups, all of them together.
	maxPeople = 20_000
	maxKept   = 1_000_000
)

// A person is somebody in a tenant; both ids are in lower case.
type person struct{ tenant, id string }

// A membership is what was found out about a person's groups. It never changes.
type membership struct {
	ids   []string
	err   error     // why they are not known
	until time.Time // when they have to be asked for again
}

// memberships remembers what counts still. It is safe for concurrent use.
type memberships struct {
	mu   sync.RWMutex
	of   map[person]*membership // guarded by mu
	kept int                    // ids in all of them; guarded by mu
}

// get is what is known of a person, or nil.
func (m *memberships) get(who person) *membership {
	m.mu.RLock()
	found := m.of[who]
	m.mu.RUnlock()
	if found == nil || !time.Now().Before(found.until) {
		return nil
	}
	return found
}

func (m *memberships) put(who person, found *membership) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked(who)
	if len(m.of) >= maxPeople || m.kept+len(found.ids) > maxKept {
		m.makeRoomLocked(len(found.ids))
	}
	m.of[who] = found
	m.kept += len(found.ids)
}

func (m *memberships) forgetLocked(who person) {
	if old := m.of[who]; old != nil {
		m.kept -= len(old.ids)
		delete(m.of, who)
	}
}

// makeRoomLocked forgets what counts no longer, and then what would count for the
// shortest time, until a quarter is free and the new ids fit.
func (m *memberships) makeRoomLocked(ids int) {
	now := time.Now()
	inOrder := slices.SortedFunc(maps.Keys(m.of), func(a, b person) int { return m.of[a].until.Compare(m.of[b].until) })
	for _, who := range inOrder {
		roomy := len(m.of) <= maxPeople*3/4 && m.kept+ids <= maxKept*3/4
		if roomy && now.Before(m.of[who].until) {
			return
		}
		m.forgetLocked(who)
	}
}
