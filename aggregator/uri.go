package aggregator

import "strings"

// publishURI puts the label of an upstream into the scheme of its resource
// URIs and URI templates: docs and file:///a make docs+file:///a. With an
// empty label, or without a scheme, the URI stays as it is.
func publishURI(label, uri string) string {
	if label == "" || !strings.Contains(uri, ":") {
		return uri
	}
	return label + "+" + uri
}

// publishLink is publishURI for URIs inside results: a link to the web stays
// one, since a client may follow it by itself.
func publishLink(label, uri string) string {
	if isWeb(uri) {
		return uri
	}
	return publishURI(label, uri)
}

func isWeb(uri string) bool {
	scheme, _, _ := strings.Cut(uri, ":")
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
}

// splitURI takes the label out of a published URI. ok is false if there is none.
func splitURI(uri string) (label, original string, ok bool) {
	scheme, _, found := strings.Cut(uri, ":")
	if !found {
		return "", "", false
	}
	label, _, ok = strings.Cut(scheme, "+")
	if !ok {
		return "", "", false
	}
	return label, uri[len(label)+1:], true
}
