package main

import "golang.org/x/sys/unix"

// hideMemory keeps processes of the same user, such as the upstreams that the
// gateway starts, from reading its memory and environment, where secrets are,
// and the kernel from writing them into a core dump. What it starts is not
// hidden by that.
func hideMemory() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
