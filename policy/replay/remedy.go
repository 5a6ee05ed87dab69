package replay

import (
	"slices"
	"strings"
)

// remedies say how to have told what a record does not.
func remedies(r *Record, lacks []string) []string {
	var all []string
	add := func(how string) {
		if !slices.Contains(all, how) {
			all = append(all, how)
		}
	}
	for _, path := range lacks {
		switch {
		case isArgument(path) && r.Why == hidden:
			add("the caller could not see it, and then arguments are not written")
		case isArgument(path):
			add(argumentRemedy(r))
		case strings.HasPrefix(path, "principal.claim_"), path == "principal.email", path == "principal.getTag":
			add("claims are written where policies in effect look at them: add the new ones with @observe first")
		case r.Principal == nil:
			add("the record is of a gateway that did not write it yet, or had no policies: replay later ones")
		case r.Principal.More > 0:
			add("the caller's groups, roles or scopes are too many to be written")
		default:
			add("it is written where policies in effect look at it: add the new ones with @observe first")
		}
	}
	return all
}

// isArgument reports whether a path is about arguments: those of bind blocks are, too.
func isArgument(path string) bool {
	name, ok := strings.CutPrefix(path, "context.")
	if !ok {
		return path == "context"
	}
	for _, other := range []string{"app", "auth", "session", "ip", "now"} {
		if name == other || strings.HasPrefix(name, other+".") {
			return false
		}
	}
	return true
}

func argumentRemedy(r *Record) string {
	switch r.Mode {
	case "full":
		return "the arguments are longer than 64 KiB, which are not written whole"
	case "none":
		return `the audit block has arguments = "none": with "full" they are written, or for what a permit with @audit("full") allows`
	}
	return `with arguments = "full" in the audit block, or @audit("full") on the permit, arguments are written; "hashed" tells those that policies in effect look at, also with @observe`
}
