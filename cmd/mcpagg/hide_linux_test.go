package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestMemoryIsHidden asks the kernel. That serve works without is what all its
// other tests show.
func TestMemoryIsHidden(t *testing.T) {
	dumpable := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := dumpable()
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(before), 0, 0, 0) })
	if err := hideMemory(); err != nil || dumpable() != 0 {
		t.Errorf("dumpable is %d after hideMemory returned %v", dumpable(), err)
	}
}
