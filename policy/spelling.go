package policy

import (
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// isPlain reports whether a URI has no simpler spelling, that servers take for the
// same (RFC 3986 section 6.2.2, and what the WHATWG's URL Standard repairs): policies
// compare texts, and file:///open/../vault is the vault. It does not know what else a
// server takes for the same, such as other letters or a / that is encoded.
func isPlain(uri string) bool {
	scheme, rest, ok := strings.Cut(uri, ":")
	return ok && plainScheme.MatchString(scheme) && !mistakable.MatchString(uri) && isPlainAuthority(scheme, rest) && isPlainPath(scheme, rest)
}

var plainScheme = regexp.MustCompile(`^[a-z][a-z0-9+._-]*$`)

// mistakable is what some read as nothing, or as /, and letters, digits and -._~ that
// are encoded without need.
var mistakable = regexp.MustCompile(`[\x00-\x20\x7f\\]|%(00|2[DdEe]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])`)

// repaired are the schemes of URIs that are read whatever slashes they have.
var repaired = map[string]bool{"file": true, "ftp": true, "http": true, "https": true, "ws": true, "wss": true}

func isPlainAuthority(scheme, rest string) bool {
	if !repaired[scheme] {
		return true
	}
	rest, ok := strings.CutPrefix(rest, "//")
	host, _, _ := strings.Cut(rest, "/")
	if scheme == "file" && host == "localhost" || scheme != "file" && host == "" {
		return false
	}
	return ok && host == strings.ToLower(host) && !strings.ContainsAny(host, "@%")
}

// isPlainPath reports whether nothing after the scheme is a segment . or .., also an
// encoded one, or an empty one: file:///a//b is often b in a. Bytes that are no UTF-8
// may be another way to encode them.
func isPlainPath(scheme, rest string) bool {
	rest, err := url.PathUnescape(strings.TrimPrefix(rest, "//"))
	slashes := rest
	if scheme != "file" {
		slashes = strings.ReplaceAll(rest, "://", "") // another URI may be part of it
	}
	if err != nil || !utf8.ValidString(rest) || strings.Contains(slashes, "//") {
		return false
	}
	for segment := range strings.FieldsFuncSeq(rest, func(r rune) bool { return strings.ContainsRune(`/\?#;`, r) }) {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
