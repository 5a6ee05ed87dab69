package fakeentra

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// A failure is an error of Entra, with one of its numbers.
type failure struct {
	code  int    // as in AADSTS50011
	oauth string // the OAuth error
	text  string
	// suberror and claims are Entra's own members; "" for none.
	suberror, claims string
	status           int // 0: 401 with invalid_client, and else 400
}

func fail(code int, oauth, format string, args ...any) *failure {
	return &failure{code: code, oauth: oauth, text: fmt.Sprintf(format, args...)}
}

// Error is the number and the text, as on Entra's pages.
func (f *failure) Error() string { return fmt.Sprintf("AADSTS%d: %s", f.code, f.text) }

func (f *failure) httpStatus() int {
	switch {
	case f.status != 0:
		return f.status
	case f.oauth == "invalid_client":
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// An incident is a failure with what it can be found by in the logs.
type incident struct {
	*failure
	trace, correlation, timestamp string
}

func (s *Server) incident(f *failure) incident {
	return incident{f, newGUID(), newGUID(), s.time().UTC().Format("2006-01-02 15:04:05Z")}
}

// description is error_description, which has several lines.
func (i incident) description() string {
	return fmt.Sprintf("%s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s", i.Error(), i.trace, i.correlation, i.timestamp)
}

func (i incident) uri(base string) string { return fmt.Sprintf("%s/error?code=%d", base, i.code) }

// answerError answers a program with an error.
func (s *Server) answerError(w http.ResponseWriter, f *failure) {
	i := s.incident(f)
	body := map[string]any{
		"error": i.oauth, "error_description": i.description(), "error_codes": []int{i.code}, "timestamp": i.timestamp,
		"trace_id": i.trace, "correlation_id": i.correlation, "error_uri": i.uri(s.url),
	}
	if i.suberror != "" {
		body["suberror"] = i.suberror
	}
	if i.claims != "" {
		body["claims"] = i.claims
	}
	w.Header().Set("X-Ms-Request-Id", i.trace)
	w.Header().Set("Client-Request-Id", i.correlation)
	answerJSON(w, i.httpStatus(), body)
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store, no-cache")
		w.Header().Set("Pragma", "no-cache")
	}
	if w.Header().Get("X-Ms-Request-Id") == "" {
		w.Header().Set("X-Ms-Request-Id", newGUID())
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer is gone if it fails
}

func unknownTenant(name string) *failure {
	return fail(90002, "invalid_request", "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", clip(name))
}

func missingParameter(name string) *failure {
	return fail(900144, "invalid_request", "The request body must contain the following parameter: '%s'.", name)
}

func unknownClient(id, tenant string) *failure {
	f := fail(700016, "unauthorized_client", "Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.", clip(id), tenant)
	return f
}

// clip keeps what a stranger wrote short, where it is said back to them.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
