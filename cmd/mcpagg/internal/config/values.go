package config

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/zclconf/go-cty/cty"
)

func textKind(name string) kind {
	return kind{name, map[string]any{"type": "string"}}
}

func listKind(name string) kind {
	return kind{"list of " + name, map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}
}

func mapKind(name string) kind {
	return kind{name, map[string]any{"type": "object"}}
}

// A text is any text.
type text struct {
	setting
	value string
}

func (t *text) kind() kind    { return textKind("text") }
func (t *text) take(in input) { t.value, _ = in.text() }

// words is a list of texts that are not empty; repeated ones count once.
type words struct {
	setting
	value []string
}

func (w *words) kind() kind { return listKind("texts") }

func (w *words) take(in input) {
	elements, _ := in.list()
	for _, e := range elements {
		word, ok := e.text()
		switch {
		case !ok:
		case word == "":
			e.mistake("This must not be empty.")
		case !slices.Contains(w.value, word):
			w.value = append(w.value, word)
		}
	}
}

// A boolean is true or false; nil if it is not given.
type boolean struct {
	setting
	value *bool
}

func (b *boolean) kind() kind { return kind{"true or false", map[string]any{"type": "boolean"}} }

func (b *boolean) take(in input) {
	if v, ok := in.as(cty.Bool, "true or false"); ok {
		yes := v.True()
		b.value = &yes
		b.keep(cty.BoolVal(yes).WithSameMarks(in.value))
	}
}

// A count is a whole number from 1. The default, which may be no limit, is written
// by leaving it out.
type count struct {
	setting
	value int
}

const mostCount = 1_000_000

func (c *count) kind() kind {
	return kind{"number", map[string]any{"type": "integer", "minimum": 1, "maximum": mostCount}}
}

func (c *count) take(in input) {
	if v, _ := in.value.UnmarkDeep(); v.RawEquals(cty.Zero) {
		in.mistake("0 would allow none. For the default, leave %s out.", in.attribute)
		return
	}
	c.value = in.between(1, mostCount)
	c.keep(cty.NumberIntVal(int64(c.value)).WithSameMarks(in.value))
}

// between is the input as a whole number, or 0 after noting a mistake.
func (in input) between(least, most int) int {
	v, ok := in.as(cty.Number, "a number")
	if !ok {
		return 0
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < int64(least) || n > int64(most) {
		in.mistake("%v is not a whole number from %d to %d.", in, least, most)
		return 0
	}
	return int(n)
}

// A duration is a positive time.
type duration struct {
	setting
	value time.Duration
}

func (v *duration) kind() kind { return textKind("duration, such as `\"30s\"` or `\"5m\"`") }

func (v *duration) take(in input) {
	s, ok := in.text()
	if !ok {
		return
	}
	value, err := time.ParseDuration(s)
	if err != nil || value <= 0 {
		in.mistake("%v is not a positive duration such as \"30s\" or \"5m\".%s", in, unitHint(s, "s"))
		return
	}
	v.value = value
}

// unitHint helps where only the unit is missing.
func unitHint(s, unit string) string {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return ` Did you mean "` + s + unit + `"?`
	}
	return ""
}

// A byteSize is an amount of data, from 1 KiB to 1 GiB.
type byteSize struct {
	setting
	value int64
}

func (v *byteSize) kind() kind { return textKind("size, such as `\"512KiB\"` or `\"4MiB\"`") }

var byteUnits = map[string]int64{
	"B":   1,
	"kB":  1000,
	"KB":  1000,
	"MB":  1000 * 1000,
	"GB":  1000 * 1000 * 1000,
	"KiB": 1 << 10,
	"MiB": 1 << 20,
	"GiB": 1 << 30,
	"TB":  1000 * 1000 * 1000 * 1000,
	"TiB": 1 << 40,
}

var byteSizePattern = regexp.MustCompile(`^([0-9]{1,9}) ?([A-Za-z]+)$`)

func (v *byteSize) take(in input) {
	s, ok := in.text()
	if !ok {
		return
	}
	if v.value, ok = parseSize(s); !ok {
		in.mistake("%v is not a size such as \"512KiB\" or \"4MiB\".%s", in, unitHint(s, "B"))
		return
	}
	if v.value < 1<<10 || v.value > 1<<30 {
		in.mistake("%v is not between 1KiB and 1GiB.", in)
	}
}

// parseSize reads an amount of data with its unit.
func parseSize(s string) (bytes int64, ok bool) {
	parts := byteSizePattern.FindStringSubmatch(s)
	if parts == nil || byteUnits[parts[2]] == 0 {
		return 0, false
	}
	n, _ := strconv.ParseInt(parts[1], 10, 64) // at most nine digits
	if unit := byteUnits[parts[2]]; n <= math.MaxInt64/unit {
		return n * unit, true
	}
	return 0, false
}

