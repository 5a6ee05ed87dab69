package pages_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func parsed(t testing.TB, page string) *html.Node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// textOf is the text in an element, in one line.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// elements are those of a kind, with all attributes that are given as "name=value".
func elements(page *html.Node, kind string, attributes ...string) (found []*html.Node) {
	for n := range page.Descendants() {
		if n.Type == html.ElementNode && n.Data == kind && !slices.ContainsFunc(attributes, func(a string) bool {
			name, value, _ := strings.Cut(a, "=")
			return attribute(n, name) != value
		}) {
			found = append(found, n)
		}
	}
	return found
}

// vocabulary is every element that a page may have.
var vocabulary = strings.Fields("html head meta link title style body header main article section svg path circle h1 h2 h3 p span b strong bdi code time a ul li dl div dt dd details summary form input button")

// check says what is wrong with the markup of a page. It returns the page.
func check(t testing.TB, page string) *html.Node {
	t.Helper()
	root := parsed(t, page)
	for n := range root.Descendants() {
		switch n.Type {
		case html.ElementNode:
			checkElement(t, n)
		case html.CommentNode:
			t.Errorf("there is a comment: %q", n.Data)
		}
	}
	for _, kind := range []string{"h1", "main", "header", "title", "style"} {
		if n := elements(root, kind); len(n) != 1 || kind != "style" && textOf(n[0]) == "" {
			t.Errorf("there are %d %s, or it is empty", len(n), kind)
		}
	}
	if lang := attribute(elements(root, "html")[0], "lang"); lang != "en" {
		t.Errorf("the language is %q", lang)
	}
	checkIDs(t, root)
	return root
}

func checkElement(t testing.TB, n *html.Node) {
	t.Helper()
	if !slices.Contains(vocabulary, n.Data) {
		t.Errorf("there is a <%s>", n.Data)
	}
	for _, a := range n.Attr {
		if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "formaction" || a.Key == "srcdoc" || a.Key == "autofocus" {
			t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
		}
		if slices.Contains([]string{"href", "src", "action", "data", "poster", "background"}, a.Key) {
			checkURL(t, n, a.Val)
		}
	}
	if n.Data == "input" && attribute(n, "type") != "hidden" {
		t.Errorf("an input that people see has to have a label: %v", n.Attr)
	}
	if (n.Data == "button" || n.Data == "a" || n.Data == "summary") && textOf(n) == "" {
		t.Errorf("<%s> says nothing", n.Data)
	}
}

// checkURL allows what leads to a page or a program, and the icon.
func checkURL(t testing.TB, n *html.Node, raw string) {
	t.Helper()
	u, err := url.Parse(raw)
	icon := n.Data == "link" && attribute(n, "rel") == "icon" && strings.HasPrefix(raw, "data:image/svg+xml,")
	if err != nil || !icon && !slices.Contains([]string{"", "https", "http", "cursor"}, u.Scheme) {
		t.Errorf("<%s> leads to %q", n.Data, raw)
	}
}

// checkIDs looks for ids that are there twice, and labels that are not there.
func checkIDs(t testing.TB, root *html.Node) {
	t.Helper()
	seen := make(map[string]bool)
	for n := range root.Descendants() {
		if id := attribute(n, "id"); id != "" && seen[id] {
			t.Errorf("two elements have the id %q", id)
		} else {
			seen[id] = true
		}
	}
	for n := range root.Descendants() {
		if label := attribute(n, "aria-labelledby"); !seen[label] && label != "" {
			t.Errorf("there is no label %q", label)
		}
	}
}

func TestMarkup(t *testing.T) {
	for _, s := range append(samples(), longSamples()...) {
		t.Run(s.name, func(t *testing.T) {
			check(t, bodyOf(t, written(s.write)))
		})
	}
}
