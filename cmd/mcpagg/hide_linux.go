package main

import (
	"cmp"

	"golang.org/x/sys/unix"
)

// hideMemory keeps processes of the same user, such as the upstreams that the
// gateway starts, from reading its memory and environment, where secrets are,
// and the kernel from writing them into a core dump. Of what it starts, which
// has secrets too, there are no core dumps either.
func hideMemory() error {
	var core unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &core)
	if err == nil {
		core.Cur = 0
		err = unix.Setrlimit(unix.RLIMIT_CORE, &core)
	}
	return cmp.Or(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), err)
}
