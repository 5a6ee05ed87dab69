package entra

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// A TokenError is what a token endpoint answers when it gives no token (RFC 6749
// section 5.2, with Entra's own members, which other providers leave out).
type TokenError struct {
	Status   int    // of HTTP
	OAuth    string // the member error, such as "invalid_grant"
	Suberror string // such as "consent_required"; often ""
	// Numbers are the AADSTS codes, the one that counts first.
	Numbers []int
	// TraceID and CorrelationID find the request in Microsoft's logs; "" if absent.
	TraceID, CorrelationID string
	// Claims is a claims challenge, for a sign-in that satisfies a Conditional
	// Access policy: JSON, or "" for none. One of more than 4 KiB, which fits into no
	// URL, is none.
	Claims string
	// description is the provider's own text. It can hold the person's e-mail address.
	description string
}

// maxClaims bounds a claims challenge, in bytes. Entra's have some hundred.
const maxClaims = 4 << 10

// ParseTokenError reads an answer that is no success. It reports false for what
// is not an error of OAuth, such as the HTML page of a proxy.
func ParseTokenError(status int, body []byte) (*TokenError, bool) {
	var found struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		Suberror      string `json:"suberror"`
		Codes         []int  `json:"error_codes"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
		Claims        string `json:"claims"`
	}
	if json.Unmarshal(body, &found) != nil || !isErrorCode(found.Error) {
		return nil, false
	}
	e := &TokenError{
		Status: status, OAuth: found.Error, Numbers: found.Codes, Claims: found.Claims, description: found.Description,
		TraceID: idOrNone(found.TraceID), CorrelationID: idOrNone(found.CorrelationID),
	}
	if isErrorCode(found.Suberror) {
		e.Suberror = found.Suberror
	}
	if len(e.Numbers) == 0 {
		e.Numbers = CodesIn(e.description)
	}
	e.Numbers = e.Numbers[:min(len(e.Numbers), maxNumbers)]
	if len(e.Claims) > maxClaims {
		e.Claims = ""
	}
	return e, true
}

// isErrorCode reports whether s is the name of an error and no prose.
func isErrorCode(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == ""
}

func idOrNone(s string) string {
	if len(s) > 64 || strings.Trim(s, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return s
}

// Error says what to look for, without anything about the person.
func (e *TokenError) Error() string {
	text := "the identity provider answered " + e.OAuth
	if e.Suberror != "" {
		text += "/" + e.Suberror
	}
	for _, n := range e.Numbers {
		text += fmt.Sprintf(", AADSTS%d", n)
	}
	return text + e.ids()
}

func (e *TokenError) ids() string {
	var ids []string
	if e.TraceID != "" {
		ids = append(ids, "trace id "+e.TraceID)
	}
	if e.CorrelationID != "" {
		ids = append(ids, "correlation id "+e.CorrelationID)
	}
	if ids == nil {
		return ""
	}
	return " (" + strings.Join(ids, ", ") + ")"
}

// Code is the first of the codes that can be explained.
func (e *TokenError) Code() (Code, bool) {
	for _, n := range e.Numbers {
		if c, ok := Explain(n); ok {
			return c, true
		}
	}
	return Code{}, false
}

// Temporary reports whether the provider has trouble: what it was asked may well
// succeed later.
func (e *TokenError) Temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.OAuth == "temporarily_unavailable" || e.OAuth == "server_error"
}

// NeedsPerson reports whether the person has to sign in again, and can get
// further by that.
func (e *TokenError) NeedsPerson() bool {
	return slices.Contains([]string{"invalid_grant", "interaction_required", "login_required", "consent_required", "account_selection_required"}, e.OAuth)
}

// maxDescription bounds what is passed on of a description, in bytes.
const maxDescription = 400

var (
	address  = regexp.MustCompile(`[^\s'"<>(){},;:=]*@[^\s'"<>(){},;]*`)
	trailing = regexp.MustCompile(`(?s)\s*(Trace ID|Correlation ID|Timestamp):.*`)
)

// Description is the provider's text as the client may see it, which shows it to the
// person: in one line, without e-mail addresses, and with the ids that
// Microsoft's support asks for.
func (e *TokenError) Description() string {
	text := trailing.ReplaceAllString(e.description, "")
	text = address.ReplaceAllString(text, "(address)")
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") + "…"
	}
	if text == "" {
		return e.Error()
	}
	return text + e.ids()
}
