package authserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CheckResource refuses tokens for another resource than the gateway at a public
// URL (RFC 8707 section 2). It takes the MCP endpoint and the gateway as a whole,
// each with and without a slash at its end, since clients differ in what they
// name.
func CheckResource(public *url.URL, resource string) *Problem {
	if resource == "" || isOwnResource(public, resource) {
		return nil
	}
	return &Problem{
		Status: http.StatusBadRequest, OAuth: "invalid_target",
		Text:   "The resource " + Brief(WithoutQuery(resource)) + " is not this gateway, which is " + strings.TrimSuffix(public.String(), "/") + "/mcp.",
		Remedy: "If this is an address of the gateway, set server.public_url to what clients use.",
	}
}

func isOwnResource(own *url.URL, resource string) bool {
	got, err := url.Parse(resource)
	if err != nil || got.User != nil || got.RawQuery != "" || got.ForceQuery || strings.Contains(resource, "#") || got.RawPath != "" {
		return false
	}
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
