// Package entra holds what is particular to Microsoft Entra ID: its clouds, its
// error codes, and Microsoft Graph, which knows who is in which group.
//
// A token of Entra lists the groups of a person if they are few, about 200. For
// the others, the gateway asks Graph as an application of its own:
//
//	graph := entra.NewGraph(entra.GraphOptions{
//		Cloud:    entra.Clouds["global"],
//		ClientID: "5e8c4d2a-0000-0000-0000-000000000000",
//		Secret:   func(context.Context) (string, error) { return "…", nil },
//	})
//	ids, until, err := graph.Groups(ctx, tenant, objectID)
//
// What a token says of where to ask is never used: it names an API that was
// switched off, and could name anything. All groups are told or none, and what
// was told once is forgotten when it is as old as GraphOptions.MaxAge, even if
// Graph cannot be asked by then: whoever was taken out of a group is out of it
// everywhere after that time.
//
//	Groups    (graph.go)      known lately; else one look-up for all who ask
//	list      (directory.go)  pages, each at Graph alone; bounds; what errors mean
//	get       (token.go)      the gateway's own token, until shortly before its end
//
// The application needs the permission GroupMember.Read.All and no other one.
package entra

import (
	"regexp"
	"slices"
	"strings"
)

// A Cloud is one of the separate instances of Entra.
type Cloud struct {
	// Authority is where people sign in, STS what tokens of version 1 name as
	// their issuer, and Graph the origin of Microsoft Graph: each an origin without a
	// slash at its end.
	Authority, STS, Graph string
}

// Clouds are the clouds by their names in the configuration.
var Clouds = map[string]Cloud{
	"global":    {"https://login.microsoftonline.com", "https://sts.windows.net", "https://graph.microsoft.com"},
	"usgov":     {"https://login.microsoftonline.us", "https://sts.windows.net", "https://graph.microsoft.us"},
	"usgov-dod": {"https://login.microsoftonline.us", "https://sts.windows.net", "https://dod-graph.microsoft.us"},
	"china":     {"https://login.partner.microsoftonline.cn", "https://sts.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn"},
}

// V2 is the base of a tenant's endpoints of version 2, without a slash at its end.
func (c Cloud) V2(tenant string) string { return c.Authority + "/" + tenant + "/oauth2/v2.0" }

// IssuerV2 is the iss of a tenant's tokens of version 2.
func (c Cloud) IssuerV2(tenant string) string { return c.Authority + "/" + tenant + "/v2.0" }

// IssuerV1 is the iss of a tenant's tokens of version 1.
func (c Cloud) IssuerV1(tenant string) string { return c.STS + "/" + tenant + "/" }

// IsEntra reports whether a host is one that people sign in at, or that tokens name as
// their issuer, in any cloud.
func IsEntra(host string) bool {
	for _, c := range Clouds {
		if url := "https://" + strings.ToLower(host); url == c.Authority || url == c.STS {
			return true
		}
	}
	return false
}

// IsTenantID reports whether an id is one that Entra gives to tenants, people and
// programs alike: a GUID.
func IsTenantID(id string) bool { return guid.MatchString(id) }

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// graphs are Microsoft Graph, and the API that was there before it, as audiences:
// the ids of these applications, and the URL of the older one.
var graphs = []string{"00000003-0000-0000-c000-000000000000", "00000002-0000-0000-c000-000000000000", "https://graph.windows.net"}

// IsGraph reports whether one of a token's audiences is Microsoft Graph, of this
// cloud or of one of Microsoft's.
func (c Cloud) IsGraph(audiences ...string) bool {
	return slices.ContainsFunc(audiences, func(a string) bool {
		a = strings.TrimRight(a, "/")
		is := func(graph string) bool { return a != "" && strings.EqualFold(a, graph) }
		if is(c.Graph) || slices.ContainsFunc(graphs, is) {
			return true
		}
		for _, other := range Clouds {
			if is(other.Graph) {
				return true
			}
		}
		return false
	})
}
