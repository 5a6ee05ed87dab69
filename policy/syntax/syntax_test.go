package syntax_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/policytest"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// all is a policy without conditions.
const all = "permit(principal, action, resource);"

// odd are texts of spellings that are seldom seen; each is taken.
var odd = []string{
	"", " \t\r\n", "// nothing", "/* nothing */", all + all, "/**/" + all + "//",
	"@id @a(\"x\")@if(\"\\u{1F6_00}\\x41\")\n@__cedar permit(principal,action,resource,);",
	`permit(principal == A::B::"\0\'", action in [], resource is A::B in C::"\"");`,
	`permit(principal is permit, action in [when::"a", Action :: /* x */ "b",], resource in unless::"");`,
	"permit(principal, action, resource) when { context has a.b.c } unless { context has \"in\" && context[\"in\"].permit };",
	"permit(principal, action, resource) when { -9223372036854775808 < - 1 && --1 == -(1) - -1 && !!-!true };",
	"permit(principal, action, resource) when { {a: 1, \"a b\": [1, [], {},],}.a is X in [principal] };",
	"permit(principal, action, resource) when { if if true then false else true then 1 else 2 == 3 || 4 in 5 };",
	`permit(principal, action, resource) when { "a*\t" like "\**\x2a*" && "" like "" && "" like "**" && "é" like "é*" };`,
	"permit(principal, action, resource) when { ip(\"::1\").isInRange(ip()) && a::b::\"c\".d.hasTag(1) && [].isEmpty() };",
	"permit(principal, action, resource) when { principal::\"x\" == context::a::\"y\" } unless{1+2*3-4<=5};",
	"permit // a\n ( // b\n principal // c\n , // d\n action /* e */ in [ // f\n ] , resource // g\n ) // h\n when // i\n { // j\n 1 /* k */ . isIpv4 ( // l\n ) } // m\n ; // n",
	"forbid(principal, action, resource) when { 12 == 1 };\r\n// a\r\npermit(principal, action, resource);\r",
}

// wrong are texts that are refused.
var wrong = []string{
	"permit", "permit(", "permit;", ";", all + ")", "permit(principal, action, resource)", "allow(principal, action, resource);",
	"permit(principal, action);", "permit(principal, action is A, resource);", "permit(principal in [], action, resource);",
	"permit(principal == ?principal, action, resource);", "permit(principal == A, action, resource);", "permit(principal == if::\"a\", action, resource);",
	"@a @a " + all, "@1 " + all, "@a() " + all, "@a(1) " + all, "@a(\"\\*\")" + all,
	"permit(principal, action, resource) when { context.in };", "permit(principal, action, resource) when { context has a.in };",
	"permit(principal, action, resource) when { context has \"a\".b };", "permit(principal, action, resource) when { 9223372036854775808 };",
	"permit(principal, action, resource) when { -9223372036854775809 };", "permit(principal, action, resource) when { -1.a };",
	"permit(principal, action, resource) when { \"\n\" };", "permit(principal, action, resource) when { \"\\\n\" };",
	"permit(principal, action, resource) when { \"\\q\" };", "permit(principal, action, resource) when { \"\\xff\" };",
	"permit(principal, action, resource) when { \"\\x4\" };", "permit(principal, action, resource) when { \"\\u{110000}\" };",
	"permit(principal, action, resource) when { \"\\u{_1}\" };", "permit(principal, action, resource) when { \"\\u{0000001}\" };",
	"permit(principal, action, resource) when { \"\\u{d800}\" };", "permit(principal, action, resource) when { \"\\u{}\" };",
	"permit(principal, action, resource) when { \"a\" like \"\\q\" };", "permit(principal, action, resource) when { \"a\" like a };",
	"permit(principal, action, resource) when { {a: 1, \"a\": 2} };", "permit(principal, action, resource) when { [,] };",
	"permit(principal, action, resource) when { [1 2] };", "permit(principal, action, resource) when { 1 < 2 < 3 };",
	"permit(principal, action, resource) when { foo(1) };", "permit(principal, action, resource) when { isIpv4(1) };",
	"permit(principal, action, resource) when { 1.ip() };", "permit(principal, action, resource) when { 1.foo() };",
	"permit(principal, action, resource) when { 1.contains() };", "permit(principal, action, resource) when { 1.isEmpty(1) };",
	"permit(principal, action, resource) when { a };", "permit(principal, action, resource) when { };", "permit(principal, action, resource) when { a::b };",
	"permit(principal, action, resource) when { a::in::\"b\" };", "permit(principal, action, resource) when { a::1 };",
	"permit(principal, action, resource) when { 1 = 2 };", "permit(principal, action, resource) when { 1 & 2 };", "permit(principal, action, resource) when { 1 / 2 };",
	"\uFEFF" + all, "// \x00\n", "// \xff\n", all + "/*", all + "\"", "permit(principal, action, resource) when { 12a };",
}

