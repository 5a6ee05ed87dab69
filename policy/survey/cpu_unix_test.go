//go:build unix

package survey_test

import (
	"syscall"
	"time"
)

// clock is how long processors have worked for this process, which is not more where
// others keep them busy.
func clock() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no reason to
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
