package upstream_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/upstream"
)

// process runs the act "faults", supervised in a hurry.
func process(t *testing.T) *running {
	r := run(t, act("faults"), (*upstream.Upstream).Hurry)
	if got := r.Status(); got.State != upstream.Connected {
		t.Fatalf("status %+v, want connected", got)
	}
	return r
}

func (r *running) pid(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(r.mustTool(t, "pid", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// descriptors counts the files that the test holds open.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// Calls that do no harm twice survive the death of the process, which leaves
// nothing behind.
func TestProcessIsKilledUnderCalls(t *testing.T) {
	r := process(t)
	before := descriptors(t)
	for range 10 {
		pid := r.pid(t)
		var calls sync.WaitGroup
		for range 4 {
			calls.Go(func() {
				for range 3 {
					if _, err := r.Call(t.Context(), upstream.Call{Method: "tools/call", Params: toolParams("pid", "{}"), Idempotent: true}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		calls.Wait()
		eventually(t, "the process is another", func() bool { return r.pid(t) != pid })
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	if got := r.Status(); got.Restarts < 10 || got.InFlight != 0 {
		t.Errorf("status %+v, want at least ten restarts and nothing under way", got)
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

// A process that is stopped while it has a call is found out long before the
// call's time is over, and replaced.
func TestProcessIsStoppedDuringACall(t *testing.T) {
	r := process(t)
	pid := r.pid(t)
	failed := make(chan error)
	began := time.Now()
	go func() {
		_, err := r.tool(t.Context(), "hang", "{}")
		failed <- err
	}()
	eventually(t, "it is known to answer while it has a call", r.AnswersWhileBusy)
	stopProcess(t, pid)
	wantError(t, <-failed, "given up: ping: no answer within")
	if took := time.Since(began); took > 30*time.Second { // half of what the call may take
		t.Errorf("it took %v", took)
	}
	if again := r.pid(t); again == pid {
		t.Errorf("still process %d", pid)
	}
	if alive(pid) {
		t.Errorf("process %d is left", pid)
	}
}

// One that is stopped while nobody calls it is replaced as well.
func TestIdleProcessIsStopped(t *testing.T) {
	r := process(t)
	pid := r.pid(t)
	stopProcess(t, pid)
	eventually(t, "it is given up", func() bool { return strings.Contains(r.Status().LastError, "given up: ") })
	if again := r.pid(t); again == pid {
		t.Errorf("still process %d", pid)
	}
}

// One that is stopped and continued before anybody is impatient is kept.
func TestProcessIsStoppedAndContinued(t *testing.T) {
	r := process(t)
	pid := r.pid(t)
	stopProcess(t, pid)
	time.AfterFunc(500*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	if again := r.pid(t); again != pid || r.Status().Restarts != 0 {
		t.Errorf("process %d after %d, status %+v; want the same", again, pid, r.Status())
	}
}

func stopProcess(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}
