package replay

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/cedar-policy/cedar-go/types"
)

// warning is what a suggestion cannot know.
const warning = `// What was allowed and used, as permits. It is a draft to read, not to take as it is:
// * What is needed seldom, such as once a quarter, need not be in the log.
// * A permit of a group is for all its members, also those who did not use the tool.
// * A group that the log does not name, or that somebody left since, is not known.
// * Forbids are not in it, nor annotations of permits that are gone: keep yours.
`

// Cedar is the suggestion as a file of policies. What was only allowed under conditions
// is in comments: to permit it without would be more than was allowed.
func (s *Suggestion) Cedar() string {
	var b strings.Builder
	b.WriteString(warning)
	fmt.Fprintf(&b, "// %d requests", s.Allowed)
	if s.Allowed > 0 {
		fmt.Fprintf(&b, ", from %s to %s", s.Read.First.UTC().Format("2006-01-02"), s.Read.Last.UTC().Format("2006-01-02"))
	}
	b.WriteString(".\n")
	for i, g := range s.Grants {
		g.write(&b, i)
	}
	return b.String()
}

// write writes a permit, with one line for each thing that was used.
func (g *Grant) write(b *strings.Builder, i int) {
	fmt.Fprintf(b, "\n// %s: %d seen in the log.\n", visible(g.Who.String()), g.Members)
	operator := "in"
	if g.Who.Type != "Group" {
		operator = "=="
	}
	free := map[types.EntityType][]*Used{}
	for _, u := range g.Uses {
		if u.Conditions != nil {
			fmt.Fprintf(b, "// %s was allowed under conditions on %s: write a permit with these. %s\n", visible(u.Object.String()), visible(strings.Join(u.Conditions, ", ")), u.evidence())
			continue
		}
		free[u.Object.Type] = append(free[u.Object.Type], u)
	}
	for _, t := range []types.EntityType{"Tool", "Prompt", "Resource"} {
		if uses := free[t]; uses != nil {
			fmt.Fprintf(b, "@id(\"used-%d-%s-%ss\")\npermit (principal %s %s, action, resource)\nwhen {\n", i+1, slug(string(g.Who.ID)), strings.ToLower(string(t)), operator, cedarText(g.Who))
			writeList(b, uses)
			b.WriteString("};\n")
		}
	}
}

// writeList writes that the resource is one of those that were used.
func writeList(b *strings.Builder, uses []*Used) {
	b.WriteString("  [\n")
	for i, u := range uses {
		comma := ","
		if i == len(uses)-1 {
			comma = ""
		}
		fmt.Fprintf(b, "    %s%s // %s\n", cedarText(u.Object), comma, u.evidence())
	}
	b.WriteString("  ].contains(resource)\n")
}

func (u *Used) evidence() string {
	return fmt.Sprintf("%d times by %d, last on %s", u.Count, u.People, u.Last.UTC().Format("2006-01-02"))
}

func cedarText(uid types.EntityUID) string { return string(uid.MarshalCedar()) }

// visible is a text within a comment of one line.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// slug is a name as part of an @id.
func slug(name string) string {
	text := strings.Trim(strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToLower(r)
		}
		return '-'
	}, name), "-")
	return text[:min(len(text), 40)]
}