// A nameLength bounds published names.
type nameLength struct {
	setting
	value int
}

const (
	shortestNames = 16
	longestNames  = 128
)

func (v *nameLength) kind() kind {
	return kind{"number", map[string]any{"type": "integer", "minimum": shortestNames, "maximum": longestNames}}
}

func (v *nameLength) take(in input) {
	v.value = in.between(shortestNames, longestNames)
	v.keep(cty.NumberIntVal(int64(v.value)).WithSameMarks(in.value))
}

// A pattern is what a text of some type must match, and how to say so.
type pattern struct {
	*regexp.Regexp
	wanted string
}

var (
	separatorPattern = pattern{
		regexp.MustCompile(`^[A-Za-z0-9_-]{1,4}$`),
		"a separator: one to four letters, digits, _ or -",
	}
	prefixPattern = pattern{
		regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]{0,31})?$`),
		"a prefix: up to 32 letters, digits, _ and -, beginning with a letter",
	}
	toolNamePattern = pattern{
		regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`),
		"a name for a tool: letters, digits, _ and -",
	}
	labelPattern = pattern{
		regexp.MustCompile(`^[a-z][a-z0-9-]*$`),
		"a label: lower-case letters, digits and -, beginning with a letter",
	}
)

// matching is the input as text that matches p; "" after noting a mistake.
func (in input) matching(p pattern) string {
	s, ok := in.text()
	if ok && !p.MatchString(s) {
		in.mistake("%v is not %s.", in, p.wanted)
		return ""
	}
	return s
}

type separator struct{ text }

func (v *separator) take(in input) { v.value = in.matching(separatorPattern) }

type prefix struct{ text }

func (v *prefix) take(in input) { v.value = in.matching(prefixPattern) }

type toolName struct{ text }

func (v *toolName) take(in input) { v.value = in.matching(toolNamePattern) }

// A protocol is one of a few words.
type protocol struct {
	setting
	value upstream.Protocol
}

var protocols = []string{
	string(upstream.Auto), string(upstream.Legacy), string(upstream.Modern), string(upstream.SSE),
}

func (v *protocol) kind() kind { return kind{codeWords(protocols), map[string]any{"enum": protocols}} }

func (v *protocol) take(in input) { v.value = upstream.Protocol(in.oneOf(protocols)) }

// oneOf takes one of a few words.
func (in input) oneOf(words []string) string {
	s, ok := in.text()
	if ok && !slices.Contains(words, s) {
		hint := didYouMean(s, words)
		if in.secret() {
			hint = ""
		}
		in.mistake("%v is none of %s.%s", in, strings.Join(words, ", "), hint)
	}
	return s
}

func codeWords(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = "`\"" + word + "\"`"
	}
	return strings.Join(quoted, ", ")
}

// An isolation says who shares a connection.
type isolation struct {
	setting
	value aggregator.Isolation
}

var isolations = []string{string(aggregator.Shared), string(aggregator.PerUser), string(aggregator.PerSession)}

func (v *isolation) kind() kind {
	return kind{codeWords(isolations), map[string]any{"enum": isolations}}
}

func (v *isolation) take(in input) { v.value = aggregator.Isolation(in.oneOf(isolations)) }

// requestKinds is a list of what an upstream may ask clients for; nil if it is
// not given.
type requestKinds struct {
	setting
	value []string
}

var requests = []string{"sampling", "elicitation", "roots"}

func (v *requestKinds) kind() kind {
	return kind{"list of " + codeWords(requests), map[string]any{
		"type": "array", "items": map[string]any{"enum": requests},
	}}
}

func (v *requestKinds) take(in input) {
	v.value = []string{}
	elements, _ := in.list()
	for _, e := range elements {
		v.value = append(v.value, e.oneOf(requests))
	}
}

// globs is a list of patterns for tool names; nil if it is not given.
type globs struct {
	setting
	value []string
}

func (v *globs) kind() kind { return listKind("patterns") }

func (v *globs) take(in input) {
	v.value = []string{}
	elements, _ := in.list()
	for _, e := range elements {
		glob, ok := e.text()
		switch {
		case !ok:
		case glob == "":
			e.mistake("This must not be empty.")
		case strings.ContainsAny(glob, "?[]{}"):
			e.mistake("%v is not a pattern for tool names, in which only * is special.", e)
		default:
			v.value = append(v.value, glob)
		}
	}
}

// jsonValues is a map of any values.
type jsonValues struct {
	setting
	value map[string]json.RawMessage
}

func (v *jsonValues) kind() kind { return mapKind("map of any values") }

func (v *jsonValues) take(in input) {
	entries, _ := in.entries()
	for _, e := range entries {
		if raw, ok := e.value.raw(); ok {
			if v.value == nil {
				v.value = map[string]json.RawMessage{}
			}
			v.value[e.name] = raw
		}
	}
}
