package check

import (
	"regexp"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/source"
)

// origin is what a published name stands for, "" if it is none.
func (w *world) origin(uid types.EntityUID, name string) string {
	if uid.Type == "Resource" {
		return ""
	}
	for _, o := range w.byPublished[name] {
		if o.entity.UID.Type == uid.Type {
			return o.Origin()
		}
	}
	return ""
}

// nearest is the origin that was probably meant by a name that an upstream does not have.
func (w *world) nearest(t types.EntityType, label, name string) string {
	all := w.originals[t][label]
	for _, separator := range []string{"_", "-", "/", "."} { // as it is published
		if rest, ok := strings.CutPrefix(name, label+separator); ok && contains(all, rest) {
			return label + "/" + rest
		}
	}
	if near := source.Near(name, all); near != "" {
		return label + "/" + near
	}
	if same := w.elsewhere(t, label, name); same != "" {
		return same
	}
	if longer := similar(name, all); longer != "" {
		return label + "/" + longer
	}
	return ""
}

// elsewhere is the only origin of that name in another upstream, or in one whose label is
// like this one.
func (w *world) elsewhere(t types.EntityType, label, name string) string {
	var found []string
	for other, all := range w.originals[t] {
		if other == label {
			continue
		}
		if contains(all, name) {
			found = append(found, other+"/"+name)
			continue
		}
		if rest, ok := strings.CutPrefix(name, other+"_"); ok && contains(all, rest) {
			found = append(found, other+"/"+rest)
		}
	}
	if near := source.Near(label, w.in.Options.Upstreams); near != "" {
		if origin := w.nearIn(t, near, name); origin != "" {
			return origin
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	if len(found) == 0 && label == "" {
		for other := range w.originals[t] {
			if origin := w.nearIn(t, other, name); origin != "" {
				found = append(found, origin)
			}
		}
		if len(found) == 1 {
			return found[0]
		}
	}
	return ""
}

// nearIn is the origin in an upstream whose name is this one, or like it.
func (w *world) nearIn(t types.EntityType, label, name string) string {
	all := w.originals[t][label]
	if contains(all, name) {
		return label + "/" + name
	}
	if near := source.Near(name, all); near != "" {
		return label + "/" + near
	}
	return ""
}

// similar is the only name that contains the words of another, or is contained in it.
func similar(name string, all []string) string {
	words := wordsOf(name)
	best, most := "", 0
	for _, other := range all {
		n := 0
		others := wordsOf(other)
		for _, word := range words {
			if contains(others, word) {
				n++
			}
		}
		if 2*n < len(words)+len(others)-1 || n == 0 {
			continue
		}
		switch {
		case n > most:
			best, most = other, n
		case n == most:
			best = ""
		}
	}
	return best
}

var wordPattern = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+|[0-9]+`)

func wordsOf(name string) []string {
	var all []string
	for _, word := range wordPattern.FindAllString(name[:min(len(name), 4*shownText)], -1) {
		all = append(all, strings.ToLower(word))
	}
	return all
}
