// Package authserver is what the authorization servers of the gateway have in
// common: endpoints that strangers can ask anything of, and that answer each
// request within bounds or say in OAuth's own words why not.
//
//	server := authserver.New(publicURL, log)
//	server.Handle(authserver.Endpoint{Name: "token", Methods: []string{http.MethodPost}, Serve: redeem}, "/oauth2/token")
package authserver

import (
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/pages"
)

// An Endpoint is what a path leads to.
type Endpoint struct {
	Name    string
	Methods []string
	// CrossOrigin lets the pages of all origins read the answers. Cookies must be
	// none of them: nothing may depend on who has the browser.
	CrossOrigin bool
	// Page says that people see it in a browser.
	Page  bool
	Rates *Rates // nil for no bound
	// Serve answers, or returns why it did not.
	Serve func(http.ResponseWriter, *http.Request) *Problem
}

// A Server is the [http.Handler] of endpoints. The address in a request is taken
// for the client's. It is safe for concurrent use.
type Server struct {
	// Set by New, never changed.
	Base      string // of all URLs, without a slash at its end
	Journal   Journal
	public    *url.URL
	endpoints map[string]Endpoint // by path
}

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = 10 * time.Second

// New returns a server that clients reach at a public URL. It serves nothing
// before Handle.
func New(public *url.URL, log *slog.Logger) *Server {
	return &Server{
		Base: strings.TrimSuffix(public.String(), "/"), Journal: NewJournal(log), public: public, endpoints: map[string]Endpoint{},
	}
}

// Handle has an endpoint serve paths. It must not be called once the server is
// used.
func (s *Server) Handle(e Endpoint, paths ...string) {
	for _, path := range paths {
		s.endpoints[path] = e
	}
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, ok := s.endpoints[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	// The server reads what is left of a body before it answers, so that this counts
	// for those, too, that are refused unread.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // unsupported only by test recorders
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if e.CrossOrigin {
		allowCrossOrigin(h, e.Methods)
		if r.Method == http.MethodOptions {
			h.Set("Allow", strings.Join(append(e.Methods, http.MethodOptions), ", "))
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	if p := e.serve(w, r); p != nil {
		s.Journal.Refused(r, e.Name, p)
		s.answer(w, r, e, p)
	}
}

func (e Endpoint) serve(w http.ResponseWriter, r *http.Request) *Problem {
	if !slices.Contains(e.Methods, r.Method) {
		w.Header().Set("Allow", strings.Join(e.Methods, ", "))
		return &Problem{Status: http.StatusMethodNotAllowed, OAuth: "invalid_request", Text: "This endpoint answers to " + strings.Join(e.Methods, " and ") + " only."}
	}
	if wait := e.Rates.Take(r.RemoteAddr); wait > 0 {
		return TooMany("There were too many requests from this address; try again in a moment.", wait)
	}
	return e.Serve(w, r)
}

// TooMany is a problem with how much comes from an address.
func TooMany(text string, wait time.Duration) *Problem {
	return &Problem{
		Status: http.StatusTooManyRequests, OAuth: "temporarily_unavailable", Text: text, Wait: wait,
		Remedy: "If many people share this address, name the proxy in front of the gateway in server.trusted_proxies.",
	}
}

func allowCrossOrigin(h http.Header, methods []string) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Accept, Content-Type, MCP-Protocol-Version")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	h.Set("Access-Control-Max-Age", "600")
}

// answer tells the client, or the person in the browser, of a problem.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, e Endpoint, p *Problem) {
	if p.Wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.Wait.Seconds()))))
	}
	if e.Page && !WantsJSON(r) {
		pages.Problem(w, p.Status, pages.ProblemPage{Gateway: s.public.Host, Text: p.Text, Advice: p.Advice, Error: p.OAuth})
		return
	}
	body := map[string]string{"error": p.OAuth, "error_description": Plain(p.Text)}
	if p.Unregistered {
		body["registration_endpoint"] = s.Base + RegisterPath
	}
	WriteJSON(w, p.Status, body)
}

// SendBack tells a client of a problem at its redirect URI (RFC 6749 section
// 4.1.2.1), which must have been found right.
func SendBack(w http.ResponseWriter, r *http.Request, redirectURI string, answer url.Values, p *Problem) {
	answer.Set("error", p.OAuth)
	answer.Set("error_description", Plain(p.Text))
	Redirect(w, r, WithQuery(redirectURI, answer))
}

// WithQuery adds parameters to those that a URI has.
func WithQuery(uri string, more url.Values) string {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + more.Encode()
}

// Redirect sends a browser on to a URL as it is written, with a GET: after a form
// that takes another status (RFC 9700 section 4.12).
func Redirect(w http.ResponseWriter, r *http.Request, to string) {
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	w.Header().Set("Location", to)
	w.WriteHeader(status)
}
