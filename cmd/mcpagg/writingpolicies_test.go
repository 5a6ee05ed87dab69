package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// walkBlocks are what a reader of docs/writing-policies.md writes and runs: a block
// after a comment that says which file it is for, or commands with what they print.
var walkBlocks = regexp.MustCompile("(?ms)^<!-- (write|append) (\\S+) -->\n```\\w+\n(.*?)^```$|^```console\n(.*?)^```$")

// took is how long tests ran, which differs.
var took = regexp.MustCompile(`in \d+\.\d\d s`)

// TestDocsWritingPolicies does in a folder of its own what docs/writing-policies.md
// says, from top to bottom, and compares what the commands print.
func TestDocsWritingPolicies(t *testing.T) {
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(repository, "docs", "writing-policies.md")
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dir, ran := t.TempDir(), 0
	shown := walkBlocks.ReplaceAllStringFunc(string(content), func(block string) string {
		m := walkBlocks.FindStringSubmatch(block)
		if m[1] != "" {
			writeBlock(t, filepath.Join(dir, m[2]), m[1] == "append", m[3])
			return block
		}
		ran++
		return "```console\n" + runConsole(t, dir, repository, m[4]) + "```"
	})
	switch {
	case ran == 0:
		t.Error("the page has no commands")
	case t.Failed() || shown == string(content):
	case *update:
		if err := os.WriteFile(page, []byte(shown), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/writing-policies.md does not show this; run go test ./cmd/mcpagg -run TestDocs -update:\n%s", shown)
	}
}

// writeBlock writes a file, or appends to it.
func writeBlock(t *testing.T, path string, add bool, text string) {
	t.Helper()
	if add {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = string(before) + text
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// runConsole runs the commands of a block in a folder, and returns the block with
// what they print. A command may find mistakes, or tests that fail, but nothing else.
func runConsole(t *testing.T, dir, repository, block string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(block) {
		command, is := strings.CutPrefix(line, "$ ")
		if !is {
			continue
		}
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MCPAGG="+repository, "NO_COLOR=1")
		printed, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); err != nil && code != 3 && code != 4 {
			t.Fatalf("%s: %v\n%s", command, err, printed)
		}
		out.WriteString(line + took.ReplaceAllString(string(printed), "in 0.00 s"))
	}
	return out.String()
}
