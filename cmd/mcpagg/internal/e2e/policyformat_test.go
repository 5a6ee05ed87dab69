//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/format"
	"github.com/mcpagg/mcpagg/policy/policytest"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// TestPolicyLayout lays out the policy files of the project, and random policies with
// and without comments, as Cedar's own formatter does. It is none for texts of which
// that loses comments, or of whose layout it makes another one when it sees it again.
func TestPolicyLayout(t *testing.T) {
	g := policytest.NewGenerator(seedOfDay(t))
	texts := policyFiles(t)
	files := len(texts)
	for i := range 10_000 {
		text := g.Text()
		if i%3 == 0 {
			text = g.Policies(i%2 == 0)
		}
		if i%2 == 0 {
			text = g.Scattered(text, false)
		}
		texts = append(texts, text)
	}
	answers := askFormatter(t, texts)
	agreed, lost, unstable := 0, 0, 0
	for i, text := range texts {
		a := answers[i]
		switch {
		case a.Failed != "":
			t.Fatalf("Cedar refuses a text: %s\n%s", a.Failed, text)
		case !slices.Equal(commentsOf(text), commentsOf(a.Once)):
			lost++
			continue
		case a.Once != a.Twice:
			unstable++
			continue
		}
		got, err := format.Source("F", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(withoutTrailingSpaces(a.Once), string(got)); diff != "" {
			t.Fatalf("the layout differs (-cedar +ours):\n%s\nof\n%s", diff, text)
		}
		agreed++
	}
	t.Logf("of %d texts, %d of them files, %d are laid out as by Cedar; it loses comments of %d, and changes its layout of %d", len(texts), files, agreed, lost, unstable)
	if agreed < len(texts)*9/10 {
		t.Error("that says little")
	}
}

// policyFiles are those of the project.
func policyFiles(t *testing.T) []string {
	var texts []string
	err := filepath.WalkDir("../../../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".cedar" {
			return err
		}
		text, err := os.ReadFile(path)
		texts = append(texts, string(text))
		return err
	})
	if err != nil || len(texts) < 5 {
		t.Fatalf("%d policy files, error %v", len(texts), err)
	}
	return texts
}

// A layout is what Cedar's formatter makes of a text, and of what it made of it.
type layout struct{ Once, Twice, Failed string }

func askFormatter(t *testing.T, texts []string) []layout {
	var in bytes.Buffer
	for _, text := range texts {
		line, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(nodeBin, "node"), "testdata/format.mjs", cedarWasm.dir())
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []layout
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var a layout
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(texts) {
		t.Fatalf("%d answers to %d texts", len(answers), len(texts))
	}
	return answers
}

func commentsOf(text string) []string {
	var all []string
	for _, token := range syntax.Tokens([]byte(text)) {
		if token.Kind == syntax.Remark {
			all = append(all, strings.TrimSpace(text[token.Start:token.End]))
		}
	}
	return all
}

// withoutTrailingSpaces is a text without what Cedar leaves before some comments.
func withoutTrailingSpaces(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
