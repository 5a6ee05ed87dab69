// Package pages writes the HTML pages that people see when they sign in through
// the gateway: the question whether a program may have access ([Consent]), the
// way on ([Leave], [SignedIn]), what went wrong ([Problem]) and the page about
// themselves ([SignIn], [Me]):
//
//	pages.Problem(w, http.StatusBadRequest, pages.ProblemPage{
//		Gateway: "mcp.contoso.com",
//		Text:    "The program is not registered here.",
//	})
//
// Pages run no script and load nothing, which their Content-Security-Policy also
// tells the browser. Much of what they show was written by strangers, such as
// the name of a program; it is shown as text without what could disguise it: see
// clean. Lists have bounds. Every function may be called by many at once.
//
// The Referrer-Policy is no-referrer, so browsers send forms with the header
// "Origin: null": whoever receives one must look at Sec-Fetch-Site, or at the
// token in the form, to know where it comes from.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
)

//go:embed html
var files embed.FS

//go:embed html/style.css
var style string

// stylePolicy lets a page have its own style and the icon that is written in it,
// of everything there is.
var stylePolicy = func() string {
	digest := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action "
}()

// parse reads a page and what all pages have.
func parse(page string) *template.Template {
	funcs := template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
		"name":  cleanName,
		"brief": cleanBrief,
		"why":   cleanWhy,
		"text":  cleanText,
		"host":  cleanHost,
		"count": count,
	}
	return template.Must(template.New("base.html").Funcs(funcs).ParseFS(files, "html/base.html", "html/"+page))
}

// A response is a page and the headers in which pages differ.
type response struct {
	status int // of HTTP; 0 is 200
	page   *template.Template
	data   any
	forms  string // the CSP sources to which forms may be sent, with all redirects that follow; "" is 'none'
	onward string // where the browser goes by itself; "" if it stays
	pause  int    // how long it stays before it does, in seconds
	// apart severs the page from one that opened it. Pages between a program and
	// its callback must not: a program in a browser opens them in a window of its
	// own, and hears of the end from there.
	apart bool
}

func (r response) write(w http.ResponseWriter) {
	var body bytes.Buffer
	if err := r.page.Execute(&body, r.data); err != nil {
		panic("pages: " + err.Error()) // a page that does not fit its data is a bug
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Content-Security-Policy", stylePolicy+orNone(r.forms))
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if r.apart {
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if r.onward != "" {
		h.Set("Refresh", strconv.Itoa(r.pause)+";url="+r.onward)
	}
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	_, _ = w.Write(body.Bytes()) // the browser is gone, if anything
}

func orNone(sources string) string {
	if sources == "" {
		return "'none'"
	}
	return sources
}
