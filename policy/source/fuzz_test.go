package source_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/policy/source"
)

// checkError wants mistakes, each with a place, or no error.
func checkError(t *testing.T, err error) {
	var mistakes source.Mistakes
	if err == nil {
		return
	}
	if !errors.As(err, &mistakes) || len(mistakes) == 0 {
		t.Fatalf("error %T %v, want mistakes", err, err)
	}
	for _, m := range mistakes {
		checkMistake(t, m)
	}
}

func checkMistake(t *testing.T, m source.Mistake) {
	text := m.String()
	if m.File == "" || m.Text == "" || len(text) > 2000 || strings.ContainsAny(text, "\n\x00\x1b") || !utf8.ValidString(text) {
		t.Fatalf("the mistake %q lacks a file or a text, is too long, or is not one line", text)
	}
	if m.Line < 0 || m.Column < 0 || (m.Line == 0) != (m.Column == 0) {
		t.Fatalf("the mistake %q is at %d:%d", text, m.Line, m.Column)
	}
}

// FuzzParse wants mistakes in the text, and policies that are whole.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		all, `@id("a") @rate("1/m") @redact_result("$.a, $..b") ` + all, "permit(principal == Client::\"a\", action, resource) when { resource.arg_a };",
		"permit(", "/* \" */ permit(principal, action, resource) when { {a: [1, -2]}.a has b.c && if true then !x else \"\\u{61}\" };",
		"@ID permit();\n@max_bytes permit(principal, action, resource == Tool::\"a\") when { context.claim_a like \"*\" };",
		"permit(principal is Client in Group::\"\\n\", action in [Action::\"list_tools\"], resource is Tool in MCP::\"a\") unless { [Client::\"a\"].contains(principal) };",
	} {
		f.Add(s)
	}
	options := source.Options{Upstreams: []string{"github"}, Only: "github", Types: []string{"Team"}, Targets: []string{"target"}, Groups: []string{"g"}, Apps: []string{"a"}}
	f.Fuzz(func(t *testing.T, text string) {
		policies, warnings, err := source.Parse([]source.File{{Name: "F", Text: []byte(text)}}, options)
		checkError(t, err)
		for _, w := range warnings {
			checkMistake(t, w)
		}
		lines := strings.Count(text, "\n") + 1
		var mistakes source.Mistakes
		if errors.As(err, &mistakes) && mistakes[0].Line > lines {
			t.Fatalf("a mistake is in line %d of %d", mistakes[0].Line, lines)
		}
		for _, p := range policies {
			if p.ID == "" || p.AST == nil || p.Compiled == nil || p.Line < 1 || p.Line > lines {
				t.Fatalf("policy %+v", p)
			}
			source.MentionsOf(p)
			again, _, err := source.Parse([]source.File{{Name: "F", Text: p.Compiled.MarshalCedar()}}, options)
			if err != nil || len(again) != 1 || again[0].Rewritten != nil {
				t.Fatalf("the policy as it is decided by\n%s\ngives %d policies, error %v", p.Compiled.MarshalCedar(), len(again), err)
			}
		}
	})
}
