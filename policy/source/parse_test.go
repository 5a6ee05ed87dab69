package source_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/source"
)

// all is a policy without conditions.
const all = "permit(principal, action, resource);"

// parse reads one file, policies/a.cedar.
func parse(t *testing.T, text string, o source.Options) []*source.Policy {
	t.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "policies/a.cedar", Text: []byte(text)}}, o)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return policies
}

func TestIDsAndPlaces(t *testing.T) {
	files := []source.File{
		{Name: "policies/a.cedar", Text: []byte("\uFEFF// Everybody.\n  " + all + "\n\n@id(\"no-deletes\")\nforbid(principal, action, resource);\n")},
		{Name: "policies/b.cedar", Text: []byte(all + " " + all)},
		{Name: "policies/empty.cedar"},
	}
	policies, warnings, err := source.Parse(files, source.Options{})
	if err != nil || warnings != nil {
		t.Fatalf("Parse: warnings %v, error %v", warnings, err)
	}
	var got []string
	for _, p := range policies {
		got = append(got, fmt.Sprintf("%s %s:%d:%d permit=%t", p.ID, p.File, p.Line, p.Column, p.Permit))
		if p.AST == nil || p.Compiled == nil {
			t.Errorf("policy %s has no tree or is not compiled", p.ID)
		}
	}
	want := []string{
		"policies/a.cedar#1 policies/a.cedar:2:3 permit=true",
		"no-deletes policies/a.cedar:4:1 permit=false",
		"policies/b.cedar#1 policies/b.cedar:1:1 permit=true",
		"policies/b.cedar#2 policies/b.cedar:1:38 permit=true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

// TestPlacesOfMany wants the place of each of many policies, in one line and in
// several.
func TestPlacesOfMany(t *testing.T) {
	policies := parse(t, strings.Repeat(all+" ", 500)+strings.Repeat("\n "+all, 500), source.Options{})
	if len(policies) != 1000 {
		t.Fatalf("%d policies, want 1000", len(policies))
	}
	for i, p := range policies {
		line, column := 1, 1+i*(len(all)+1)
		if i >= 500 {
			line, column = i-498, 2
		}
		if want := fmt.Sprintf("policies/a.cedar#%d %d:%d", i+1, line, column); fmt.Sprintf("%s %d:%d", p.ID, p.Line, p.Column) != want {
			t.Fatalf("policy %s at %d:%d, want %s", p.ID, p.Line, p.Column, want)
		}
	}
}

func TestSyntaxMistakes(t *testing.T) {
	for _, test := range []struct {
		text string
		want string // lines without the remedy, which is always the same
	}{
		{"permit(principal, action, resource) when { context.x == };", `1:57: syntax: "}" stands where a value belongs`},
		{"permit(", `1:8: syntax: the policy ends where "principal" belongs`},
		{"permit(principal, action, resource)", `1:36: syntax: the policy ends where ";" belongs`},
		{"permit(principal = User::\"a\", action, resource);", `1:18: syntax: "=" stands where "," belongs`},
		{"permit(principal == ?principal, action, resource);", `1:21: syntax: "?" stands where a name belongs`},
		{all + " /* never closed " + all, `1:38: syntax: comment not terminated`},
		{all + " )", `1:38: syntax: ")" stands where permit or forbid belongs`},
		{"// nothing\n)", `2:1: syntax: ")" stands where permit or forbid belongs`},
		{"permit(principal, action, resource) when { [1 2] == [] };", `1:47: syntax: "2" stands where "," belongs`},
		{"allow(principal, action, resource);", `1:1: syntax: "allow" stands where permit or forbid belongs`},
		{"permit(principal, action, resource) when { \"é\n\" == 1 };", `1:44: syntax: literal not terminated`},
		{"\n permit(principal, action, resource) when { 99999999999999999999 == 1 };", `2:45: syntax: the number 99999999999999999999 does not fit into 64 bits`},
		{"permit(principal, action, resource)\nwhen { principal.foo() };", "2:18: syntax: `foo` is not a method"},
		{
			all + "\npermit(principal, action resource);\n" + all + " forbid(principal, action, resource) when { ( };",
			"2:26: syntax: \"resource\" stands where \",\" belongs\n3:83: syntax: \"}\" stands where a value belongs",
		},
	} {
		_, _, err := source.Parse([]source.File{{Name: "a.cedar", Text: []byte(test.text)}}, source.Options{})
		var want []string
		for line := range strings.SplitSeq(test.want, "\n") {
			want = append(want, "a.cedar:"+line+"; see https://docs.cedarpolicy.com/policies/syntax-policy.html")
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), fmt.Sprint(err)); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", test.text, diff)
		}
	}
}

