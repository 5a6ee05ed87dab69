package compat

import (
	"net/http"
	"strings"

	"github.com/mcpagg/mcpagg/oauth/authserver"
)

// register tells a client that it is the public client that Entra knows, whatever
// way of proving itself it would like. Nothing is stored: what it registers is
// checked again when it is used.
func (f *Facade) register(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	client, refusal := authserver.ReadRegistration(w, r, f.opts.Redirects)
	if refusal != nil {
		return refusal
	}
	authserver.WriteJSON(w, http.StatusCreated, client.Registered(f.opts.ClientID, f.opts.Now(), strings.Join(f.scopeNames(), " ")))
	return nil
}
