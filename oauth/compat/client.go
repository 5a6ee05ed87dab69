package compat

import "github.com/mcpagg/mcpagg/oauth/authserver"

// checkClient refuses other clients than the one that is known.
func (f *Facade) checkClient(p authserver.Params, status int) *authserver.Problem {
	id, refusal := p.ClientID()
	if refusal == nil && id != f.opts.ClientID {
		return authserver.UnknownClient(id, status)
	}
	return refusal
}
