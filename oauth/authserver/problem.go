package authserver

import (
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// A Problem is why a request is refused.
type Problem struct {
	Status int    // of HTTP, where it is not sent to the redirect URI
	OAuth  string // the error of OAuth (RFC 6749, RFC 7591, RFC 8707)
	// Text is for the person and the client, in whole sentences; it holds nothing
	// that only one of the two should know.
	Text string
	// Advice is what the person can do; "" for the usual.
	Advice string
	// Remedy is what the operator can do, for the log; "" if nothing.
	Remedy string
	// Cause is for the log, instead of Text; "" if that says it all, and nothing about
	// a person.
	Cause string
	// Level is that of the log; a refusal that follows from what a client did is
	// Info, and what the operator has to mend is Error.
	Level slog.Level
	// Wait is when to come back; 0 says nothing about that.
	Wait time.Duration
	// Unregistered says that registering would help.
	Unregistered bool
}

// UpdateClient is the remedy for requests that only another program could make.
const UpdateClient = "Only the client's own developers can change that; look for a newer version of it."

// InvalidRequest is a problem with what a client sent.
func InvalidRequest(text string) *Problem {
	return &Problem{Status: http.StatusBadRequest, OAuth: "invalid_request", Text: text}
}

// Unavailable is a problem between the gateway and the identity provider. The
// client keeps what it has: neither its registration nor its tokens are to blame.
func Unavailable(text, cause, remedy string) *Problem {
	return &Problem{
		Status: http.StatusServiceUnavailable, OAuth: "temporarily_unavailable", Level: slog.LevelError,
		Text: text, Cause: cause, Remedy: remedy, Wait: DefaultWait,
	}
}

// DefaultWait is when to come back if nobody says when.
const DefaultWait = 10 * time.Second

// WantsJSON tells a program from a browser, which accepts HTML.
func WantsJSON(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// maxText bounds an error_description, in bytes.
const maxText = 1000

// Plain keeps to the characters that an error_description may have (RFC 6749
// section 5.2).
func Plain(text string) string {
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

// Brief quotes what a stranger wrote, or its beginning.
func Brief(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "..."
	}
	return "'" + Plain(s) + "'"
}

var credentials = regexp.MustCompile(`//[^/?#]*@`)

// WithoutQuery is a URI without the parts that can hold something secret.
func WithoutQuery(uri string) string {
	if i := strings.IndexAny(uri, "?#"); i >= 0 {
		uri = uri[:i+1] + "..."
	}
	return credentials.ReplaceAllString(uri, "//...@")
}
