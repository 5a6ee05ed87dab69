package config

import (
	"slices"
	"strings"
)

// kinds are what a block with a kind before its name can be.
type kinds struct {
	names []string // in the order in which they are told
	of    map[string]kindSettings

	// The summary and the text for a kind that there is not, with the kind, all
	// kinds and a hint; and the texts for what does not go with a kind, with the
	// kind, and for what is missing, with the kind and the name.
	unknown, noSuch, misplaced, missing string
}

// kindSettings are the attributes and blocks that only some kinds have, those that
// a kind needs first.
type kindSettings struct{ needs, takes []string }

// check reports what does not go with the kind of a block, and what is missing.
// It is false if there is no such kind.
func (k *kinds) check(d *decoder, h *header, settings []setting) bool {
	kind, ok := k.of[h.kind]
	if !ok {
		d.mistake(&h.at, k.unknown, k.noSuch, h.kind, strings.Join(k.names, ", "), didYouMean(h.kind, k.names))
		return false
	}
	given := map[string]bool{}
	for _, s := range settings {
		if given[s.name] = s.given; s.given && !slices.Contains(kind.needs, s.name) && !slices.Contains(kind.takes, s.name) {
			d.mistake(&s.at, "Invalid "+s.name, k.misplaced, h.kind)
		}
	}
	for _, name := range kind.needs {
		if !given[name] {
			d.mistake(&h.at, "Missing "+name, k.missing, h.kind, name)
		}
	}
	return true
}

// misplaces reports whether a setting belongs to other kinds alone, which check
// has reported.
func (k *kinds) misplaces(kind, name string) bool {
	elsewhere := false
	for other, settings := range k.of {
		has := slices.Contains(settings.needs, name) || slices.Contains(settings.takes, name)
		if has && other == kind {
			return false
		}
		elsewhere = elsewhere || has
	}
	return elsewhere
}
