package fakeentra

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed pages
var pageFiles embed.FS

// maxAccounts bounds how many people the account picker shows; the others type
// their name.
const maxAccounts = 12

// pages are what people see. They work without scripts, and none may run.
type pages struct {
	templates map[string]*template.Template
	css       []byte
}

func newPages() *pages {
	p := &pages{templates: map[string]*template.Template{}}
	for _, name := range []string{"accounts", "password", "consent", "error", "post", "message"} {
		p.templates[name] = template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html"))
	}
	p.css, _ = pageFiles.ReadFile("pages/page.css") // it is embedded
	return p
}

// A page is what the layout needs to know, and what is on it.
type page struct {
	Title  string
	Tenant Tenant
	App    string // that people sign in to; "" if none
	Action string // where the form goes to
	Flow   string
	Wrong  string // what was wrong with the last attempt
	Data   any
}

// show answers with a page. The form may lead to the client's redirect URI, and
// browsers hold a policy for forms against what follows, so that all places that
// a client may be sent to are in it.
func (p *pages) show(w http.ResponseWriter, status int, name string, content page, redirect string) {
	var b bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&b, "layout", content); err != nil {
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	targets := "'self' http: https:"
	if scheme, _, ok := strings.Cut(redirect, ":"); ok && isCustom(scheme) {
		targets += " " + scheme + ":"
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+targets+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the peer is gone if it fails
}

// isCustom reports whether a scheme is one of a program, and not one that a
// browser runs.
func isCustom(scheme string) bool {
	for _, r := range scheme {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '+' && r != '-' && r != '.' {
			return false
		}
	}
	return !slices.Contains([]string{"", "http", "https", "javascript", "data", "vbscript", "blob", "file"}, scheme)
}

func (p *pages) asset(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("name") != "page.css" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(p.css)
}

// An account is a person in the account picker.
type account struct {
	Login, Name, Initials string
	Colour                int // one of six
	About                 string
}

func (d *directory) account(u *User) account {
	return account{
		Login: u.Name, Name: u.DisplayName, Initials: initials(u.DisplayName), Colour: int(u.ID[len(u.ID)-1]) % 6, About: d.about(u),
	}
}

// About says in a few words what is special about somebody: their groups, their
// roles, whether they are a guest or disabled. It is "" for nobody.
func (s *Server) About(idOrName string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.directory.user(idOrName)
	if u == nil {
		return ""
	}
	return s.directory.about(u)
}

func (d *directory) about(u *User) string {
	var about []string
	if u.Disabled {
		about = append(about, "disabled")
	}
	if u.IsGuest() {
		about = append(about, "guest")
	}
	groups := d.groupsOf(u)
	if len(groups) > 3 {
		about = append(about, fmt.Sprintf("%d groups", len(groups)))
		groups = nil
	}
	for _, g := range groups {
		about = append(about, d.groups[g].Name)
	}
	var roles []string
	for _, r := range u.Roles {
		roles = append(roles, r...)
	}
	slices.Sort(roles)
	return strings.Join(append(about, slices.Compact(roles)...), " · ")
}

func initials(name string) string {
	var b strings.Builder
	for i, word := range strings.Fields(name) {
		if r, _ := utf8.DecodeRuneInString(word); i < 2 {
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String()
}

// showSignIn shows the account picker or, once it is known who it is, asks for
// the password.
func (s *Server) showSignIn(w http.ResponseWriter, flow string, req *authorizeRequest, login, wrong string) {
	content := page{
		Title: "Sign in", Tenant: s.tenantOf(req), App: req.client.Name, Action: "/" + req.tenant.ID + "/login", Flow: flow, Wrong: wrong,
	}
	s.mu.Lock()
	u := s.directory.user(login)
	var accounts []account
	for _, person := range s.directory.people(req.tenant.ID) {
		if len(accounts) < maxAccounts {
			accounts = append(accounts, s.directory.account(&person))
		}
	}
	var chosen account
	if u != nil {
		chosen = s.directory.account(u)
	}
	s.mu.Unlock()
	if u == nil {
		content.Title, content.Data = "Pick an account", accounts
		s.pages.show(w, http.StatusOK, "accounts", content, req.redirect)
		return
	}
	content.Data = map[string]any{"Account": chosen, "Any": u.Password == ""}
	s.pages.show(w, http.StatusOK, "password", content, req.redirect)
}

// tenantOf is the tenant of a request as people see it.
func (s *Server) tenantOf(req *authorizeRequest) Tenant {
	if isAlias(req.tenant.ID) {
		return Tenant{Name: "Any organization"}
	}
	return req.tenant
}

// showConsent asks a person whether the app may have what it asks for.
func (s *Server) showConsent(w http.ResponseWriter, flow string, req *authorizeRequest, u User) {
	type permission struct{ Name, API string }
	var permissions []permission
	for _, api := range req.scopes.apis() {
		for _, name := range req.scopes.names(req.client, api) {
			permissions = append(permissions, permission{name, api.Name})
		}
	}
	if req.scopes.has("offline_access") {
		permissions = append(permissions, permission{"Stay signed in", "offline_access"})
	}
	s.pages.show(w, http.StatusOK, "consent", page{
		Title: "Permissions requested", Tenant: s.tenantOf(req), App: req.client.Name, Action: "/" + req.tenant.ID + "/consent", Flow: flow,
		Data: map[string]any{"Login": u.Name, "Permissions": permissions, "ClientID": req.client.ClientID, "Redirect": req.redirect},
	}, req.redirect)
}

// errorPage shows an error that no client gets to know of.
func (s *Server) errorPage(w http.ResponseWriter, f *failure) {
	i := s.incident(f)
	w.Header().Set("X-Ms-Request-Id", i.trace)
	s.pages.show(w, f.httpStatus(), "error", page{
		Title: "We couldn't sign you in",
		Data:  map[string]any{"Text": i.Error(), "Trace": i.trace, "Correlation": i.correlation, "Timestamp": i.timestamp},
	}, "")
}

// post shows a form that sends an answer to the client (OAuth 2.0 Form Post
// Response Mode), with a button, as there are no scripts.
func (p *pages) post(w http.ResponseWriter, redirect string, answer url.Values) {
	type field struct{ Name, Value string }
	var fields []field
	for _, name := range sortedNames(answer) {
		fields = append(fields, field{name, answer.Get(name)})
	}
	p.show(w, http.StatusOK, "post", page{Title: "Almost done", Action: withPath(redirect), Data: fields}, redirect)
}

func (p *pages) signedOut(w http.ResponseWriter) {
	p.show(w, http.StatusOK, "message", page{Title: "Signed out", Data: "You can close this window."}, "")
}

// home tells whoever opens the base URL what this is.
func (s *Server) home(w http.ResponseWriter, _ *http.Request) {
	s.pages.show(w, http.StatusOK, "message", page{
		Title: "It runs",
		Data:  "Clients sign in here through a gateway: there is nothing to do on this page.",
	}, "")
}
