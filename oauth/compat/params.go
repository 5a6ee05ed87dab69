package compat

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// params are the parameters of a request. One without a value counts as absent
// (RFC 6749 section 3.1).
type params struct {
	values map[string]string
	twice  []string // names that stand there more than once, sorted
}

// maxParams bounds how many parameters a request may have.
const maxParams = 100

var errParams = errors.New("the parameters are not of the form name=value&name=value, or more than 100")

// parseParams reads a query or a form.
func parseParams(raw string) (params, error) {
	if strings.Count(raw, "&") >= maxParams {
		return params{}, errParams
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return params{}, errParams
	}
	p := params{values: make(map[string]string, len(values))}
	for name, all := range values {
		p.values[name] = all[0]
		if len(all) > 1 {
			p.twice = append(p.twice, name)
		}
	}
	slices.Sort(p.twice)
	return p, nil
}

func (p params) get(name string) string { return p.values[name] }

// repeated reports whether one of the names stands there more than once. The
// values of such a parameter mean nothing: another reader may take another one.
func (p params) repeated(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(p.twice, name) })
}

// checkOnce refuses repeated parameters (RFC 6749 section 3.1).
func (p params) checkOnce() *problem {
	if len(p.twice) == 0 {
		return nil
	}
	return invalidRequest("The parameter " + brief(p.twice[0]) + " is there more than once.")
}

// checkClient refuses other clients than the one that is known.
func (f *Facade) checkClient(p params, status int) *problem {
	id := p.get("client_id")
	switch {
	case p.repeated("client_id"):
		return invalidRequest("The parameter client_id is there more than once.")
	case id == "":
		return invalidRequest("The parameter client_id is missing.")
	case id != f.opts.ClientID:
		return &problem{
			status: status, oauth: "invalid_client", text: "The client " + brief(id) + " is not registered.", unregistered: true,
			advice: "Remove this server from your client and add it again, so that it registers anew. If a client id is written in its settings, take the one that the operator of this gateway gives you.",
			remedy: "Clients get the right client id from the registration endpoint. One that has another in its settings should have it removed.",
		}
	}
	return nil
}

// checkRedirect refuses URIs that no code may be sent to.
func (f *Facade) checkRedirect(uri, oauth string) *problem {
	err := f.opts.Redirects.Check(uri)
	if err == nil {
		return nil
	}
	return &problem{
		status: http.StatusBadRequest, oauth: oauth,
		text:   "The redirect URI " + brief(withoutQuery(uri)) + " " + err.Error() + ".",
		advice: "If this program is one that you want to use, show this page to who runs the gateway. If you did not start a sign-in, close it.",
		remedy: "If this is a client that people should use, add exactly this URI to redirects in the auth block, and to the client app in Entra.",
	}
}

// checkResource refuses tokens for another resource than this gateway (RFC 8707
// section 2). Entra is not told of it: it would look for an app of that name.
func (f *Facade) checkResource(resource string) *problem {
	if resource == "" || f.isOwnResource(resource) {
		return nil
	}
	return &problem{
		status: http.StatusBadRequest, oauth: "invalid_target",
		text:   "The resource " + brief(withoutQuery(resource)) + " is not this gateway, which is " + f.base + "/mcp.",
		remedy: "If this is an address of the gateway, set server.public_url to what clients use.",
	}
}

// isOwnResource takes the MCP endpoint and the gateway as a whole, each with and
// without a slash at its end, since clients differ in what they name.
func (f *Facade) isOwnResource(resource string) bool {
	got, err := url.Parse(resource)
	if err != nil || got.User != nil || got.RawQuery != "" || got.ForceQuery || strings.Contains(resource, "#") || got.RawPath != "" {
		return false
	}
	own := f.opts.PublicURL
	if !strings.EqualFold(got.Scheme, own.Scheme) || !strings.EqualFold(got.Hostname(), own.Hostname()) || portOf(got) != portOf(own) {
		return false
	}
	root := strings.TrimSuffix(own.Path, "/")
	return slices.Contains([]string{root, root + "/", root + "/mcp", root + "/mcp/"}, got.Path)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}
