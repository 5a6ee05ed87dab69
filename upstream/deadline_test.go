package upstream

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		passed := make(chan time.Duration, 1)
		var all deadlines
		d := newDeadline(10*time.Second, func() { passed <- time.Since(began) })
		all.add(d)
		time.Sleep(4 * time.Second)
		one := d.hold()
		time.Sleep(time.Minute)
		two := all.hold()
		one()
		one() // counts once
		time.Sleep(time.Minute)
		two()
		if got, want := <-passed, 2*time.Minute+10*time.Second; got != want {
			t.Errorf("passed after %v, want %v", got, want)
		}
		late := d.hold()
		all.remove(d)
		late()
		time.Sleep(time.Hour)
		if len(passed) != 0 {
			t.Error("passed after it was removed")
		}
	})
}
