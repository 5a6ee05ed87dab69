package aggregator

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

const (
	// defaultNameMax is the 64 characters of model APIs less the
	// "mcp__gateway__" that clients put before a name.
	defaultNameMax       = 50
	defaultNameSeparator = "_"

	minNameMax = 16 // leaves something of a name beside its hash

	hashLen = 6 // characters of a name's hash: 30 bits
)

// publish makes the published name of a tool or prompt: prefix and original
// joined, in [A-Za-z0-9_-], at most n.Max long. A name that had to be altered
// for that ends in a hash of its origin, so it stays the same whatever else is
// published and does not meet another one.
func (n Names) publish(label, prefix, original string) string {
	name := original
	if prefix != "" {
		name = prefix + n.separator() + original
	}
	safe := strings.Map(safeRune, name)
	if safe == name && len(safe) <= n.max() {
		return name
	}
	if room := n.max() - hashLen - 1; len(safe) > room {
		safe = safe[:room]
	}
	return strings.TrimRight(safe, "_-") + "_" + originHash(label, original)
}

func (n Names) max() int {
	if n.Max == 0 {
		return defaultNameMax
	}
	return max(n.Max, minNameMax)
}

func (n Names) separator() string {
	if n.Separator == "" {
		return defaultNameSeparator
	}
	return n.Separator
}

// safeRune keeps what every client and model API accepts in a tool name.
func safeRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
		return r
	}
	return '_'
}

func originHash(label, original string) string {
	sum := sha256.Sum256([]byte(label + "/" + original))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:hashLen])
}

// glob reports whether name matches pattern, in which "*" is any text, even
// none, and every other character is itself.
func glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return name == pattern
	}
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, ok := strings.Cut(name, part)
		if !ok {
			return false
		}
		name = rest
	}
	return true
}
