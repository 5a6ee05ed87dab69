package survey

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for what the page is made of
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/explain"
)

// What the page is made of.
var (
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string
	//go:embed page/page.html
	pageBody string
)

// A Page is what a page says beside the map.
type Page struct {
	Made   time.Time // when; the zero value to say nothing
	Digest string    // of the policies, "" to say nothing
	Notes  []string  // what else one should know, each a sentence
	// Path is where a file of policies is, by its name; nil for the name.
	Path func(name string) string
}

// WriteHTML writes the map as one page that loads nothing, and runs nothing but the
// script in it. What others wrote, such as the names of tools, is in it as data only.
func (m *Map) WriteHTML(w io.Writer, p Page) error {
	data, err := json.Marshal(m.pageData(p)) // which escapes <, > and &
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	var b bytes.Buffer
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	fmt.Fprintf(&b, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '%s'; style-src '%s'; img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'\">\n", hash(pageScript), hash(pageStyle))
	b.WriteString("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<link rel=\"icon\" href=\"data:,\">\n<title>Who may use what</title>\n")
	b.WriteString("<style>" + pageStyle + "</style>\n</head>\n<body>\n" + pageBody)
	b.WriteString("<script type=\"application/json\" id=\"data\">")
	b.Write(data)
	b.WriteString("</script>\n<script>" + pageScript + "</script>\n</body>\n</html>\n")
	_, err = w.Write(b.Bytes())
	return err
}

// hash names a text in a Content-Security-Policy.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// pageData is what the script of the page draws.
type pageData struct {
	Made      string            `json:"made"`
	Counted   string            `json:"counted"`
	Notes     []string          `json:"notes"`
	Sorts     map[string]string `json:"sorts"`
	Callers   []pageCaller      `json:"callers"`
	Policies  []pagePolicy      `json:"policies"`
	Answers   []pageAnswer      `json:"answers"`
	Patterns  [][]int           `json:"patterns"` // places in Answers, by caller
	Upstreams []pageUpstream    `json:"upstreams"`
}

type pageCaller struct {
	Name  string `json:"name"`
	Sort  string `json:"sort"`
	About string `json:"about"`
}

type pagePolicy struct {
	ID string `json:"id"`
	At string `json:"at"`
}

type pageAnswer struct {
	Outcome  explain.Outcome `json:"outcome"`
	Sentence string          `json:"sentence"`
	Cedar    string          `json:"cedar,omitempty"`
	Permits  []int           `json:"permits,omitempty"` // places in Policies
	Forbids  []int           `json:"forbids,omitempty"`
}

type pageUpstream struct {
	Name  string     `json:"name"`
	Tools []pageTool `json:"tools"`
}

type pageTool struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Published string `json:"published"`
	Title     string `json:"title"`
	Effect    string `json:"effect"`
	Cells     int    `json:"cells"` // a place in Patterns
}

// pageSorts are titles for sorts of callers.
var pageSorts = map[Sort]string{
	OfTests: "personas of the tests", Made: "asked about", Anybody: "anybody", OfGroup: "groups", OfRole: "roles",
	OfApp: "apps", OfPerson: "named", OfSort: "kinds",
}

func (m *Map) pageData(p Page) pageData {
	d := pageData{Made: p.made(), Counted: m.counted(), Notes: []string{}, Sorts: map[string]string{}, Upstreams: []pageUpstream{}}
	for s, title := range pageSorts {
		d.Sorts[string(s)] = title
	}
	for _, n := range append(p.Notes, "These callers are an enumeration: somebody else, such as one in two groups at once, may be allowed something else.") {
		d.Notes = append(d.Notes, clean(n, maxName))
	}
	for _, c := range m.Callers {
		d.Callers = append(d.Callers, pageCaller{clean(c.Name, maxName), string(c.Sort), clean(c.About(), maxName)})
	}
	f := newFolder(&d, p.Path, m)
	for i, row := range m.Rows {
		name := clean(row.Object.Upstream(), maxName)
		if last := len(d.Upstreams) - 1; last < 0 || d.Upstreams[last].Name != name {
			d.Upstreams = append(d.Upstreams, pageUpstream{Name: name})
		}
		u := &d.Upstreams[len(d.Upstreams)-1]
		u.Tools = append(u.Tools, pageTool{
			Name: clean(row.Name(), maxName), Kind: row.Kind, Published: clean(row.Published, maxName),
			Title: title(row), Effect: effect(row), Cells: f.pattern(i),
		})
	}
	return d
}

