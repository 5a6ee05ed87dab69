package replay

import (
	"net/netip"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
)

// RequestOf is the request about an object as a record tells it, for people to have it
// explained, and what is not known of it. Claims are never told, and what is not known is
// as if it were not there: only a [policy.Judge] takes account of that. It is nil if the
// record does not tell who called.
func RequestOf(r *Record, o *policy.Object, aliases map[string]string) (*policy.Request, []string) {
	c := reconstruct(r, o, aliases, nil)
	if c == nil {
		return nil, nil
	}
	past := c.past
	p := &policy.Principal{ID: string(past.Principal.ID), Workload: past.Principal.Type == "Workload", Name: r.Name, Client: r.Client}
	p.Subject, p.Tenant, p.Email = c.text("id"), c.text("tenant"), c.text("email")
	request := &policy.Request{Principal: p, Object: o, Arguments: past.Arguments, Raw: past.Raw, Now: r.Time}
	request.IP, _ = netip.ParseAddr(r.IP)
	unknown := []string{"principal's claims"}
	if told := r.Principal; told != nil {
		p.Groups, p.Unresolved, p.Roles, p.Scopes, p.Guest = c.groups(told), told.Unresolved, told.Roles, told.Scopes, told.Guest
		p.GroupsKnown, p.GroupsWhy = told.GroupsUnknown == "", told.GroupsUnknown
		p.Auth.Contexts = told.Contexts
		if told.MFA {
			p.Auth.Methods = []string{"mfa"}
		}
		p.Auth.Time, _ = time.Parse(time.RFC3339Nano, told.SignedIn)
	} else {
		p.GroupsKnown = r.Caller == anonymous || past.Groups == policy.Complete
		unknown = append(unknown, "principal's groups and roles", "context.auth")
	}
	if e := r.Earlier; e != nil {
		request.Session = policy.Session{Calls: e.Calls, Labels: e.Labels}
	} else {
		unknown = append(unknown, "context.session")
	}
	if !past.ArgumentsKnown && o.Action().ID != "read_resource" {
		unknown = append(unknown, "arguments")
	}
	return request, unknown
}

// text is an attribute of the caller that is a text, "" if it is not known.
func (c *reconstruction) text(name string) string {
	s, _ := c.past.Attributes[name].(types.String)
	return string(s)
}
