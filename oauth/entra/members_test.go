package entra

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func someone(i int) person { return person{"6c1f6c8e", fmt.Sprint("person ", i)} }

func newMemberships() *memberships { return &memberships{of: map[person]*membership{}} }

// TestManyPeopleAreRemembered goes beyond how many may be: those who count for
// the shortest time are forgotten, and as few as a quarter of all.
func TestManyPeopleAreRemembered(t *testing.T) {
	m := newMemberships()
	begin := time.Now()
	for i := range maxPeople + 1 {
		m.put(someone(i), &membership{ids: []string{"a"}, until: begin.Add(time.Hour + time.Duration(i)*time.Second)})
		if len(m.of) > maxPeople {
			t.Fatalf("%d people are remembered", len(m.of))
		}
	}
	if n := len(m.of); n != maxPeople*3/4+1 || m.kept != n {
		t.Errorf("%d people are remembered, with %d ids", n, m.kept)
	}
	if m.get(someone(0)) != nil || m.get(someone(maxPeople/4-1)) != nil || m.get(someone(maxPeople/4)) == nil || m.get(someone(maxPeople)) == nil {
		t.Error("others were forgotten than those who come first")
	}
}

func TestManyIDsAreRemembered(t *testing.T) {
	m := newMemberships()
	ids := make([]string, maxListed)
	for i := range 100 {
		m.put(someone(i), &membership{ids: ids, until: time.Now().Add(time.Hour)})
		if m.kept > maxKept || m.kept != len(m.of)*maxListed {
			t.Fatalf("%d ids of %d people are remembered", m.kept, len(m.of))
		}
		if m.get(someone(i)) == nil {
			t.Fatal("the last one is forgotten")
		}
	}
	m.put(someone(99), &membership{err: errors.New("x"), until: time.Now().Add(time.Hour)})
	if m.kept != (len(m.of)-1)*maxListed {
		t.Errorf("%d ids of %d people are remembered", m.kept, len(m.of)-1)
	}
}

// TestWhatIsOverGoesFirst makes room without forgetting anybody who counts.
func TestWhatIsOverGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemberships()
		for i := range maxPeople {
			m.put(someone(i), &membership{until: time.Now().Add(time.Duration(1+i%2) * time.Hour)})
		}
		time.Sleep(time.Hour)
		m.put(someone(maxPeople), &membership{until: time.Now().Add(time.Hour)})
		if n := len(m.of); n != maxPeople/2+1 {
			t.Errorf("%d people are remembered, want %d", n, maxPeople/2+1)
		}
	})
}
