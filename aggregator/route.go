package aggregator

import "github.com/yosida95/uritemplate/v3"

// route finds whose resource a published URI is, and its original URI.
//
// A URI that carries a label belongs to that upstream, listed or not. One that
// does not belongs to the upstream that lists it, or whose template fits it,
// or is the only one with an empty prefix; a link to the web out of a result
// carries none either. No upstream is ever tried to find out.
func (c *Catalog) route(uri string) (m *member, original string, ok bool) {
	if label, original, ok := splitURI(uri); ok {
		if m := c.byLabel[label]; m != nil && m.Prefix != "" {
			return m, original, true
		}
	}
	if it, ok := c.resources.get(uri); ok {
		return it.member, it.original, true
	}
	if it, ok := c.templates.get(uri); ok { // completion names the template itself
		return it.member, it.original, true
	}
	if isWeb(uri) {
		for _, it := range c.resources.inOrder {
			if it.original == uri {
				return it.member, uri, true
			}
		}
	}
	for _, it := range c.templates.inOrder {
		if it.member.Prefix == "" && templateFits(it.original, uri) {
			return it.member, uri, true
		}
	}
	if m := c.onlyUnprefixed(); m != nil {
		return m, uri, true
	}
	return nil, "", false
}

// templateFits reports whether the URI can be made from the template (RFC 6570).
func templateFits(template, uri string) bool {
	t, err := uritemplate.New(template)
	if err != nil {
		return false
	}
	return t.Regexp().MatchString(uri)
}

// onlyUnprefixed is the only upstream with an empty prefix, nil if there are
// none or several.
func (c *Catalog) onlyUnprefixed() *member {
	var only *member
	for _, m := range c.members {
		if m.Prefix != "" {
			continue
		}
		if only != nil {
			return nil
		}
		only = m
	}
	return only
}
