package source

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// Near is the candidate that was probably meant by given; "" if none is near, or
// given itself is one.
func Near(given string, candidates []string) string { return near(given, candidates) }

// near is the candidate that was probably meant by given; "" if none is near, or
// given itself is one.
func near(given string, candidates []string) string {
	best, distance := "", 3
	folded := fold(given)
	for _, candidate := range candidates {
		if candidate == given {
			return ""
		}
		if n := apart(folded, fold(candidate)); n < distance {
			best, distance = candidate, n
		}
	}
	return best
}

// apart is how far two folded names are apart; 3 for whatever is no misspelling. A
// short name is soon another word.
func apart(a, b string) int {
	if a == b {
		return 0
	}
	n := levenshtein.Distance(a, b, nil)
	if n == 2 && transposed(a, b) {
		n = 1
	}
	if n > 2 || min(len(a), len(b)) <= 2 || min(len(a), len(b)) <= 5 && (n > 1 || a[0] != b[0]) {
		return 3
	}
	return n
}

// transposed reports whether two letters beside each other have changed places.
func transposed(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) - 1 {
		if a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}

// fold leaves of a name what matters to a reader: letters and digits.
func fold(s string) string {
	if len(s) > shownText { // no name of ours, and distances take time
		s = s[:shownText]
	}
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// didYouMean is a remedy: the candidate that was probably meant, or else otherwise.
func didYouMean(given string, candidates []string, otherwise string) string {
	if meant := near(given, candidates); meant != "" {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	return otherwise
}
