package config

import (
	"net/textproto"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/mcpagg/mcpagg/upstream/egress"
)

// Quote is text as it is written in a configuration, in quotes, without
// anything in it that is more than text.
func Quote(text string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(text)).Bytes())
}

// QuoteIn is text as a part of a quoted template, without the quotes.
func QuoteIn(text string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(Quote(text), `"`), `"`)
	bare := strings.TrimRight(inner, "$%")
	// Before a ${ that follows, the sign itself would make an escape of it.
	for _, sign := range inner[len(bare):] {
		bare += `${"` + string(sign) + `"}`
	}
	return bare
}

// IsVariable reports whether env can hold a variable of this name.
func IsVariable(name string) bool { return variableName.MatchString(name) }

// IsHeader reports whether headers can hold one of this name.
func IsHeader(name string) bool {
	return headerName.MatchString(name) && !ownHeaders[textproto.CanonicalMIMEHeaderKey(name)]
}

// IsImage reports whether text is a reference to an image.
func IsImage(text string) bool { return imagePattern.MatchString(text) }

// IsUser and IsNetwork report whether a container can have this user, or be on a
// network of this name.
func IsUser(name string) bool    { return userPattern.MatchString(name) }
func IsNetwork(name string) bool { return networkPattern.MatchString(name) && name != "host" }

// IsVolume reports whether a volume of an engine can have this name.
func IsVolume(name string) bool { return volumePattern.MatchString(name) }

// IsLabel reports whether a block can have this label.
func IsLabel(text string) bool { return labelPattern.MatchString(text) }

// IsDestination reports whether egress.allow can hold a text.
func IsDestination(text string) bool {
	_, err := egress.ParseRule(text)
	return err == nil
}

// A Profile is what a permission profile of ToolHive grants, as attributes of a
// container block.
type Profile struct {
	Network       string
	Allow, Mounts []string
}

// ParseProfile reads a permission profile, or reports that it cannot be enforced.
func ParseProfile(text []byte) (Profile, bool) {
	granted, problems := parseProfile(text)
	p := Profile{Network: granted.network}
	for _, rule := range granted.allow {
		p.Allow = append(p.Allow, rule.String())
	}
	for _, m := range granted.mounts {
		p.Mounts = append(p.Mounts, showMount(m))
	}
	return p, len(problems) == 0
}
