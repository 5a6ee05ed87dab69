package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

// groups says whether Microsoft Graph can be asked, and knows the groups that have
// a name.
func (x *examination) groups(ctx context.Context) []Finding {
	var findings []Finding
	for _, p := range x.opts.SignIn.Providers {
		if p.Entra == nil || p.Entra.Graph == nil {
			continue
		}
		tenants := p.Entra.Allowed
		if len(tenants) == 0 {
			tenants = []string{p.Entra.Tenant}
		}
		for _, tenant := range tenants {
			findings = append(findings, x.groupsOf(ctx, p, tenant)...)
		}
	}
	return findings
}

// nobody is an id that no group has, for where there is none to ask for.
const nobody = "00000000-0000-0000-0000-000000000000"

func (x *examination) groupsOf(ctx context.Context, p oauth.Provider, tenant string) []Finding {
	var ids []string
	for id := range x.opts.SignIn.GroupAliases {
		ids = append(ids, id)
	}
	asked := ids
	if len(asked) == 0 {
		asked = []string{nobody}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	names, err := p.Entra.Graph.Names(ctx, tenant, asked)
	if err != nil {
		return []Finding{graphFailed(p.Name, err)}
	}
	findings := []Finding{{Verdict: OK, Seen: fmt.Sprintf("%s: Microsoft Graph answers; %d of %d groups of the configuration are known", p.Name, len(names), len(ids))}}
	for _, id := range ids {
		if _, known := names[id]; !known {
			findings = append(findings, Finding{
				Verdict: Problem, Seen: fmt.Sprintf("group %q: there is no group %s in tenant %s", x.opts.SignIn.GroupAliases[id], id, tenant),
				Remedy: "Write the Object ID that the group's Overview page shows.",
			})
		}
	}
	return findings
}

func graphFailed(name string, err error) Finding {
	f := Finding{
		Verdict: Problem, Seen: fmt.Sprintf("%s: Microsoft Graph cannot be asked: %v", name, err),
		Remedy: "Groups that a token does not list are not known until this works. The app in the graph block needs the application permission GroupMember.Read.All, with admin consent.",
	}
	if errors.As(err, new(*net.OpError)) {
		f.Remedy = "Groups that a token does not list are not known until this works. " + reach
	}
	if refused := (*entra.TokenError)(nil); errors.As(err, &refused) {
		f.Seen = fmt.Sprintf("%s: the gateway cannot sign in to Microsoft Graph: %v", name, refused)
		if code, ok := refused.Code(); ok {
			f.Remedy = code.Meaning + " " + code.Remedy
		}
	}
	return f
}
