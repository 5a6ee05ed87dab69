package compat

import (
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A problem is why a request is refused.
type problem struct {
	status int    // of HTTP, where it is not sent to the redirect URI
	oauth  string // the error of OAuth (RFC 6749, RFC 7591, RFC 8707)
	// text is for the person and the client, in whole sentences; it holds nothing
	// that only one of the two should know.
	text string
	// advice is what the person can do; "" for the usual.
	advice string
	// remedy is what the operator can do, for the log; "" if nothing.
	remedy string
	// cause is for the log, instead of text; "" if that says it all, and nothing about
	// a person.
	cause string
	// level is that of the log; a refusal that follows from what a client did is
	// Info, and what the operator has to mend is Error.
	level slog.Level
	// wait is when to come back; 0 says nothing about that.
	wait time.Duration
	// unregistered says that registering would help.
	unregistered bool
}

const updateClient = "Only the client's own developers can change that; look for a newer version of it."

func invalidRequest(text string) *problem {
	return &problem{status: http.StatusBadRequest, oauth: "invalid_request", text: text}
}

// unavailable is a problem between the gateway and Entra. The client keeps what
// it has: neither its registration nor its tokens are to blame.
func unavailable(text, cause, remedy string) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, oauth: "temporarily_unavailable", level: slog.LevelError,
		text: text, cause: cause, remedy: remedy, wait: defaultWait,
	}
}

// defaultWait is when to come back if nobody says when.
const defaultWait = 10 * time.Second

// answer tells the client, or the person in the browser, of a problem.
func (f *Facade) answer(w http.ResponseWriter, r *http.Request, e endpoint, p *problem) {
	if p.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.wait.Seconds()))))
	}
	if e.name == "authorize" && !wantsJSON(r) {
		f.page(w, p)
		return
	}
	body := map[string]string{"error": p.oauth, "error_description": plain(p.text)}
	if p.unregistered {
		body["registration_endpoint"] = f.registrationEndpoint()
	}
	writeJSON(w, p.status, body)
}

// wantsJSON tells a program from a browser, which accepts HTML.
func wantsJSON(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// maxText bounds an error_description, in bytes.
const maxText = 1000

// plain keeps to the characters that an error_description may have (RFC 6749
// section 5.2).
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, strings.ReplaceAll(text, "…", "..."))
	return text[:min(len(text), maxText)]
}

// brief quotes what a stranger wrote, or its beginning.
func brief(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "..."
	}
	return "'" + plain(s) + "'"
}

var credentials = regexp.MustCompile(`//[^/?#]*@`)

// withoutQuery is a URI without the parts that can hold something secret.
func withoutQuery(uri string) string {
	if i := strings.IndexAny(uri, "?#"); i >= 0 {
		uri = uri[:i+1] + "..."
	}
	return credentials.ReplaceAllString(uri, "//...@")
}
