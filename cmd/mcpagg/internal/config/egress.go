package config

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/egress"
)

// destinations is a list of what a container may connect to.
type destinations struct {
	setting
	value []egress.Rule
}

func (v *destinations) kind() kind {
	return listKind("destinations, such as `\"api.github.com:443\"`")
}

func (v *destinations) take(in input) {
	elements, _ := in.list()
	for _, e := range elements {
		s, ok := e.text()
		if !ok {
			continue
		}
		rule, err := egress.ParseRule(s)
		switch {
		case err != nil && e.secret():
			e.mistake("%v is not a destination such as \"api.github.com:443\".", e)
		case err != nil:
			e.mistake("%v %v.", e, err)
		default:
			v.value = append(v.value, rule)
		}
	}
}

func (b *egressBlock) check(d *decoder) {
	if !b.Allow.given {
		d.mistake(&b.at, "No allow", `This needs to list what the container may connect to. allow = [] is nothing at all, and lets a port be reached nevertheless.`)
	}
}

// checkNetwork reports what does not go together.
func (b *containerBlock) checkNetwork(d *decoder) {
	if b.PermissionProfile.given && !b.Network.given {
		b.Network.keep(cty.NilVal) // the default does not hold
	}
	const profiled = "This does not go with permission_profile, which says what network there is."
	switch {
	case b.PermissionProfile.given && b.Network.given:
		d.mistake(&b.Network.at, "Invalid network", profiled)
	case b.PermissionProfile.given && b.Egress != nil:
		d.mistake(&b.Egress.at, "Invalid egress", profiled)
	case b.Egress != nil && b.Network.value != upstream.Egress:
		d.mistake(&b.Egress.at, "Invalid egress", `The network of this container is %q. Set network = %q for this to mean something.`, b.Network.value, upstream.Egress)
	case b.Egress == nil && b.Network.value == upstream.Egress:
		d.mistake(&b.Network.at, "Invalid network", "This needs to know what may be connected to, such as:\n\n  egress {\n    allow = [\"api.github.com:443\"]\n  }")
	}
	for _, m := range b.Mounts.value {
		for _, other := range b.PermissionProfile.value.mounts {
			if m.Target == other.Target {
				d.mistake(&b.Mounts.at, "Invalid mounts", "The profile mounts %s, too.", m.Target)
			}
		}
	}
}

// network is the container's, which a profile may say.
func (b *containerBlock) network() string {
	if b.PermissionProfile.given {
		return b.PermissionProfile.value.network
	}
	return b.Network.value
}

// allow is what the container may connect to.
func (b *containerBlock) allow() []egress.Rule {
	if b.Egress != nil {
		return b.Egress.Allow.value
	}
	return b.PermissionProfile.value.allow
}
