package clientdoc

import (
	"fmt"
	"strings"

	"github.com/mcpagg/mcpagg/oauth/guard"
)

// maxID bounds a client id, in bytes. Those in use have less than 100.
const maxID = 512

// IsID reports whether a client id is meant to be the URL of a document, so that
// it need not be looked for elsewhere. Get says whether it is a good one.
func IsID(clientID string) bool {
	scheme, _, found := strings.Cut(clientID, "://")
	return found && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http"))
}

// checkID returns the host of a client id. Ids are compared byte for byte, so
// one that means the same as another is refused (section 3 of the draft). A query
// is, too: it would make as many ids of one document as anybody likes. Errors do
// not repeat the id, in which somebody may have put a password.
func checkID(id string) (host string, err error) {
	if len(id) > maxID {
		return "", refusedf("The client's id is longer than %d bytes.", maxID)
	}
	if wrong := whyNoID(id); wrong != "" {
		return "", refusedf("The client's id cannot be the URL of a metadata document: it %s.", wrong)
	}
	u, err := guard.CheckURL(id)
	switch {
	case err != nil:
		return "", refusedf("The client's id cannot be the URL of a metadata document: it %v.", err)
	case u.Path == "" || u.Path == "/":
		return "", refusedf("The client's id cannot be the URL of a metadata document: it has no path.")
	case u.String() != id:
		return "", refusedf("The client's id is not written as other programs write this URL, %q.", u)
	}
	return u.Hostname(), nil
}

// whyNoID finds what [guard.CheckURL] does not mind.
func whyNoID(id string) string {
	switch {
	case strings.Contains(id, "#"):
		return "has a fragment"
	case strings.Contains(id, "?"):
		return "has a query"
	}
	for i := range len(id) {
		if id[i] == '%' {
			switch escape := strings.ToLower(id[i+1 : min(i+3, len(id))]); escape {
			case "2e", "2f", "5c", "25": // which hide a dot segment, from some
				return fmt.Sprintf("has the escape %q", "%"+escape)
			}
		}
	}
	for segment := range strings.SplitSeq(id, "/") {
		if segment == "." || segment == ".." {
			return "has a dot segment"
		}
	}
	return ""
}

func refusedf(format string, args ...any) error {
	return &Refused{Text: fmt.Sprintf(format, args...)}
}
