package cli_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
)

func TestUsageErrorHasItsCodeAndCause(t *testing.T) {
	err := cli.UsageError("reading %s: %w", "a.json", fs.ErrNotExist)
	var exit *cli.ExitError
	if !errors.As(err, &exit) || exit.Code != cli.ExitUsage {
		t.Errorf("%#v has not the code %d", err, cli.ExitUsage)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v does not wrap its cause", err)
	}
	if got, want := err.Error(), "reading a.json: file does not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVisibleCommandsNoTerminal(t *testing.T) {
	if got, want := cli.Visible("a\x1b[2Jb\n\u202ec"), "a\ufffd[2Jb\ufffd\ufffdc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := cli.VisibleText("a\tb\n\x07c"), "a\tb\n\ufffdc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"0 tools": cli.Count(0, "tool"), "1 tool": cli.Count(1, "tool"), "2 tools": cli.Count(2, "tool"),
		"1 policy": cli.Count(1, "policy"), "2 policies": cli.Count(2, "policy"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestNoColourButOnATerminal(t *testing.T) {
	var out bytes.Buffer
	if cli.Coloured(&out) || cli.OnTerminal(&out) {
		t.Error("a buffer is no terminal")
	}
	if got := cli.Painter(false).Paint(cli.Red, "x"); got != "x" {
		t.Errorf("got %q without colours", got)
	}
	if got, want := cli.Painter(true).Paint(cli.Red, "x"), "\x1b[31mx\x1b[0m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
