package upstream_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/upstream"
)

// A rotating is a secret that the test changes.
type rotating struct {
	mu    sync.Mutex
	value string
	err   error
	asked int
}

func (r *rotating) secret(context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return r.value, r.err
}

func (r *rotating) set(value string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.value, r.err = value, err
}

func (r *rotating) times() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// rotatingProcess runs a process whose variable TOKEN is r.
func rotatingProcess(t *testing.T, r *rotating) *running {
	t.Helper()
	opts := act("faults")
	opts.Env["TOKEN"] = r.secret
	return run(t, opts, (*upstream.Upstream).Hurry)
}

const oldToken, newToken = "hunter2-hunter2", "correct-horse-battery"

func TestRotationStartsTheProcessAnew(t *testing.T) {
	secret := &rotating{value: oldToken}
	r := rotatingProcess(t, secret)
	pid := r.pid(t)
	r.mustTool(t, "leak", "{}")
	time.Sleep(time.Second) // a process that dies younger than that is not started anew at once
	secret.set(newToken, nil)
	eventually(t, "another process", func() bool { return r.pid(t) != pid })
	if got := r.mustTool(t, "env", "{}"); !strings.Contains(got, "TOKEN="+newToken) {
		t.Errorf("its environment is %s", got)
	}
	r.mustTool(t, "leak", "{}")
	eventually(t, "the lines are logged", func() bool { return r.log.count("my token is [redacted]") == 2 })
	for text, want := range map[string]int{
		`"a secret has changed; starting the server anew" upstream=x env=[TOKEN]`: 1,
		"connection lost": 0, oldToken: 0, newToken: 0,
	} {
		if n := r.log.count(text); n != want {
			t.Errorf("%q is in the log %d times, want %d:\n%s", text, n, want, r.log)
		}
	}
}

// No call fails since a secret changes: those under way end on the old process,
// and others wait for the new one.
func TestRotationUnderCalls(t *testing.T) {
	secret, signal := &rotating{value: oldToken}, filepath.Join(t.TempDir(), "signal")
	opts := act("faults")
	opts.Env["TOKEN"], opts.Env["CHILD"] = secret.secret, value(signal)
	r := run(t, opts, (*upstream.Upstream).Hurry)
	type answer struct {
		text string
		err  error
	}
	call := func(tool string) <-chan answer {
		answers := make(chan answer, 1)
		go func() {
			raw, err := r.tool(t.Context(), tool, "{}")
			answers <- answer{string(raw), err}
		}()
		return answers
	}
	underWay := call("env-at-signal")
	time.Sleep(time.Second)
	secret.set(newToken, nil)
	eventually(t, "the change is seen", func() bool { return r.log.count("a secret has changed") == 1 })
	var later []<-chan answer
	for range 20 {
		later = append(later, call("env"))
	}
	select {
	case a := <-later[0]:
		t.Errorf("a call went to the old process: %v", a)
	case <-time.After(50 * time.Millisecond):
	}
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	must := func(a answer, want string) {
		t.Helper()
		if a.err != nil || !strings.Contains(a.text, want) {
			t.Errorf("a call returned %.200s, %v; want %s", a.text, a.err, want)
		}
	}
	must(<-underWay, oldToken)
	for _, answers := range later {
		must(<-answers, "TOKEN="+newToken)
	}
}

func TestRotationWhileTheSourceIsDown(t *testing.T) {
	secret := &rotating{value: oldToken}
	r := rotatingProcess(t, secret)
	pid := r.pid(t)
	secret.set("", errors.New("the vault is closed"))
	before := secret.times()
	eventually(t, "the secret is asked", func() bool { return secret.times() > before+5 })
	if now := r.pid(t); now != pid {
		t.Errorf("the process was started anew without its secret")
	}
	secret.set(oldToken, nil)
	before = secret.times()
	eventually(t, "the secret is asked", func() bool { return secret.times() > before+5 })
	if now := r.pid(t); now != pid {
		t.Errorf("the process was started anew though nothing has changed")
	}
}

// A call that does not end holds up the new process for the time that a call has.
func TestRotationUnderAnEndlessCall(t *testing.T) {
	secret := &rotating{value: oldToken}
	opts := act("faults")
	opts.Env["TOKEN"] = secret.secret
	opts.CallTimeout = 2 * time.Second
	r := run(t, opts, (*upstream.Upstream).Hurry)
	hanging := make(chan error, 1)
	go func() {
		_, err := r.tool(t.Context(), "hang", "{}")
		hanging <- err
	}()
	time.Sleep(time.Second)
	secret.set(newToken, nil)
	eventually(t, "the change is seen", func() bool { return r.log.count("a secret has changed") == 1 })
	if got := r.mustTool(t, "env", "{}"); !strings.Contains(got, "TOKEN="+newToken) {
		t.Errorf("its environment is %s", got)
	}
	if err := <-hanging; err == nil {
		t.Error("the endless call has ended well")
	}
}
