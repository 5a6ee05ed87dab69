package upstream

import (
	"testing"
	"time"
)

// A source that has another value each time does not have its server started
// anew every minute.
func TestRotationPauses(t *testing.T) {
	r := newRotation(nil)
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		if got := r.pause(time.Minute); got != want {
			t.Errorf("after %d changes in a row the next look is in %v, want %v", i, got, want)
		}
		if again := r.note(true); again != (i+1 >= restless) {
			t.Errorf("change %d goes on and on: %v", i+1, again)
		}
	}
	if r.note(false) || r.pause(time.Minute) != time.Minute {
		t.Error("a look that finds nothing does not end it")
	}
}
