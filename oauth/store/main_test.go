package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// A test that needs a process of its own starts this binary again, with the name of
// what to do in there.
const childVariable = "MCPAGG_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	what := os.Getenv(childVariable)
	if what == "" {
		os.Exit(m.Run())
	}
	do, ok := children[what]
	if !ok {
		fmt.Fprintln(os.Stderr, "there is no child", what)
		os.Exit(2)
	}
	if err := do(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is this binary, to do something with a folder.
func child(t *testing.T, what, dir string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), childVariable+"="+what)
	cmd.Stderr = t.Output()
	return cmd
}
