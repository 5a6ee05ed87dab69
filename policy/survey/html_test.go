package survey_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// pageOf is the page of a map.
func pageOf(t testing.TB, m *survey.Map, p survey.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := m.WriteHTML(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// dataIn is what a page has as data.
type dataIn struct {
	Made, Counted string
	Notes         []string
	Callers       []struct{ Name, Sort, About string }
	Policies      []struct{ ID, At string }
	Answers       []struct {
		Outcome          int
		Sentence, Cedar  string
		Permits, Forbids []int
	}
	Patterns  [][]int
	Upstreams []struct {
		Name  string
		Tools []struct {
			Name, Kind, Published, Title, Effect string
			Cells                                int
		}
	}
}

func dataOf(t testing.TB, page string) (d dataIn) {
	t.Helper()
	_, rest, _ := strings.Cut(page, `id="data">`)
	raw, _, _ := strings.Cut(rest, "</script>")
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return d
}

func TestPageHoldsTheMap(t *testing.T) {
	e := engineOf(t, `
@id("all") permit (principal in Group::"a", action, resource);
permit (principal in Group::"b", action, resource) when { context.input.owner == "contoso" };
@id("never") forbid (principal, action, resource) when { context.input.owner == "evil" };`)
	rows := []survey.Row{merge, rowOf("github", "get", true), rowOf("jira", "find", true)}
	m := mapOf(t, e, []*persona.Persona{{Name: "both", Groups: []string{"a", "b"}}}, rows...)
	made := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	d := dataOf(t, pageOf(t, m, survey.Page{Made: made, Digest: "4f2ab19c", Path: func(name string) string { return "here/" + name }}))
	if d.Made != "made 2026-11-23 09:30 UTC, policies 4f2ab19c" || d.Counted != "3 tools of 2 upstreams, 4 callers" || len(d.Notes) != 1 {
		t.Errorf("%q, %q, %q", d.Made, d.Counted, d.Notes)
	}
	row := 0
	for _, u := range d.Upstreams {
		for _, tool := range u.Tools {
			if u.Name+"/"+tool.Name != rows[row].Object.Origin() || tool.Published != rows[row].Published {
				t.Errorf("row %d is %s/%s", row, u.Name, tool.Name)
			}
			for c := range m.Callers {
				got, want := d.Answers[d.Patterns[tool.Cells][c]], m.At(c, row)
				if got.Outcome != int(want.Outcome) || got.Sentence != want.Sentence() || len(got.Permits) != len(want.Permits) || len(got.Forbids) != len(want.Forbids) {
					t.Errorf("%s, %s: %+v, want %s", m.Callers[c].Name, tool.Name, got, want.Sentence())
				}
				for i, p := range want.Permits {
					at := d.Policies[got.Permits[i]]
					if wantAt := fmt.Sprintf("here/p.cedar:%d", p.Policy.Line); at.At != wantAt {
						t.Errorf("a policy is at %s, want %s", at.At, wantAt)
					}
				}
			}
			row++
		}
	}
	if row != len(rows) || d.Upstreams[0].Tools[0].Effect != "destroys" || d.Upstreams[0].Tools[1].Effect != "reads" {
		t.Errorf("%d rows: %+v", row, d.Upstreams)
	}
}

// TestPageLoadsNothing looks for anything that would leave the page, and for a policy
// that allows just what is in it.
func TestPageLoadsNothing(t *testing.T) {
	page := pageOf(t, mapOf(t, engineOf(t, `permit (principal, action, resource);`), nil, merge), survey.Page{})
	for _, pattern := range []string{`https?:`, `\bsrc=`, `@import`, `url\(`, `\bfetch\(`, `XMLHttpRequest`, `innerHTML`, `insertAdjacentHTML`, `\bon[a-z]+="`, ` style="`, `\beval\(`} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("%q is in it", found)
		}
	}
	csp := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if csp == nil || !strings.HasPrefix(csp[1], "default-src 'none'; ") {
		t.Fatalf("the policy is %q", csp)
	}
	for tag, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		text := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(page, -1)
		if len(text) != 1 {
			t.Fatalf("there are %d of %s", len(text), tag)
		}
		sum := sha256.Sum256([]byte(text[0][1]))
		if want := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"; !strings.Contains(csp[1], want) {
			t.Errorf("%s is not in %s", want, csp[1])
		}
	}
}

// hostile are names that would do harm where they are taken for more than text.
var hostile = []string{
	"</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!--<script>", "\u202egnp.exe", "\x1b[31mred\x00", "a\u2028b", `"'\u0022&quot;`, strings.Repeat("long ", 500),
}

func TestPageIsNotHarmedByNames(t *testing.T) {
	for _, name := range hostile {
		checkHostile(t, name)
	}
}

func FuzzPage(f *testing.F) {
	for _, name := range hostile {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) { checkHostile(t, name) })
}

// checkHostile has everything of a page that others choose be a name.
func checkHostile(t *testing.T, name string) {
	t.Helper()
	e := engineOf(t, `permit (principal, action, resource);`)
	row := rowOf("u", "t"+name, true)
	row.Published = name
	m := mapOf(t, e, []*persona.Persona{{Name: "p" + name, Groups: []string{name}}}, row)
	page := pageOf(t, m, survey.Page{Notes: []string{name}, Digest: name, Path: func(string) string { return name }})
	if n := strings.Count(page, "<script"); n != strings.Count(plainPage(t), "<script") {
		t.Errorf("%q makes %d scripts", name, n)
	}
	if strings.Contains(page, "<img") || strings.Count(page, "<!--") != strings.Count(plainPage(t), "<!--") {
		t.Errorf("%q is markup", name)
	}
	_, rest, _ := strings.Cut(page, `id="data">`)
	raw, _, _ := strings.Cut(rest, "</script>")
	if strings.ContainsAny(raw, "<>&") {
		t.Errorf("%q is not escaped", name)
	}
	d := dataOf(t, page)
	for _, text := range []string{d.Callers[0].Name, d.Callers[0].About, d.Upstreams[0].Tools[0].Name, d.Upstreams[0].Tools[0].Published, d.Policies[0].At, d.Notes[0], d.Made} {
		if len([]rune(text)) > 320 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Errorf("%q is shown as %q", name, text)
		}
	}
}

// plainPage is one without odd names.
func plainPage(t testing.TB) string {
	return pageOf(t, mapOf(t, engineOf(t, `permit (principal, action, resource);`), nil, merge), survey.Page{})
}
