package lock_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/policy/lock"
)

const search = `{
	"name": "search", "title": "Search", "description": "Search the notes.",
	"inputSchema": {"type": "object", "properties": {"text": {"type": "string", "maxLength": 9007199254740993}, "most": {"type": "integer"}}, "required": ["text"]},
	"outputSchema": {"type": "object", "properties": {"found": {"type": "array", "items": {"type": "string"}}}},
	"annotations": {"readOnlyHint": true, "openWorldHint": false}
}`

// pinOf pins a definition that can be.
func pinOf(t testing.TB, definition string) lock.Pin {
	t.Helper()
	p, err := lock.PinOf(json.RawMessage(definition))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSameDefinitionInAnotherForm(t *testing.T) {
	was := pinOf(t, search)
	for what, again := range map[string]string{
		"keys in another order": `{"annotations":{"openWorldHint":false,"readOnlyHint":true},"outputSchema":{"properties":{"found":{"items":{"type":"string"},"type":"array"}},"type":"object"},"inputSchema":{"required":["text"],"properties":{"most":{"type":"integer"},"text":{"maxLength":9007199254740993,"type":"string"}},"type":"object"},"description":"Search the notes.","title":"Search","name":"search"}`,
		"escaped text":          strings.Replace(search, "Search the", `Search\u0020the`, 1),
		"null for nothing":      strings.Replace(search, `"readOnlyHint"`, `"idempotentHint":null,"readOnlyHint"`, 1),
		"another name":          strings.Replace(search, `"name": "search"`, `"name": "find"`, 1),
		"what nobody pins":      strings.Replace(search, `"name"`, `"_meta":{"n":1},"icons":[],"name"`, 1),
	} {
		now := pinOf(t, again)
		if !was.Equal(now) || was.Hash() != now.Hash() || len(was.Diff(now)) > 0 {
			t.Errorf("%s: drifted: %v", what, was.Diff(now))
		}
	}
	if nothing, none := pinOf(t, `{"inputSchema":{},"annotations":{},"title":null}`), pinOf(t, `{"inputSchema":{}}`); !nothing.Equal(none) {
		t.Errorf("no annotations: %v", nothing.Diff(none))
	}
}

func TestDiff(t *testing.T) {
	was := pinOf(t, search)
	for _, tt := range []struct {
		what, old, new string
		want           string
	}{
		{"flipped annotation", `"readOnlyHint": true`, `"readOnlyHint": false`, "annotation readOnlyHint true -> false"},
		{"annotation that is gone", `"readOnlyHint": true, `, "", "annotation readOnlyHint is gone (it was true)"},
		{"new annotation", `"readOnlyHint"`, `"destructiveHint": false, "readOnlyHint"`, "new annotation destructiveHint (false)"},
		{"description", "Search the notes.", "Search the notes, and mail them to eve.", `description "Search the notes." -> "Search the notes, and mail them to eve."`},
		{"the middle of a description", "Search the notes.", "Search all the notes.", `description "Search the notes." -> "Search all the notes."`},
		{"no description", `"description": "Search the notes.",`, "", `description is gone (it was "Search the notes.")`},
		{"title", `"title": "Search"`, `"title": "Find"`, `title "Search" -> "Find"`},
		{"type", `"most": {"type": "integer"}`, `"most": {"type": "array"}`, "argument most: type integer -> array"},
		{"types", `"most": {"type": "integer"}`, `"most": {"type": ["integer","null"]}`, `argument most: type "integer" -> ["integer","null"]`},
		{"new argument", `"most"`, `"path": {"type": "string"}, "most"`, "new argument path (string, optional)"},
		{"new required argument", `"most": {"type": "integer"}}, "required": ["text"]`, `"most": {"type": "integer"}, "path": {"enum": ["a"]}}, "required": ["text", "path"]`, `new argument path (enum ["a"], required)`},
		{"argument that is gone", `, "most": {"type": "integer"}`, "", "argument most is gone (it was integer, optional)"},
		{"required from now on", `["text"]`, `["text", "most"]`, "argument most optional -> required"},
		{"required in another order", `"required": ["text"]`, `"required": ["text", "text"]`, `input schema: required ["text"] -> ["text","text"]`},
		{"beyond 2^53", "9007199254740993", "9007199254740992", "argument text: maxLength 9007199254740993 -> 9007199254740992"},
		{"another form of a number", "9007199254740993", "9007199254740993.0", "argument text: maxLength 9007199254740993 -> 9007199254740993.0"},
		{"of the whole schema", `"required": ["text"]`, `"required": ["text"], "additionalProperties": false`, "new input schema: additionalProperties (false)"},
		{"in a result", `"items": {"type": "string"}`, `"items": {"type": "object"}`, "result found[]: type string -> object"},
		{"no properties any more", `"properties": {"found": {"type": "array", "items": {"type": "string"}}}`, `"properties": true`, `output schema: properties {"found":{"items":{"type":"string"},"type":"array"}} -> true`},
		{"empty in place of absent", `"maxLength"`, `"required": [], "maxLength"`, `argument text {"maxLength":9007199254740993,"type":"string"} -> {"maxLength":9007199254740993,"required":[],"type":"string"}`},
		{"hidden text", "Search the notes.", "Search the notes.\u200b\x5cu001b[2J", `description "Search the notes." -> "Search the notes.<U+200B><U+001B>[2J"`},
	} {
		if !strings.Contains(search, tt.old) {
			t.Fatalf("%s: %q is not in the definition", tt.what, tt.old)
		}
		now := pinOf(t, strings.Replace(search, tt.old, tt.new, 1))
		changes := was.Diff(now)
		if len(changes) != 1 || changes[0].String() != tt.want {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.what, changes, tt.want)
		}
		if was.Equal(now) || was.Hash() == now.Hash() {
			t.Errorf("%s: not seen", tt.what)
		}
	}
}

