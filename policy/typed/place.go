package typed

import (
	"encoding/json"
	"slices"
)

// A mask is a set of JSON's types.
type mask uint8

// The members of a mask. A number is both of its own.
const (
	isNull mask = 1 << iota
	isText
	isWhole    // number
	isFraction // number that is not whole
	isBool
	isList
	isObject

	isAny = isNull | isText | isWhole | isFraction | isBool | isList | isObject
)

// masks are the types by their names in JSON Schema.
var masks = map[string]mask{
	"null": isNull, "string": isText, "integer": isWhole, "number": isWhole | isFraction,
	"boolean": isBool, "array": isList, "object": isObject,
}

// A place is what a schema surely says of one place in the arguments: all that
// applies there, through references and allOf, read as one.
type place struct {
	mask       mask
	enum       []string // texts that are allowed; nil for any
	format     string
	byDefault  any  // null is none
	defaulted  bool // byDefault is said
	properties map[string][]any
	required   map[string]bool
	items      []any
	tuple      bool    // members of a list differ by their place
	choices    [][]any // of anyOf and oneOf, without null
	trouble    string  // why nothing can be said; "" if it can

	seen map[uintptr]bool // schemas that were read
}

// place reads schemas that all apply to one place.
func (r *reader) place(schemas []any) *place {
	p := &place{mask: isAny, seen: map[uintptr]bool{}}
	for _, s := range schemas {
		r.read(p, s, false)
	}
	// A choice with one way out is none.
	for i := 0; i < len(p.choices) && p.trouble == ""; i++ {
		if len(p.choices[i]) == 1 {
			only := p.choices[i][0]
			p.choices = slices.Delete(p.choices, i, i+1)
			i--
			r.read(p, only, p.mask&isNull != 0)
		}
	}
	return p
}

// read adds what one schema says. orNull has null allowed whatever it says.
func (r *reader) read(p *place, schema any, orNull bool) {
	s, ok := schema.(map[string]any)
	if !ok {
		if schema == false {
			p.trouble = reasonNothing
		}
		return
	}
	id := identity(s)
	if p.seen[id] || p.trouble != "" {
		return
	}
	p.seen[id] = true
	if !r.spend(work(s)) {
		p.trouble = reasonLarge
		return
	}
	if r.open[id] > 0 {
		p.trouble = reasonLoop
		return
	}
	p.say(s, orNull)
	r.readRef(p, s, orNull)
	for _, below := range listIn(s, "allOf") {
		r.read(p, below, orNull)
	}
	r.readChoices(p, s)
}

func (r *reader) readRef(p *place, s map[string]any, orNull bool) {
	if s["$dynamicRef"] != nil || s["$recursiveRef"] != nil {
		p.trouble = reasonRef
	}
	ref, ok := s["$ref"].(string)
	if !ok {
		return
	}
	target, ok := resolve(r.root, ref)
	if !ok {
		p.trouble = reasonRef
		return
	}
	r.read(p, target, orNull)
}

// readChoices notes the ways out of anyOf and oneOf. Where none is null, null is
// not allowed.
func (r *reader) readChoices(p *place, s map[string]any) {
	for _, key := range []string{"anyOf", "oneOf"} {
		ways := listIn(s, key)
		if len(ways) == 0 {
			continue
		}
		choices := slices.DeleteFunc(slices.Clone(ways), onlyNull)
		if len(choices) == len(ways) && !r.nullable(choices) {
			p.mask &^= isNull
		}
		if len(choices) == 0 {
			p.mask &= isNull
		}
		p.choices = append(p.choices, choices)
	}
}

// nullable reports whether one of the ways says by itself that it may be null.
func (r *reader) nullable(ways []any) bool {
	return slices.ContainsFunc(ways, func(way any) bool {
		s, ok := way.(map[string]any)
		return ok && s["$ref"] == nil && ownMask(s)&isNull != 0
	})
}

// onlyNull reports whether a schema allows null alone.
func onlyNull(schema any) bool {
	s, ok := schema.(map[string]any)
	return ok && s["$ref"] == nil && ownMask(s) == isNull
}

// say adds what s says by itself.
func (p *place) say(s map[string]any, orNull bool) {
	allowed := ownMask(s)
	if orNull {
		allowed |= isNull
	}
	p.mask &= allowed
	if values, ok := enumOf(s); ok {
		p.allowTexts(values)
	}
	if format, ok := s["format"].(string); ok && p.format == "" {
		p.format = format
	}
	if v, ok := s["default"]; ok && !p.defaulted {
		p.byDefault, p.defaulted = v, true // the outermost one counts
	}
	p.sayMembers(s)
}

// sayMembers adds what s says of the places below.
func (p *place) sayMembers(s map[string]any) {
	properties, ok := s["properties"].(map[string]any)
	if ok && p.properties == nil {
		p.properties = map[string][]any{}
	}
	for name, below := range properties {
		p.properties[name] = append(p.properties[name], below)
	}
	for _, name := range listIn(s, "required") {
		if name, ok := name.(string); ok {
			if p.required == nil {
				p.required = map[string]bool{}
			}
			p.required[name] = true
		}
	}
	switch items := s["items"].(type) {
	case nil:
	case []any: // draft-07
		p.tuple = true
	default:
		p.items = append(p.items, items)
	}
	if s["prefixItems"] != nil {
		p.tuple = true
	}
}

// allowTexts allows those of values that are texts, and were allowed before.
func (p *place) allowTexts(values []any) {
	texts := []string{}
	for _, v := range values {
		if v, ok := v.(string); ok {
			if _, before := slices.BinarySearch(p.enum, v); before || p.enum == nil {
				texts = append(texts, v)
			}
		}
	}
	slices.Sort(texts)
	p.enum = slices.Compact(texts)
	if len(p.enum) == 0 {
		p.mask &^= isText
	}
}

// ownMask are the types that s allows by itself.
func ownMask(s map[string]any) mask {
	m := isAny
	switch t := s["type"].(type) {
	case string:
		m = masks[t]
	case []any:
		m = 0
		for _, name := range t {
			if name, ok := name.(string); ok {
				m |= masks[name]
			}
		}
	}
	if s["nullable"] == true { // OpenAPI
		m |= isNull
	}
	values, ok := enumOf(s)
	if !ok {
		return m
	}
	var of mask
	for _, v := range values {
		of |= maskOf(v)
	}
	return m & of
}

// enumOf are the values that s allows by itself, if it names them.
func enumOf(s map[string]any) ([]any, bool) {
	if v, ok := s["const"]; ok {
		return []any{v}, true
	}
	values, ok := s["enum"].([]any)
	return values, ok
}

// maskOf is the type of a value.
func maskOf(v any) mask {
	switch v := v.(type) {
	case nil:
		return isNull
	case string:
		return isText
	case bool:
		return isBool
	case json.Number:
		if parseNumber(v.String()).whole() {
			return isWhole
		}
		return isFraction
	case []any:
		return isList
	}
	return isObject
}

func listIn(s map[string]any, key string) []any {
	of, _ := s[key].([]any)
	return of
}
