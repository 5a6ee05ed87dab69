// Package entra holds what is particular to Microsoft Entra ID: its clouds, its
// error codes, and Microsoft Graph, which knows who is in which group.
package entra

import (
	"regexp"
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

// IsTenantID reports whether an id is one that Entra gives to tenants, people and
// programs alike: a GUID.
func IsTenantID(id string) bool { return guid.MatchString(id) }

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// graphApp is the id of Microsoft Graph as an application.
const graphApp = "00000003-0000-0000-c000-000000000000"

// IsGraph reports whether one of a token's audiences is Microsoft Graph, of any
// cloud.
func IsGraph(audiences []string) bool {
	for _, a := range audiences {
		a = strings.TrimSuffix(a, "/")
		for _, c := range Clouds {
			if a == graphApp || a == c.Graph {
				return true
			}
		}
	}
	return false
}
