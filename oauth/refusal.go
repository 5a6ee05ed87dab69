package oauth

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// retryUnavailable is when clients are told to come back while a provider cannot be
// asked.
const retryUnavailable = 5 * time.Second

// A Refusal is why a request may not pass, as its answer says it.
type Refusal struct {
	// Status is 400 for a malformed request, 401 or 403 with a Challenge, and 503
	// with RetryAfter when nothing can be said about tokens now: a challenge would
	// make clients throw good ones away.
	Status     int
	Challenge  string // WWW-Authenticate (RFC 6750, section 3); "" for none
	RetryAfter time.Duration
	Message    string // for people; it holds nothing of the token
}

// refusals bound how many of one sort are logged: whoever sends a flood of the
// other must not keep an operator from seeing these.
type refusals struct {
	limit    *rate.Limiter
	unlogged atomic.Int64
}

func newRefusals() *refusals { return &refusals{limit: rate.NewLimiter(20, 200)} }

// refuse answers a token that may not pass, and logs why, and whose it is if that
// is known.
func (s *SignIn) refuse(r *http.Request, sort *refusals, subject string, err error) *Refusal {
	attrs := []any{"reason", err, "remote", r.RemoteAddr}
	if subject != "" {
		attrs = append(attrs, "subject", subject)
	}
	unavailable := &Refusal{
		Status: http.StatusServiceUnavailable, RetryAfter: retryUnavailable,
		Message: "the identity provider cannot be reached; try again",
	}
	switch {
	case r.Context().Err() != nil: // the client has gone
		return unavailable
	case errors.Is(err, errNoKeys):
		s.logRefusal(r, sort, slog.LevelError, "cannot verify tokens", attrs)
		return unavailable
	case errors.Is(err, errScope):
		s.logRefusal(r, sort, slog.LevelWarn, "refused a token", attrs)
		return s.challenge(r, http.StatusForbidden, "insufficient_scope", "the token lacks a scope")
	case errors.Is(err, ErrExpired), errors.Is(err, ErrEnded): // as every token does, some day
		s.logRefusal(r, sort, slog.LevelInfo, "refused a token", attrs)
	default:
		s.logRefusal(r, sort, slog.LevelWarn, "refused a token", attrs)
	}
	return s.challenge(r, http.StatusUnauthorized, "invalid_token", "the token is not valid; sign in again")
}

// logRefusal logs why a token was refused, unless a flood of them is. Those that
// were left out are counted with the next one.
func (s *SignIn) logRefusal(r *http.Request, sort *refusals, level slog.Level, message string, attrs []any) {
	if !sort.limit.Allow() {
		sort.unlogged.Add(1)
		return
	}
	if n := sort.unlogged.Swap(0); n > 0 {
		attrs = append(attrs, "unlogged", n)
	}
	s.log.Log(r.Context(), level, message, attrs...)
}

// challenge says where to get a token. Every one has the same scope and metadata:
// some clients replace what they knew by the last one they got.
func (s *SignIn) challenge(r *http.Request, status int, code, message string) *Refusal {
	var b strings.Builder
	b.WriteString(`Bearer resource_metadata="` + s.metadataURL(r.URL.Path) + `"`)
	if scopes := s.scopes(); len(scopes) > 0 {
		b.WriteString(`, scope="` + strings.Join(scopes, " ") + `"`)
	}
	if code != "" {
		b.WriteString(`, error="` + code + `", error_description="` + message + `"`)
	}
	return &Refusal{Status: status, Challenge: b.String(), Message: message}
}
