package brake

import (
	"strings"
	"time"
)

// A Subject is who wants what. What is "" is not known, or not there.
type Subject struct {
	// Person is the principal, such as `User::"<tenant>/<object id>"`; Subject is what
	// the provider calls them, and Name what they call themselves.
	Person, Subject, Name string
	// Client is the client id, ClientAlias that of its app block.
	Client, ClientAlias string
	// Tool is label/original, Published the name that clients see.
	Tool, Published string
	Upstream        string // the label
}

// Check returns a block that stops a subject, or nil. It must not be changed.
func (b *Brake) Check(s Subject) *Block {
	r := b.rules.Load()
	if r == nil {
		return nil
	}
	return r.find(&s)
}

// rules are all blocks, for looking them up. They never change.
type rules struct {
	persons, clients, tools, upstreams map[string]*Block
	patterns                           []pattern
}

// A pattern is a block of the tools whose names look alike.
type pattern struct {
	parts []string // between the stars; two at least
	block *Block
}

// newRules returns nil if nothing is blocked.
func newRules(blocks map[string]blocked) *rules {
	if len(blocks) == 0 {
		return nil
	}
	r := &rules{map[string]*Block{}, map[string]*Block{}, map[string]*Block{}, map[string]*Block{}, nil}
	for _, one := range blocks {
		b := &one.Block
		switch parts := strings.Split(b.What, "*"); {
		case b.Kind == Person:
			r.persons[b.What] = b
		case b.Kind == Client:
			r.clients[b.What] = b
		case b.Kind == Upstream:
			r.upstreams[b.What] = b
		case len(parts) == 1:
			r.tools[b.What] = b
		default:
			r.patterns = append(r.patterns, pattern{parts, b})
		}
	}
	return r
}

// find returns a block that stops a subject, or nil.
func (r *rules) find(s *Subject) *Block {
	if b := among(r.upstreams, s.Upstream); b != nil {
		return b
	}
	if len(r.persons) > 0 {
		inner, own := principalNames(s.Person)
		if b := among(r.persons, s.Person, inner, own, s.Subject, s.Name); b != nil {
			return b
		}
	}
	if b := among(r.clients, s.Client, s.ClientAlias); b != nil {
		return b
	}
	if b := among(r.tools, s.Tool, s.Published); b != nil {
		return b
	}
	for _, p := range r.patterns {
		if (p.matches(s.Tool) || p.matches(s.Published)) && !p.block.over(time.Now()) {
			return p.block
		}
	}
	return nil
}

// among returns a block of one of the names that is not over yet.
func among(blocks map[string]*Block, names ...string) *Block {
	if len(blocks) == 0 {
		return nil
	}
	for _, name := range names {
		if b := blocks[name]; b != nil && !b.over(time.Now()) {
			return b
		}
	}
	return nil
}

// principalNames are what a principal has between its quotes, and the part of that
// which the provider gave: "<tenant>/<object id>" or "<issuer>#<subject>" without
// what is before the sign.
func principalNames(person string) (inner, own string) {
	_, rest, _ := strings.Cut(person, `"`)
	inner = strings.TrimSuffix(rest, `"`)
	_, own, ok := strings.Cut(inner, "#") // which no issuer has in it
	if !ok {
		_, own, _ = strings.Cut(inner, "/")
	}
	return inner, own
}

func (p *pattern) matches(name string) bool {
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if name == "" || len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return true
}

// Matches reports whether a block stops a subject, for who wants to know what one is
// about. It may be over.
func (b *Block) Matches(s Subject) bool {
	one := *b
	one.Until = time.Time{}
	return newRules(map[string]blocked{"": {Block: one}}).find(&s) != nil
}
