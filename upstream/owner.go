package upstream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// An owner is the process that a container belongs to, as it stands in the
// container's label: machine, boot, namespace of process ids, process id, and
// when the process began. The last two say for sure which process it is only
// where the first three are the same.
type owner struct {
	machine, boot, namespace string
	pid                      int
	began                    string
}

func thisProcess() owner {
	o := owner{pid: os.Getpid()}
	name, _ := os.Hostname()
	sum := sha256.Sum256([]byte(contentOf("/etc/machine-id") + "\n" + name))
	o.machine = hex.EncodeToString(sum[:6])
	o.boot, _, _ = strings.Cut(contentOf("/proc/sys/kernel/random/boot_id"), "-")
	o.namespace, _ = os.Readlink("/proc/self/ns/pid") // "pid:[4026531836]"
	o.namespace = strings.Trim(o.namespace, "pid:[]")
	o.began = beginOf(o.pid)
	return o
}

func contentOf(path string) string {
	text, _ := os.ReadFile(path) // missing on other systems than Linux
	return strings.TrimSpace(string(text))
}

// ended is in the place of when a process began that has ended.
const ended = "-"

// beginOf is when a process began, in clock ticks since the boot; ended if it is
// a zombie, and "" if that cannot be known: /proc may hide the processes of other
// users (proc(5), hidepid).
func beginOf(pid int) string { return beginIn(contentOf("/proc/" + strconv.Itoa(pid) + "/stat")) }

// beginIn is beginOf for the text of /proc/pid/stat.
func beginIn(stat string) string {
	const state, began = 0, 19 // fields 3 and 22, counted behind the name, which may hold anything
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	switch {
	case len(fields) <= began:
		return ""
	case fields[state] == "Z":
		return ended
	}
	return fields[began]
}

// isNot reports whether the process with the owner's id, which began then, is
// another one for sure.
func (o owner) isNot(began string) bool { return o.began != "" && began != "" && began != o.began }

func (o owner) String() string {
	return strings.Join([]string{o.machine, o.boot, o.namespace, strconv.Itoa(o.pid), o.began}, "/")
}

func parseOwner(label string) (owner, bool) {
	parts := strings.Split(label, "/")
	if len(parts) != 5 {
		return owner{}, false
	}
	pid, err := strconv.Atoi(parts[3])
	return owner{parts[0], parts[1], parts[2], pid, parts[4]}, err == nil && pid > 0
}

// outlived reports whether the process of a label has ended for sure: it ran on
// this machine, and this one, which asks, can tell.
func (o owner) outlived(label string) bool {
	other, ok := parseOwner(label)
	switch {
	case !ok || other.machine != o.machine:
		return false
	case other.boot != o.boot:
		return true
	case other.namespace != o.namespace:
		return false
	case errors.Is(syscall.Kill(other.pid, 0), syscall.ESRCH):
		return true
	}
	return other.isNot(beginOf(other.pid))
}
