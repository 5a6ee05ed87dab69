package main

import (
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// gcPercent lets the heap grow to five times what is live before it is
	// collected. What lives is a few MiB, nearly all that a call allocates dies
	// with it: Go's default of 100 costs a tenth more CPU time for each call, a
	// larger value than this gains nothing that can be measured.
	gcPercent = 400
	// memoryLimit is from where on memory matters more than CPU time, where the
	// system sets no limit.
	memoryLimit = 1 << 30
)

// limitMemory tells the garbage collector how to trade memory for CPU time,
// unless the environment does (GOGC, GOMEMLIMIT).
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		limit := int64(memoryLimit)
		if allowed, ok := cgroupLimit(os.DirFS("/")); ok {
			limit = allowed / 10 * 9 // the rest is for what is not the collector's
		}
		debug.SetMemoryLimit(limit)
	}
}

// cgroupLimit is the memory in bytes that the process, and the others in its
// cgroups, may use together, as containers and systemd have it. ok is false
// where there is no such limit, or no cgroups of version 2.
func cgroupLimit(root fs.FS) (limit int64, ok bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		group, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !unified {
			continue
		}
		for ; ; group = path.Dir(group) {
			if own, found := readLimit(root, group); found && (!ok || own < limit) {
				limit, ok = own, true
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return limit, ok
}

// readLimit reads the limit of one cgroup, which may be "max" for none.
func readLimit(root fs.FS, group string) (int64, bool) {
	text, err := fs.ReadFile(root, path.Join("sys/fs/cgroup", group, "memory.max"))
	if err != nil {
		return 0, false
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return limit, err == nil && limit > 0
}
