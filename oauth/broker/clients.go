package broker

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/clientdoc"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// An mcpClient is a client that asks for somebody to sign in.
type mcpClient struct {
	id   string
	name string // as it calls itself; "" if it does not
	host string // that its metadata document is from; "" for others
	// known says that it is the operator, or the owner of host, who says so.
	known bool
	// Where it may be answered, by one of these: what it registered, its metadata
	// document, or what the configuration says.
	redirects []string
	document  *clientdoc.Document
	rules     *redirect.Rules
}

// registrationPrefix tells the ids that are made here from all others.
const registrationPrefix = "mcpagg."

// maxClientID bounds a client id, in bytes: it has to fit into a URL.
const maxClientID = 4 << 10

// A registered client is what its id holds: nothing is stored, so that a flood of
// registrations costs nothing and the ids outlive a restart.
type registered struct {
	Name      string   `json:"n,omitzero"`
	Redirects []string `json:"r"`
	Issued    int64    `json:"t"` // s since 1970
	// Salt tells clients apart that register the same at the same time: the sessions
	// of one can be revoked without those of the other.
	Salt string `json:"s"`
}

// register gives a client an id that says what it registered (RFC 7591).
func (b *broker) register(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	asked, refusal := authserver.ReadRegistration(w, r, b.opts.Redirects)
	if refusal != nil {
		return refusal
	}
	now := time.Now()
	signed, err := b.state.secret.sign("registration", registered{asked.ClientName, asked.RedirectURIs, now.Unix(), random()[:11]})
	if err != nil {
		return authserver.InvalidMetadata("The metadata cannot be written as JSON.")
	}
	id := registrationPrefix + signed
	if len(id) > maxClientID {
		return authserver.InvalidMetadata("The redirect URIs and the name are longer than 3 KiB together.")
	}
	authserver.WriteJSON(w, http.StatusCreated, asked.Registered(id, now, strings.Join(b.scopeNames(), " ")))
	return nil
}

// client finds a client by its id. It may fetch a metadata document.
func (b *broker) client(r *http.Request, id string) (*mcpClient, *authserver.Problem) {
	i := slices.IndexFunc(b.opts.Clients, func(c Client) bool { return c.ID == id })
	switch {
	case len(id) > maxClientID:
		return nil, authserver.InvalidRequest("The parameter client_id is longer than 4 KiB.")
	case i >= 0:
		c := b.opts.Clients[i]
		return &mcpClient{id: id, name: c.Name, known: true, rules: &c.Redirects}, nil
	case strings.HasPrefix(id, registrationPrefix):
		return b.registeredClient(id)
	case b.documents != nil && clientdoc.IsID(id):
		return b.documentClient(r, id)
	}
	return nil, authserver.UnknownClient(id, http.StatusBadRequest)
}

func (b *broker) registeredClient(id string) (*mcpClient, *authserver.Problem) {
	var c registered
	if err := b.state.secret.open("registration", strings.TrimPrefix(id, registrationPrefix), &c); err != nil {
		return nil, authserver.UnknownClient(id, http.StatusBadRequest)
	}
	return &mcpClient{id: id, name: c.Name, redirects: c.Redirects}, nil
}

func (b *broker) documentClient(r *http.Request, id string) (*mcpClient, *authserver.Problem) {
	if !b.documents.Known(id) {
		if wait := b.fetches.Take(r.RemoteAddr); wait > 0 {
			return nil, authserver.TooMany("Too many clients' metadata documents are being fetched for this address; try again in a moment.", wait)
		}
	}
	doc, err := b.documents.Get(r.Context(), id)
	if refused := (*clientdoc.Refused)(nil); errors.As(err, &refused) {
		return nil, &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "invalid_client", Text: "The client's metadata document cannot be used: " + refused.Text,
			Remedy: authserver.UpdateClient,
		}
	}
	if down := (*clientdoc.Unavailable)(nil); errors.As(err, &down) {
		return nil, authserver.Unavailable(down.Text, fmt.Sprint(down.Cause),
			"Check that this machine reaches the host, through a proxy if need be; or set metadata_documents = false, with which clients register instead.")
	}
	if err != nil {
		return nil, authserver.Unavailable("The client's metadata document cannot be fetched at the moment; try again.", err.Error(), "")
	}
	return &mcpClient{id: id, name: doc.Name, host: doc.Host, known: true, document: doc}, nil
}

// checkRedirect refuses URIs that the client has not registered, or that nobody
// may use: it is the one rule wherever a code or an error is sent to.
func (b *broker) checkRedirect(c *mcpClient, uri string) *authserver.Problem {
	switch {
	case c.rules != nil:
		rules := *c.rules
		rules.Own = b.opts.PublicURL
		return authserver.CheckRedirect(rules, uri, "invalid_request")
	case c.document != nil:
		if err := c.document.Check(uri); err != nil {
			return notRegistered(uri, err.Error())
		}
		return nil
	}
	if refusal := authserver.CheckRedirect(b.opts.Redirects, uri, "invalid_request"); refusal != nil {
		return refusal
	}
	if !slices.ContainsFunc(c.redirects, func(own string) bool { return redirect.Match(own, uri) }) {
		return notRegistered(uri, "is not one that the client registered")
	}
	return nil
}

func notRegistered(uri, why string) *authserver.Problem {
	return &authserver.Problem{
		Status: http.StatusBadRequest, OAuth: "invalid_request",
		Text:   "The redirect URI " + authserver.Brief(authserver.WithoutQuery(uri)) + " " + why + ".",
		Advice: "If this program is one that you want to use, remove this server from it and add it again. If you did not start a sign-in, close this page.",
		Remedy: authserver.UpdateClient,
	}
}
