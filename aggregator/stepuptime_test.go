package aggregator

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestChallenges makes sure that nobody signs in forever, and that what is remembered
// for that is bounded.
func TestChallenges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c challenges
		ann := challenge{"ann", "c1"}
		begins := func(what string, key challenge, want bool) {
			t.Helper()
			if got := c.begin(key, time.Now()); got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		begins("the first", ann, true)
		begins("at once", ann, false)
		begins("another context", challenge{"ann", "c2"}, true)
		time.Sleep(challengedFor - time.Second)
		begins("within the hour", ann, false)
		time.Sleep(time.Second)
		begins("after an hour", ann, true)
		for i := range maxChallenged {
			c.begin(challenge{strconv.Itoa(i), "c1"}, time.Now())
		}
		begins("one too many", challenge{"bob", "c1"}, false)
		if len(c.made) != maxChallenged {
			t.Errorf("%d are remembered", len(c.made))
		}
		time.Sleep(challengedFor)
		begins("when there is room", challenge{"bob", "c1"}, true)
		if len(c.made) != 1 {
			t.Errorf("%d are remembered after an hour", len(c.made))
		}
	})
}