// checkMistakes wants exactly these mistakes of the text, as file a.cedar.
func checkMistakes(t *testing.T, text, want string, o source.Options) {
	t.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "a.cedar", Text: []byte(text)}}, o)
	var mistakes source.Mistakes
	if !errors.As(err, &mistakes) || policies != nil {
		t.Errorf("%s: %d policies, error %v, want none and mistakes", text, len(policies), err)
		return
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("%s\n(-want +got):\n%s", text, diff)
	}
}

func TestEveryFileIsLookedAt(t *testing.T) {
	_, _, err := source.Parse([]source.File{
		{Name: "a.cedar", Text: []byte("permit();")},
		{Name: "b.cedar", Text: []byte("@id(\"x\") " + all)},
		{Name: "c.cedar", Text: []byte("// caf\xE9\n" + all)},
		{Name: "c0.cedar", Text: []byte("// \x00")},
		{Name: "d.cedar", Text: []byte("\n@id(\"x\") " + all)},
	}, source.Options{})
	want := `a.cedar:1:8: syntax: ")" stands where "principal" belongs; see https://docs.cedarpolicy.com/policies/syntax-policy.html
c.cedar:1:7: the byte 0xE9 does not belong into UTF-8 text; save the file as UTF-8
c0.cedar:1:4: the byte 0x00 does not belong into UTF-8 text; save the file as UTF-8
d.cedar:2:1: the id "x" is taken by the policy at b.cedar:1; give each policy an id of its own`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDepthIsBounded(t *testing.T) {
	when := func(s string) string { return "permit(principal, action, resource) when { " + s }
	split := "; split the policy into several"
	for _, test := range []struct{ text, want string }{
		{when(strings.Repeat("(", 100_000)), "a.cedar:1:143: brackets are nested more than 100 deep" + split},
		{when("/* \" */ " + strings.Repeat("(", 100_000)), "a.cedar:1:151: brackets are nested more than 100 deep" + split},
		{when(strings.Repeat("[", 1_000_000)), "a.cedar:1:143: brackets are nested more than 100 deep" + split},
		{when(strings.Repeat("!", 1_000_000) + "true };"), "a.cedar:1:10042: a policy has more than 10000 operators" + split},
		{when(strings.Repeat("if ", 1_000_000)), "a.cedar:1:30038: a policy has more than 10000 operators" + split},
		{when("true" + strings.Repeat("&&true", 1_000_000) + "};"), "a.cedar:1:60036: a policy has more than 10000 operators" + split},
		{when("context has a" + strings.Repeat(".a", 1_000_000) + "};"), "a.cedar:1:89: more than 16 names follow each other with dots" + split},
	} {
		checkMistakes(t, test.text, test.want, source.Options{})
	}
	parse(t, when(strings.Repeat("(", 98)+"true"+strings.Repeat(")", 98)+"};"), source.Options{})
}

// TestPlacesAmongComments finds what a mistake is about, and not what looks like it.
func TestPlacesAmongComments(t *testing.T) {
	checkMistakes(t, all+"\n@a(\"@ID Grup\") /* @ID */ @ID(\"Grup\") // Grup::\n"+all, "a.cedar:2:26: the annotation @ID means nothing; did you mean @id?", source.Options{})
	checkMistakes(t, "@a(\"Grup::\") // Grup::\npermit(principal in /* Grup:: */ Grup /* x */ :: \"x\", action, resource);",
		"a.cedar:2:34: there is no entity type Grup; did you mean Group?", source.Options{})
}

func TestTooManyPolicies(t *testing.T) {
	checkMistakes(t, strings.Repeat(all, 100_000),
		"a.cedar: with this file there are more than 50000 policies; name groups, tags or upstreams instead of people and tools", source.Options{})
}

func TestManyMistakesAreBounded(t *testing.T) {
	_, _, err := source.Parse([]source.File{{Name: "a.cedar", Text: []byte(strings.Repeat("@ID(\"\")"+all, 120))}}, source.Options{})
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 51 || lines[50] != "and 70 more mistakes" {
		t.Errorf("the error has %d lines, the last %q, want 51 and how many more", len(lines), lines[len(lines)-1])
	}
}

func TestDigest(t *testing.T) {
	of := func(parts ...string) string {
		var files []source.File
		for i := 0; i < len(parts); i += 2 {
			files = append(files, source.File{Name: parts[i], Text: []byte(parts[i+1])})
		}
		return source.Digest(files)
	}
	if a, b := of("a", "x"), of("a", "x"); a != b || len(a) != 64 {
		t.Errorf("the same files have the digests %q and %q", a, b)
	}
	seen := map[string]bool{}
	for _, d := range []string{of(), of("a", "x"), of("ax", ""), of("", "ax"), of("a", "", "x", ""), of("a", "x", "", "")} {
		if seen[d] {
			t.Errorf("two lists of files have the digest %s", d)
		}
		seen[d] = true
	}
}
