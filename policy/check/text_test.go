package check_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/check"
)

// TestCarets stand under what is meant, whatever stands before it.
func TestCarets(t *testing.T) {
	for name, tt := range map[string]struct{ source, about, want string }{
		"nothing":         {"ab cd", "cd", "ab cd|   ^^"},
		"tabs":            {"\ta\tb", "b", "    a   b|        ^"},
		"wide letters":    {"変更 x", "x", "変更 x|     ^"},
		"a picture":       {"🚀x", "x", "🚀x|  ^"},
		"under wide ones": {"a 変更", "変更", "a 変更|  ^^^^"},
		"a mark":          {"e\u0301 x", "x", "e\u0301 x|  ^"},
		"a command":       {"\x1b[2J x", "x", "?[2J x|     ^"},
		"no width":        {"a\u200bb", "b", "a?b|  ^"},
		"from right":      {"\u202eab", "b", "?ab|  ^"},
		"nothing to show": {"", "", "|^"},
	} {
		f := check.Finding{Severity: check.Error, Code: "c", File: "f", Line: 7, Source: tt.source, Text: "t"}
		f.Column = len([]rune(tt.source[:strings.LastIndex(tt.source, tt.about)])) + 1
		f.EndColumn = f.Column + len([]rune(tt.about))
		want := "error[c]: t\n  f:7:" + itoa(f.Column) + "\n  7 | " + strings.ReplaceAll(tt.want, "|", "\n    | ") + "\n"
		if got := written(t, f); got != strings.ReplaceAll(want, "7 | \n", "7 | \n") {
			t.Errorf("%s: got\n%q, want\n%q", name, got, want)
		}
	}
}

func itoa(n int) string { return string(rune('0' + n)) }

func written(t *testing.T, all ...check.Finding) string {
	t.Helper()
	var b bytes.Buffer
	if err := check.WriteText(&b, all, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestLongLines shows the part of a line that a finding is about.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("a", 5000) + " here " + strings.Repeat("變", 5000)
	f := check.Finding{Severity: check.Warning, Code: "c", File: "f", Line: 1, Column: 5002, EndColumn: 5006, Source: long, Text: "t", Suggestion: "s"}
	lines := strings.Split(written(t, f), "\n")
	at := strings.Index(lines[2], "here")
	if len(lines) != 5 || len([]rune(lines[2])) > 200 || at < 0 || !strings.HasSuffix(lines[2], "…") {
		t.Fatalf("it shows\n%s", strings.Join(lines, "\n"))
	}
	if before := len([]rune(lines[2][:at])); lines[3] != "    | "+strings.Repeat(" ", before-6)+"^^^^ s" {
		t.Errorf("the carets are not under it:\n%s\n%s", lines[2], lines[3])
	}
	f.EndColumn = 9000
	if got := written(t, f); len(got) > 2000 {
		t.Errorf("%d bytes", len(got))
	}
}

// TestManyOthers names a few of many.
func TestManyOthers(t *testing.T) {
	f := check.Finding{Severity: check.Info, Code: "c", File: "f", Text: "t"}
	for range 100 {
		f.Also = append(f.Also, "u/x")
	}
	f.Line, f.Column, f.EndColumn = 1, 1, 2
	if got := written(t, f); !strings.HasSuffix(got, "u/x and 90 more\n") {
		t.Errorf("got\n%s", got)
	}
}
