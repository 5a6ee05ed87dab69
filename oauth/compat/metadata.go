package compat

import "github.com/mcpagg/mcpagg/oauth/authserver"

// metadata does not mention iss in authorization responses (RFC 9207), as those
// come from Entra, nor client ID metadata documents: Entra knows only its own
// client ids.
func (f *Facade) metadata() authserver.Metadata { return f.server.Metadata(f.scopeNames()) }

func (f *Facade) openIDConfiguration() authserver.OpenIDProvider {
	m := f.metadata()
	m.JWKSURI = f.opts.Cloud.Authority + "/" + f.opts.Tenant + "/discovery/v2.0/keys"
	return authserver.OpenIDProvider{
		Metadata: m, SubjectTypesSupported: []string{"pairwise"}, IDTokenSigningSupported: []string{"RS256"},
	}
}
