package typed_test

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/policy/typed"
)

var update = flag.Bool("update", false, "rewrite testdata/shapes.txt")

// catalogues are the schemas of real tools, by server and name.
func catalogues(t testing.TB) map[string]map[string]json.RawMessage {
	t.Helper()
	f, err := os.Open("testdata/schemas.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]json.RawMessage
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// Every argument of a real tool has a type, or a reason why not.
func TestCatalogues(t *testing.T) {
	var got strings.Builder
	all := catalogues(t)
	tools, arguments, omitted := 0, 0, 0
	for _, server := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[server])) {
			raw := all[server][name]
			s := typed.New(raw)
			parse(t, s)
			fmt.Fprintf(&got, "%s/%s %s\n", server, name, s.Cedar())
			describe(&got, s.Input, "    ")
			for _, path := range slices.Sorted(maps.Keys(s.Omitted)) {
				fmt.Fprintf(&got, "    %s: %s\n", path, s.Omitted[path])
			}
			tools++
			for _, argument := range properties(t, raw) {
				arguments++
				_, why, ok := s.At([]string{argument})
				if !ok {
					omitted++
				}
				if !ok && why == "" {
					t.Errorf("%s/%s: argument %s has neither a type nor a reason", server, name, argument)
				}
				if path := s.Undeclared(map[string]any{argument: true}); path != "" {
					t.Errorf("%s/%s: argument %s is not declared", server, name, path)
				}
			}
		}
	}
	fmt.Fprintf(&got, "%d tools with %d arguments, of which %d are omitted\n", tools, arguments, omitted)
	golden(t, "testdata/shapes.txt", got.String())
}

// describe writes what Cedar's language has no words for.
func describe(b *strings.Builder, t *typed.Type, indent string) {
	for _, f := range t.Fields {
		if f.Default != nil {
			fmt.Fprintf(b, "%s%s is %s by default\n", indent, f.Name, f.Default.MarshalCedar())
		}
		of := f.Type
		if of.Kind == typed.Set {
			of = of.Elem
		}
		if of.Enum != nil {
			fmt.Fprintf(b, "%s%s is one of %q\n", indent, f.Name, of.Enum)
		}
		describe(b, of, indent+f.Name+".")
	}
}

func properties(t *testing.T, schema json.RawMessage) []string {
	t.Helper()
	var s struct{ Properties map[string]any }
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(s.Properties))
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", file, diff)
	}
}

func BenchmarkNew(b *testing.B) {
	all := catalogues(b)
	var schemas []json.RawMessage
	for _, server := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[server])) {
			schemas = append(schemas, all[server][name])
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		typed.New(schemas[i%len(schemas)])
		i++
	}
}
