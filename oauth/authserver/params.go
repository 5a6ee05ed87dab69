package authserver

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Params are the parameters of a request. One without a value counts as absent
// (RFC 6749 section 3.1).
type Params struct {
	values map[string]string
	twice  []string // names that stand there more than once, sorted
}

// maxParams bounds how many parameters a request may have.
const maxParams = 100

var errParams = errors.New("the parameters are not of the form name=value&name=value, or more than 100")

// ParseParams reads a query or a form.
func ParseParams(raw string) (Params, error) {
	if strings.Count(raw, "&") >= maxParams {
		return Params{}, errParams
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return Params{}, errParams
	}
	p := Params{values: make(map[string]string, len(values))}
	for name, all := range values {
		p.values[name] = all[0]
		if len(all) > 1 {
			p.twice = append(p.twice, name)
		}
	}
	slices.Sort(p.twice)
	return p, nil
}

// Get is the value of a parameter, or "".
func (p Params) Get(name string) string { return p.values[name] }

// Repeated reports whether one of the names stands there more than once. The
// values of such a parameter mean nothing: another reader may take another one.
func (p Params) Repeated(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(p.twice, name) })
}

// CheckOnce refuses repeated parameters (RFC 6749 section 3.1).
func (p Params) CheckOnce() *Problem {
	if len(p.twice) == 0 {
		return nil
	}
	return InvalidRequest("The parameter " + Brief(p.twice[0]) + " is there more than once.")
}
