package source_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/source"
)

func TestAnnotations(t *testing.T) {
	p := parse(t, `
@id("engineers")
@deny_message("Ask for access at https://access.example.com")
@owner("platform") @url("x") @date("2026-01-01") @by("me")
@rate("10/m")
@max_bytes_in("64KiB") @max_bytes_out("1000000")
@redact_result("$.email, $.items[*].phone,$['a, b']")
@audit("full")
`+all, source.Options{})[0]
	want := source.Obligations{
		Rates:      []source.Rate{{Calls: 10, Per: time.Minute}},
		MaxBytesIn: 64 << 10, MaxBytesOut: 1_000_000,
		Redact: []source.Path{{{Name: "email"}}, {{Name: "items"}, {All: true}, {Name: "phone"}}, {{Name: "a, b"}}},
		Audit:  true,
	}
	if diff := cmp.Diff(want, p.Obligations); diff != "" {
		t.Errorf("obligations (-want +got):\n%s", diff)
	}
	if p.ID != "engineers" || p.DenyMessage != "Ask for access at https://access.example.com" || p.Observe {
		t.Errorf("id %q, deny message %q, observe %t", p.ID, p.DenyMessage, p.Observe)
	}
}

func TestObserve(t *testing.T) {
	for text, want := range map[string]bool{"": false, "@observe": true, `@observe("true")`: true, `@observe("false")`: false} {
		if got := parse(t, text+" "+all, source.Options{})[0].Observe; got != want {
			t.Errorf("%q: observe %t, want %t", text, got, want)
		}
	}
}

func TestAnnotationMistakes(t *testing.T) {
	forbid := strings.Replace(all, "permit", "forbid", 1)
	paths := `write paths such as @redact_result("$.items[*].email, $..phone")`
	for _, test := range []struct{ text, want string }{
		{`@ID("a") ` + all, "1:1: the annotation @ID means nothing; did you mean @id?"},
		{`@max_byte_in("1") ` + all, "1:1: the annotation @max_byte_in means nothing; did you mean @max_bytes_in?"},
		{`@MaxBytesOut("1") ` + all, "1:1: the annotation @MaxBytesOut means nothing; did you mean @max_bytes_out?"},
		{`@ratelimit("10/m") ` + all, "1:1: the annotation @ratelimit means nothing; did you mean @rate?"},
		{"@url(\"x\")\n  @denymessage(\"x\") " + all, "2:3: the annotation @denymessage means nothing; did you mean @deny_message?"},
		{`@redact_results("$.a") ` + all, "1:1: the annotation @redact_results means nothing; did you mean @redact_result?"},
		{`@observed ` + all, "1:1: the annotation @observed means nothing; did you mean @observe?"},
		{`@max_bytes("1") ` + all, "1:1: the annotation @max_bytes means nothing; did you mean @max_bytes_in or @max_bytes_out?"},
		{`@id ` + all, `1:1: an id is one line of 1 to 200 characters; such as @id("engineers-open-issues")`},
		{`@deny_message("a\nb") ` + all, `1:1: a deny message is one paragraph of 1 to 1000 characters; such as @deny_message("Ask for access at https://access.example.com")`},
		{`@observe("yes") ` + all, `1:1: @observe has the value "yes"; write @observe, or @observe("false")`},
		{`@rate("10/min") ` + all, `1:1: @rate has the value "10/min"; write calls per s, m, h or d, such as @rate("10/m")`},
		{`@rate("0/m") ` + all, `1:1: @rate has the value "0/m"; write calls per s, m, h or d, such as @rate("10/m")`},
		{`@rate("9999999999/m") ` + all, `1:1: @rate has the value "9999999999/m"; the most is 1000000000 calls`},
		{`@max_bytes_in("64kb") ` + all, `1:1: @max_bytes_in has the value "64kb"; write a number of bytes, KiB or MiB, such as @max_bytes_in("64KiB")`},
		{`@audit ` + all, `1:1: @audit has the value ""; write @audit("full")`},
		{`@redact_result ` + all, `1:1: @redact_result has the path "": it does not begin with $; ` + paths},
		{`@redact_result("$.a[0]") ` + all, `1:1: @redact_result has the path "$.a[0]": in [ ] there is neither * nor a name in quotes; ` + paths},
		{`@rate("1/s") @audit("full") ` + forbid, "1:1: @rate stands on a forbid, which demands nothing; put it on the permits"},
		{`@observe @audit("full") ` + all, "1:10: @audit stands on a policy with @observe, which is not in effect; remove one of them"},
	} {
		checkMistakes(t, test.text, "a.cedar:"+test.want, source.Options{})
	}
}

func TestObligationsCombine(t *testing.T) {
	path := func(s string) source.Path {
		p, err := source.ParsePath(s)
		if err != nil {
			t.Fatalf("ParsePath(%s): %v", s, err)
		}
		return p
	}
	a := source.Obligations{
		Rates:      []source.Rate{{Calls: 10, Per: time.Minute}, {Calls: 500, Per: time.Hour}},
		MaxBytesIn: 100, MaxBytesOut: 5,
		Redact: []source.Path{path("$.a"), path("$.b")},
	}
	b := source.Obligations{
		Rates:      []source.Rate{{Calls: 1, Per: time.Second}, {Calls: 20, Per: time.Minute}, {Calls: 100, Per: time.Hour}},
		MaxBytesIn: 50,
		Redact:     []source.Path{path("$['b']"), path("$..c")},
		Audit:      true,
	}
	want := source.Obligations{
		Rates:      []source.Rate{{Calls: 1, Per: time.Second}, {Calls: 10, Per: time.Minute}, {Calls: 100, Per: time.Hour}},
		MaxBytesIn: 50, MaxBytesOut: 5,
		Redact: []source.Path{path("$.a"), path("$.b"), path("$..c")},
		Audit:  true,
	}
	before := fmt.Sprint(a, b)
	if diff := cmp.Diff(want, a.With(b)); diff != "" {
		t.Errorf("a with b (-want +got):\n%s", diff)
	}
	if after := fmt.Sprint(a, b); after != before {
		t.Errorf("With changed what it combines: %s, before %s", after, before)
	}
	if diff := cmp.Diff(a, source.Obligations{}.With(a)); diff != "" {
		t.Errorf("nothing with a (-want +got):\n%s", diff)
	}
}