// made says when, and of which policies.
func (p Page) made() string {
	var parts []string
	if !p.Made.IsZero() {
		parts = append(parts, "made "+p.Made.UTC().Format("2006-01-02 15:04")+" UTC")
	}
	if p.Digest != "" {
		parts = append(parts, "policies "+clean(p.Digest, 12))
	}
	return strings.Join(parts, ", ")
}

func (m *Map) counted() string {
	upstreams := map[string]bool{}
	for _, r := range m.Rows {
		upstreams[r.Object.Upstream()] = true
	}
	what := "tools"
	if slices.ContainsFunc(m.Rows, func(r Row) bool { return r.Kind != "tool" }) {
		what = "tools, prompts and resources"
	}
	of := fmt.Sprintf("%d upstreams", len(upstreams))
	if len(upstreams) == 1 {
		of = "1 upstream"
	}
	return fmt.Sprintf("%d %s of %s, %d callers", len(m.Rows), what, of, len(m.Callers))
}

// title is that of a tool, unless it is its name.
func title(r Row) string {
	t, _ := r.Object.Entity().Attributes.Get("title")
	text, _ := t.(types.String)
	if string(text) == r.Name() {
		return ""
	}
	return clean(string(text), maxName)
}

// effect is what a tool does, as policies see it; "" for what is no tool.
func effect(r Row) string {
	if r.Kind != "tool" {
		return ""
	}
	is := func(name types.String) bool { v, _ := r.Object.Entity().Attributes.Get(name); return v == types.True }
	switch {
	case is("read_only"):
		return "reads"
	case is("destructive"):
		return "destroys"
	}
	return "writes"
}

// A folder keeps each answer, and each row of answers, once.
type folder struct {
	data     *pageData
	path     func(string) string
	m        *Map
	most     int // characters of a text
	answers  map[*explain.Answer]int
	texts    map[string]int
	patterns map[string]int
	policies map[string]int
}

const (
	maxName  = 300      // characters of a name
	maxText  = 4_000    // characters of a condition
	minText  = 200      // however many there are
	maxTexts = 16 << 20 // bytes of all conditions, if that many are not too few for each
)

func newFolder(d *pageData, path func(string) string, m *Map) *folder {
	if path == nil {
		path = func(name string) string { return name }
	}
	f := &folder{
		data: d, path: path, m: m,
		answers: map[*explain.Answer]int{}, texts: map[string]int{}, patterns: map[string]int{}, policies: map[string]int{},
	}
	different := map[*explain.Answer]bool{}
	for _, a := range m.cells {
		different[a] = true
	}
	f.most = max(minText, min(maxText, maxTexts/(1+2*len(different))))
	return f
}

// pattern is the place of a row's answers.
func (f *folder) pattern(row int) int {
	places := make([]int, len(f.m.Callers))
	var key strings.Builder
	for c := range f.m.Callers {
		places[c] = f.answer(f.m.At(c, row))
		fmt.Fprintf(&key, "%d,", places[c])
	}
	at, ok := f.patterns[key.String()]
	if !ok {
		at = len(f.data.Patterns)
		f.patterns[key.String()] = at
		f.data.Patterns = append(f.data.Patterns, places)
	}
	return at
}

func (f *folder) answer(a *explain.Answer) int {
	if at, ok := f.answers[a]; ok {
		return at
	}
	made := pageAnswer{Outcome: a.Outcome, Sentence: clean(a.Sentence(), f.most)}
	if a.Outcome == explain.Sometimes {
		made.Cedar = clean(a.Condition(), f.most)
	}
	for _, p := range a.Permits {
		made.Permits = append(made.Permits, f.policy(p))
	}
	for _, p := range a.Forbids {
		made.Forbids = append(made.Forbids, f.policy(p))
	}
	key := fmt.Sprint(made)
	at, ok := f.texts[key]
	if !ok {
		at = len(f.data.Answers)
		f.texts[key] = at
		f.data.Answers = append(f.data.Answers, made)
	}
	f.answers[a] = at
	return at
}

func (f *folder) policy(p explain.Part) int {
	made := pagePolicy{ID: clean(p.Policy.ID, maxName), At: clean(fmt.Sprintf("%s:%d", f.path(p.Policy.File), p.Policy.Line), maxName)}
	if strings.HasPrefix(p.Policy.ID, p.Policy.File+"#") {
		made.ID = "without a name"
	}
	key := made.ID + "\x00" + made.At
	at, ok := f.policies[key]
	if !ok {
		at = len(f.data.Policies)
		f.policies[key] = at
		f.data.Policies = append(f.data.Policies, made)
	}
	return at
}

// clean is a text in one line of so many characters, with what is not to be seen made
// visible.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