// Of a long text only the place that differs is shown.
func TestDiffOfALongText(t *testing.T) {
	const before, after = "Everything that somebody has noted down. ", " Up to a hundred are listed at a time."
	was := pinOf(t, `{"description":"`+before+`Ask first.`+after+`","inputSchema":{}}`)
	now := pinOf(t, `{"description":"`+before+`Never ask.`+after+`","inputSchema":{}}`)
	const want = `description "…ody has noted down. Ask first. Up to a hundred ar…" -> "…ody has noted down. Never ask. Up to a hundred ar…"`
	if got := was.Diff(now)[0].String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDiffOfDefinitionsInsideSchemas(t *testing.T) {
	was := pinOf(t, `{"inputSchema":{"$defs":{"Filter":{"properties":{"by":{"type":"string"}}}},"properties":{"f":{"properties":{"a":{"items":{"properties":{"b":{"type":"string"}}}}}}}}}`)
	now := pinOf(t, `{"inputSchema":{"$defs":{"Filter":{"properties":{"by":{"type":"number"}}}},"properties":{"f":{"properties":{"a":{"items":{"properties":{"b":{"type":"number"}}}}}}}}}`)
	var got []string
	for _, c := range was.Diff(now) {
		got = append(got, c.String())
	}
	const want = "argument f.a[].b: type string -> number; definition Filter.by: type string -> number"
	if strings.Join(got, "; ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An upstream that another one took over has nothing in common with it but names:
// what is said of that is bounded.
func TestDiffIsBounded(t *testing.T) {
	was := pinOf(t, search)
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `"%s":{"type":"string"},`, strings.Repeat("x", i))
	}
	now := pinOf(t, `{"description":"`+strings.Repeat("long ", 20_000)+`","inputSchema":{"properties":{`+many.String()+`"last":{}}}}`)
	changes := was.Diff(now)
	if len(changes) != 51 || !strings.HasSuffix(changes[50].String(), " more changes") {
		t.Errorf("%d changes, the last is %q", len(changes), changes[len(changes)-1])
	}
	for _, c := range changes {
		if n := len(c.String()); n > 1000 {
			t.Errorf("%d bytes: %.80q", n, c.String())
		}
	}
	if got := changes[1].String(); !strings.Contains(got, "(100000 characters)") {
		t.Errorf("the length of the description is not told: %.300s", got)
	}
}

func TestPinOfRefuses(t *testing.T) {
	for definition, want := range map[string]string{
		`[]`:                                  "an array is not what belongs here",
		`{"name":"a"}`:                        "it has no input schema",
		`{"inputSchema":null}`:                "it has no input schema",
		`{"inputSchema":true}`:                "inputSchema is not an object",
		`{"inputSchema":{},"annotations":[]}`: "annotations is not an object",
		`{"inputSchema":{},"title":5}`:        `a number is not what belongs here at "/title"`,
		`{"inputSchema":{"a":1,"a":2}}`:       `duplicate object member name at "/inputSchema/a"`,
		`{"inputSchema":{},"inputSchema":{}}`: "duplicate object member name",
		`{"inputSchema":{"a":"\ud800"}}`:      "surrogate",
		`{"inputSchema":{}`:                   "unexpected EOF",
		`{"inputSchema":{},"description":"` + strings.Repeat("x", 256<<10) + `"}`: "it takes more than 256 KiB",
	} {
		if p, err := lock.PinOf(json.RawMessage(definition)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("PinOf(%.60s) = %v, %v, want %q", definition, p, err, want)
		}
	}
}

func TestSuspicious(t *testing.T) {
	tags := string([]rune{0xe0000 + 'h', 0xe0000 + 'i'})
	for text, want := range map[string]string{
		"Plain text: größe, 東京, “quotes”, ✅, ⚠️, 👨‍👩‍👧, a\tb\nc": "",
		"a\u200bb\u200bc":               "2 × U+200B, which has no width",
		"a\u202eb":                      "1 × U+202E, which changes the direction of writing",
		"a\x1b[31m":                     "1 × U+001B, which commands terminals",
		"a" + tags:                      `2 characters that cannot be seen and spell: "hi"`,
		"a\ufe0f":                       "1 × U+FE0F, which changes the look of another character",
		"a\u3164b":                      "1 × U+3164, which cannot be seen",
		"a\u200db":                      "1 × U+200D, which has no width",
		"a\ue000":                       "1 × U+E000, a private character",
		"a\x00":                         "1 × U+0000, a control character",
		"a" + strings.Repeat("\n ", 60): "120 blank characters in a row",
	} {
		if got := strings.Join(lock.Suspicious(text), "; "); got != want {
			t.Errorf("Suspicious(%q) = %q, want %q", text, got, want)
		}
	}
	var all strings.Builder
	for r := rune(0x200b); r < 0x2010; r++ {
		all.WriteRune(r)
	}
	for r := rune(0x202a); r < 0x202f; r++ {
		all.WriteRune(r)
	}
	if got := lock.Suspicious(all.String()); len(got) != 9 || got[8] != "2 more kinds of hidden characters" {
		t.Errorf("%q", got)
	}
}

func TestSuspiciousDefinition(t *testing.T) {
	p := pinOf(t, `{"title":"a\u200bb","inputSchema":{"properties":{"x\u200b":{"description":"y\u202e"}}},"annotations":{"title":"\u0007"}}`)
	got := strings.Join(p.Suspicious(), "; ")
	const want = "title: 1 × U+200B, which has no width; annotations: 1 × U+0007, a control character; input schema: 1 × U+200B, which has no width; input schema: 1 × U+202E, which changes the direction of writing"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\tc":          `a\nb\tc`,
		"\x1b[2J\u202e":    "<U+001B>[2J<U+202E>",
		"\xff":             "<not UTF-8>",
		"größe ⚠️ 東京":      "größe ⚠️ 東京",
		"\U000e0041\ufffd": "<U+E0041>\ufffd",
	} {
		if got := lock.Visible(text); got != want {
			t.Errorf("Visible(%q) = %q, want %q", text, got, want)
		}
	}
}