func TestOddSpellings(t *testing.T) {
	for _, text := range odd {
		if !checkAgrees(t, []byte(text)) {
			t.Errorf("%q is refused", text)
		}
	}
	for _, text := range wrong {
		if checkAgrees(t, []byte(text)) {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestGeneratedPolicies looks at policies of every kind, and at what is left of them
// without one of their tokens, or with one twice.
func TestGeneratedPolicies(t *testing.T) {
	g := policytest.NewGenerator(1)
	taken, refused := 0, 0
	for i := range 4000 {
		text := g.Text()
		if i%2 == 0 {
			text = g.Policies(i%4 == 0)
		}
		text = g.Scattered(text, true)
		if !checkAgrees(t, []byte(text)) {
			t.Fatalf("%s\nis refused", text)
		}
		tokens := syntax.Tokens([]byte(text))
		at := tokens[g.IntN(len(tokens))]
		other := text[:at.Start] + text[at.End:]
		if g.IntN(2) == 0 {
			other = text[:at.End] + " " + text[at.Start:]
		}
		if checkAgrees(t, []byte(other)) {
			taken++
		} else {
			refused++
		}
	}
	if taken < 100 || refused < 1000 {
		t.Errorf("of changed policies %d are taken and %d refused, which says little", taken, refused)
	}
}

func TestPolicyFilesOfTheProject(t *testing.T) {
	count := 0
	for _, pattern := range []string{"../../examples/*/policies/*.cedar", "../../examples/policies/*/*.cedar"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !checkAgrees(t, text) {
				t.Errorf("%s is refused", name)
			}
			count++
		}
	}
	if count < 5 {
		t.Errorf("%d files, want at least 5", count)
	}
}

func TestMistakesHavePlaces(t *testing.T) {
	_, mistakes := syntax.ParseAll("a.cedar", []byte("permit(principal, actoin, resource);\n"+all+"\nforbid(principal, action, resource)\nwhen { \"é\" == \"a\\qb\" };\n"+
		"permit(principal, action, resource) when { 1 == 99999999999999999999 };\nforbid(principal"))
	var got []string
	for _, m := range mistakes {
		got = append(got, m.Error())
	}
	want := `a.cedar:1:19: "actoin" stands where "action" belongs
a.cedar:4:17: "\q" is no escape sequence
a.cedar:5:49: the number 99999999999999999999 does not fit into 64 bits
a.cedar:6:17: the policy ends where "," belongs`
	if strings.Join(got, "\n") != want {
		t.Errorf("mistakes\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// TestWhatIsSoundIsRead reads policies beside wrong ones.
func TestWhatIsSoundIsRead(t *testing.T) {
	file, mistakes := syntax.ParseAll("a.cedar", []byte("forbid(;\n"+all+" // why\n forbid(principal, action, resource) when { a;\n@id(\"x\")"+all+"permit /**/ (\"\nforbid(principal, action, resource)\n"+all))
	if len(mistakes) != 4 || len(file.Policies) != 3 || len(file.Comments) != 2 {
		t.Fatalf("%d mistakes, %d policies and %d comments, want 4, 3 and 2", len(mistakes), len(file.Policies), len(file.Comments))
	}
	if p := file.Policies[1]; p.Index != 3 || p.Annotations[0].Value != "x" {
		t.Errorf("the second policy is %+v, want that of index 3", p)
	}
	if m := mistakes[3]; m.Error() != `a.cedar:5:36: the policy ends where ";" belongs` {
		t.Errorf("the last mistake is %v, want that a semicolon is missing", m)
	}
}

func TestDepthIsBounded(t *testing.T) {
	when := "permit(principal, action, resource) when { "
	for _, test := range []struct{ part, want string }{
		{"(", "brackets are nested more than 100 deep"},
		{"[", "brackets are nested more than 100 deep"},
		{"!", "a policy has more than 10000 operators"},
		{"if ", "a policy has more than 10000 operators"},
		{"1&&", "a policy has more than 10000 operators"},
		{"1.a.", "more than 16 names follow each other with dots"},
	} {
		_, err := syntax.Parse("a", []byte(when+strings.Repeat(test.part, 1_000_000)))
		e, ok := err.(*syntax.Error)
		if !ok || !e.TooMuch || e.Text != test.want {
			t.Errorf("%s…: error %v, want %s", test.part, err, test.want)
		}
	}
	for _, most := range []string{strings.Repeat("!", 9990) + "true };", strings.Repeat("if true then 1 else ", 9990) + "1 };"} {
		if !checkAgrees(t, []byte(when+most)) {
			t.Errorf("%.60s… is refused", most)
		}
	}
}

// TestTokensOfHalfATextAreThere is what an editor has while somebody writes.
func TestTokensOfHalfATextAreThere(t *testing.T) {
	text := []byte("permit(principal, é \"x // y\nwhen { 12a.b == /* z")
	var got []string
	for _, token := range syntax.Tokens(text) {
		got = append(got, string(text[token.Start:token.End])+":"+[]string{"end", "word", "number", "text", "symbol", "remark", "strange"}[token.Kind]+":"+token.Mistake)
	}
	want := `permit:word: (:symbol: principal:word: ,:symbol: é:strange: "x // y:text:literal not terminated when:word: {:symbol: 12:number: a:word: .:symbol: b:word: ==:symbol: /* z:remark:comment not terminated`
	if strings.Join(got, " ") != want {
		t.Errorf("tokens\n%s\nwant\n%s", strings.Join(got, " "), want)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range odd {
		f.Add(text)
	}
	for _, text := range wrong {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkAgrees(t, []byte(text)) })
}
