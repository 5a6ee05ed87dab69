package fakeentra

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
)

// maxForm bounds the body of a request, in bytes.
const maxForm = 256 << 10

// params are the parameters of a request, each of which is there once at most.
type params map[string]string

// parseParams takes parameters for what they are if none is there twice.
func parseParams(values url.Values) (params, *failure) {
	p := params{}
	for _, name := range sortedNames(values) {
		if len(values[name]) > 1 {
			return nil, fail(9000411, "invalid_request", "The request is not properly formatted. The parameter '%s' is duplicated.", clip(name))
		}
		p[name] = values[name][0]
	}
	return p, nil
}

func sortedNames(values url.Values) []string {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// has reports whether a parameter was sent, even if it is empty.
func (p params) has(name string) bool {
	_, ok := p[name]
	return ok
}

// authorizeParams are those of the authorization endpoint, which takes a query or
// a form.
func authorizeParams(r *http.Request) (params, *failure) {
	if r.Method == http.MethodPost {
		return formParams(r)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fail(9000410, "invalid_request", "Malformed request: the query cannot be read.")
	}
	return parseParams(values)
}

// formParams are those of a form in the body.
func formParams(r *http.Request) (params, *failure) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return nil, missingParameter("grant_type")
	}
	if err := r.ParseForm(); err != nil {
		return nil, fail(9000410, "invalid_request", "Malformed request: the body cannot be read.")
	}
	return parseParams(r.PostForm)
}
