//go:build e2e

package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestEngines has both engines run the probe, without mcpagg.
func TestEngines(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := e.command(ctx, "run", "--rm", "--interactive", "--network", "none", "--pull", "never", probeImage, "lines")
		cmd.Stdin = strings.NewReader("a line\n")
		out, err := cmd.Output()
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		if string(out) != "a line\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})
}
