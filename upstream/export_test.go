package upstream

import "time"

// Hurry makes the supervision of u fast enough for a test that cannot run in a
// bubble. A probe still has the time that a busy machine may need.
func (u *Upstream) Hurry() {
	u.pace = pace{
		probe:   2 * time.Second,
		between: 10 * time.Millisecond,
		look:    50 * time.Millisecond,
		silence: 300 * time.Millisecond,
		idle:    300 * time.Millisecond,
		wait:    20 * time.Second,
		rotate:  20 * time.Millisecond,
	}
}

// AnswersWhileBusy reports whether the server was seen to answer while a call
// was under way.
func (u *Upstream) AnswersWhileBusy() bool { return u.answersWhileBusy.Load() }
