//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"testing"
)

// publishable matches a name that is published as it is.
var publishable = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

// checkPublished fails unless the gateway's list holds every tool of an
// upstream, byte for byte except for its name, and no others with its label.
func checkPublished(t testing.TB, label string, original, list []tool) {
	t.Helper()
	list = published(list, label)
	if len(list) != len(original) {
		t.Errorf("%s: %d tools are published, want %d\ngot  %v\nwant %v", label, len(list), len(original), names(list), names(original))
	}
	byName := map[string]tool{}
	for _, tool := range list {
		byName[tool.name] = tool
		if !publishable.MatchString(tool.name) {
			t.Errorf("%s: %q is no name for every client", label, tool.name)
		}
	}
	different := 0
	for _, tool := range original {
		got, ok := findPublished(label, tool, byName)
		if !ok {
			t.Errorf("%s: nothing is published for %q", label, tool.name)
			continue
		}
		delete(byName, got.name)
		if want := rename(t, tool.raw, got.name); !bytes.Equal(got.raw, want) {
			if different++; different == 1 {
				t.Errorf("%s: %q is not published as it is%s", label, tool.name, difference(got.raw, want))
			}
		}
	}
	if different > 1 {
		t.Errorf("%s: %d tools are not published as they are", label, different)
	}
}

// findPublished finds what an original tool is published as. A name that had to
// be altered says so little that the definition must tell.
func findPublished(label string, original tool, byName map[string]tool) (tool, bool) {
	name := label + "_" + original.name
	if publishable.MatchString(name) {
		got, ok := byName[name]
		return got, ok
	}
	for _, got := range byName {
		if bytes.Equal(bytes.Replace(got.raw, encode(got.name), encode(original.name), 1), original.raw) {
			return got, true
		}
	}
	return tool{}, false
}

// rename replaces the value of "name" in a definition and nothing else.
func rename(t testing.TB, raw json.RawMessage, name string) json.RawMessage {
	t.Helper()
	members, err := membersOf(raw)
	if err != nil {
		t.Fatalf("%v in %s", err, short(string(raw)))
	}
	for _, m := range members {
		if m.name == "name" {
			return slices.Concat(raw[:m.start], encode(name), raw[m.end:])
		}
	}
	t.Fatalf("no name in %s", short(string(raw)))
	return nil
}

// A member is one of a JSON object, with where its value is in the object, or
// an element of an array, which has no name.
type member struct {
	name       string
	value      json.RawMessage
	start, end int64
}

func membersOf(raw json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	opening, err := d.Token()
	if err != nil {
		return nil, err
	}
	var members []member
	for d.More() {
		name := json.Token("")
		if opening == json.Delim('{') {
			if name, err = d.Token(); err != nil {
				return nil, err
			}
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		end := d.InputOffset()
		members = append(members, member{fmt.Sprint(name), value, end - int64(len(value)), end})
	}
	return members, nil
}

// difference shows two texts from a little before where they part.
func difference(got, want []byte) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("\ngot  …%s\nwant …%s", short(string(got[from:])), short(string(want[from:])))
}
