package authserver

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pagePolicy lets the page have its own style and nothing else.
var pagePolicy = func() string {
	digest := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// usualAdvice is what a person can do when the program in front of them made a
// request that cannot be.
const usualAdvice = "Go back to the program that opened this page and sign in from there again. If this page returns, show it to who runs the gateway."

// page shows a problem to the person in front of the browser.
func (s *Server) page(w http.ResponseWriter, p *Problem) {
	advice := p.Advice
	if advice == "" {
		advice = usualAdvice
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(p.Status)
	_ = pageTemplate.Execute(w, map[string]any{ // the browser is gone, if anything
		"Style": template.CSS(pageCSS), "Gateway": s.public.Host, "Text": p.Text, "Advice": advice, "Error": p.OAuth,
	})
}
