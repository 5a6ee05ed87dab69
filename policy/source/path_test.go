package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/source"
)

func TestPaths(t *testing.T) {
	for text, want := range map[string]source.Path{
		"$.a.b":                  {{Name: "a"}, {Name: "b"}},
		"$['a b']":               {{Name: "a b"}},
		`$["it's"].x-y`:          {{Name: "it's"}, {Name: "x-y"}},
		"$.items[*].email":       {{Name: "items"}, {All: true}, {Name: "email"}},
		"$.items.*":              {{Name: "items"}, {All: true}},
		"$..email":               {{Name: "email", Depth: true}},
		"$.a..['b c'][*]..[*]":   {{Name: "a"}, {Name: "b c", Depth: true}, {All: true}, {All: true, Depth: true}},
		"$.größe":                {{Name: "größe"}},
		"$[*]" + times(15, ".a"): append(source.Path{{All: true}}, slicesRepeat(15, source.Step{Name: "a"})...),
	} {
		got, err := source.ParsePath(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestBadPaths(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "it does not begin with $",
		"email":                "it does not begin with $",
		"$":                    "it leads nowhere",
		"$.":                   "a name is missing",
		"$.a.":                 "a name is missing",
		"$...a":                "a name is missing",
		"$a":                   `"a" follows where . or [ belongs`,
		"$.a b":                `" b" follows where . or [ belongs`,
		"$.[*]":                "a name is missing",
		"$[0]":                 "in [ ] there is neither * nor a name in quotes",
		"$['a":                 "a name in quotes does not end",
		"$['']":                "a name is missing",
		"$.\xFF":               "a name is missing",
		"$['\xFF']":            "a name is no UTF-8",
		"$" + times(17, ".a"):  "it has more than 16 steps",
		"$." + times(201, "a"): "a name is longer than 200 bytes",
	} {
		if _, err := source.ParsePath(text); fmt.Sprint(err) != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func times(n int, s string) string { return strings.Repeat(s, n) }

func slicesRepeat(n int, s source.Step) (list []source.Step) {
	for range n {
		list = append(list, s)
	}
	return list
}

// FuzzPath wants that a path, written, is the same path again.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"$.a.b", "$['a b']", "$.items[*].email", "$..email", `$["a']b"]`, `$['a"]b']`, "$", "$..[*].*", "$.a["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		path, err := source.ParsePath(s)
		if err != nil {
			return
		}
		again, err := source.ParsePath(path.String())
		if diff := cmp.Diff(path, again); diff != "" || err != nil {
			t.Errorf("%q is written %q: error %v (-want +got):\n%s", s, path, err, diff)
		}
	})
}
