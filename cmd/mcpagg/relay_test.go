package main

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRelayEnds has the relay end with its input, and at a signal, with code 0.
func TestRelayEnds(t *testing.T) {
	for name, end := range map[string]func(cmd *exec.Cmd, stdin io.Closer) error{
		"input":   func(_ *exec.Cmd, stdin io.Closer) error { return stdin.Close() },
		"SIGTERM": func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newHome(t).command("relay", "--out", "127.0.0.1:0", "--out-socket", "out.sock")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stuck := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
			defer stuck.Stop()
			if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
				t.Errorf("prints %q, %v", line, err)
			}
			if err := end(cmd, stdin); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("ends with %v", err)
			}
		})
	}
}

func TestRelayCannotListen(t *testing.T) {
	h := newHome(t)
	for want, args := range map[int][]string{
		exitUsage:   {"relay"},
		exitRunTime: {"relay", "--out", "127.0.0.1:99999", "--out-socket", "out.sock"},
	} {
		if stdout, stderr, code := h.run(t, args...); code != want || stdout != "" || stderr == "" {
			t.Errorf("%v exits with %d: %q %q", args, code, stdout, stderr)
		}
	}
	if stdout, _, _ := h.run(t, "--help"); len(stdout) == 0 || strings.Contains(stdout, "relay") {
		t.Errorf("help lists the relay:\n%s", stdout)
	}
}