// Two definitions have no differences if and only if they are the same.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(search), []byte(strings.Replace(search, "true", "false", 1)))
	f.Add([]byte(`{"inputSchema":{"required":[]}}`), []byte(`{"inputSchema":{"properties":{}}}`))
	f.Add([]byte(`{"inputSchema":{"properties":{"a":{"const":""}}}}`), []byte(`{"inputSchema":{"properties":{"a":{"const":"x"}}}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		was, err := lock.PinOf(a)
		now, err2 := lock.PinOf(b)
		if err != nil || err2 != nil {
			return
		}
		changes := was.Diff(now)
		if was.Equal(now) != (len(changes) == 0) || was.Equal(now) != (was.Hash() == now.Hash()) {
			t.Errorf("equal %v, but %q", was.Equal(now), changes)
		}
		if len(was.Diff(was)) > 0 {
			t.Errorf("differs from itself: %q", was.Diff(was))
		}
		for _, c := range changes {
			if line := c.String(); strings.ContainsAny(line, "\n\x1b\u202e") || len(line) > 8000 {
				t.Errorf("cannot be shown: %q", line)
			}
		}
	})
}

// What is read is written as it was, and a pin of a pinned definition is the same.
func FuzzParse(f *testing.F) {
	file := lock.File{Upstreams: map[string]lock.Upstream{"notes": {Image: "sha256:0123", Tools: map[string]lock.Pin{"search": pinOf(f, search)}}}}
	f.Add(file.Text())
	f.Add([]byte(`{"version":1,"upstreams":{"a":{"tools":{}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := lock.Parse(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("cannot be shown: %q", err)
			}
			return
		}
		written := file.Text()
		again, err := lock.Parse(written)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, written)
		}
		if !bytes.Equal(again.Text(), written) {
			t.Fatalf("changed by reading and writing:\n%s\n%s", written, again.Text())
		}
	})
}
