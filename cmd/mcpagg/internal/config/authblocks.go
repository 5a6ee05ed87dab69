package config

// An identity provider by which people sign in, of the kind `entra`, which is
// Microsoft Entra ID, or `oidc`, which is any other provider of OpenID Connect,
// and under a name for it. Once there is one, every request needs a token, and the
// gateway may be reached from other machines. There can be several for tokens of
// several providers. Clients are told to sign in at the gateway itself if one of
// them is for that, and else at any of the providers, and to ask for the scopes of
// the first.
//
//	auth "entra" "contoso" {
//	  tenant_id     = "6c1f6c8e-0000-0000-0000-000000000000"
//	  client_id     = "0b7a2f1c-0000-0000-0000-000000000000"
//	  client_secret = "…"
//	}
//
//	auth "oidc" "keycloak" {
//	  mode   = "resource-server"
//	  issuer = "https://login.contoso.com/realms/tools"
//	  scopes = ["mcp"]
//	}
type authBlock struct {
	header
	// How clients get their tokens. With `broker` the gateway signs people in
	// itself, with the provider behind it, and gives clients tokens of its own: all
	// clients can sign in, and none gets a token of the provider. With
	// `entra-compat` the gateway stands in front of Entra, and every client signs in
	// as the one in `client_id` and gets Entra's tokens; kind `entra`. With
	// `resource-server` clients go to the provider themselves, and the gateway only
	// verifies what they bring. There can be one block with one of the first two.
	Mode authMode `hcl:"mode" default:"broker"`

	// The tenant whose people may use the gateway, by its id; or, for several of
	// them, `common` or `organizations`, which need `allowed_tenants`. Kind `entra`,
	// where it must be given.
	TenantID tenantID `hcl:"tenant_id"`
	// The client id of an application at the provider; with the kind `entra` its
	// Application (client) ID. In the mode `broker`, that of the gateway, and in
	// `entra-compat`, that of the public client which every client of the gateway
	// signs in as; there it must be given. In the mode `resource-server`, that of
	// the application which tokens are for; kind `entra`.
	ClientID clientID `hcl:"client_id"`
	// The issuer of the provider, exactly as its metadata has it. Kind `oidc`, where
	// it must be given.
	Issuer issuer `hcl:"issuer"`

	// The client secret of the gateway at the provider. Mode `broker`; with the kind
	// `entra` exactly one of this and the next two, and with the kind `oidc` it can
	// be left out if the client is a public one. Secret.
	ClientSecret secret `hcl:"client_secret"`
	// A file with a certificate of the application and its private key, which is RSA
	// with 2048 bits or more, in PEM, relative to the folder of the configuration
	// file. It is read each time it is needed. Mode `broker`, kind `entra`.
	CertificateFile path `hcl:"certificate_file"`
	// A file with a token that the application trusts, such as that of a Kubernetes
	// service account (federated credential), relative to the folder of the
	// configuration file. It is read each time it is needed. Mode `broker`, kind
	// `entra`.
	FederatedTokenFile path `hcl:"federated_token_file"`

	// What tokens may have as their `aud`; one of these is enough. With the kind
	// `entra` that is the client id of the application which has the scopes, and
	// for tokens of version 1 its App ID URI as well. Without it, `client_id`, or
	// with the kind `oidc` the URL of the MCP endpoint. Modes `entra-compat` and
	// `resource-server`: the tokens of the mode `broker` are the gateway's own.
	Audiences identifiers `hcl:"audiences"`
	// The scopes that a person's token must have, all of them, and with the kind
	// `oidc` a program's as well. Clients are told to ask for these. In the mode
	// `broker` they are names of the gateway's own, which the provider does not know;
	// without it, `mcp.access`. Elsewhere, with the kind `entra`, a scope without its
	// application belongs to the first of the `audiences` in the mode `entra-compat`,
	// and to the application whose App ID URI is the URL of the MCP endpoint in the
	// mode `resource-server`. The mode `entra-compat` needs at least one, unless
	// `token` is `id_token`.
	Scopes scopes `hcl:"scopes"`
	// What a scope allows, by its name, in words for people who are asked whether to
	// let a client in. They follow "It asks to", such as `use the tools of your team`.
	// Without one, `use the tools that are open to you`. Mode `broker`.
	ScopeTexts scopeTexts `hcl:"scope_texts"`
	// Which of its tokens clients get from Entra as theirs. An ID token says who
	// somebody is, not what they may do here, and every one that is made for the
	// client in `client_id` is accepted: it is for applications that cannot be
	// changed. Without it, `access_token`. Mode `entra-compat`.
	Token tokenKind `hcl:"token"`

	// The tenants whose people may use the gateway, by their ids. It must be given
	// where `tenant_id` is `common` or `organizations`, and goes with nothing else.
	// Kind `entra`.
	AllowedTenants guids `hcl:"allowed_tenants"`
	// The client ids of the programs that may use the gateway, as tokens name them
	// (`azp`, `appid` or `client_id`). Without it, any that gets a token. Modes
	// `entra-compat` and `resource-server`.
	AllowedClients identifiers `hcl:"allowed_clients"`
	// Whether programs that no person is behind may use the gateway, with tokens of
	// their own. With the kind `entra` they need an app role as well. Modes
	// `entra-compat` and `resource-server`.
	AllowAppTokens boolean `hcl:"allow_app_tokens" default:"false"`
	// How far the clocks of the gateway and the provider may be apart, at most five
	// minutes.
	ClockSkew clockSkew `hcl:"clock_skew" default:"60s"`

	// The claim that lists a person's groups. Where none has the whole name, its dots
	// lead into objects, as in `realm_access.roles`. Without it, `groups`. Kind
	// `oidc`.
	GroupsClaim claimName `hcl:"groups_claim"`
	// The claim that lists a person's roles, in the same way. Without it, `roles`.
	// Kind `oidc`.
	RolesClaim claimName `hcl:"roles_claim"`
	// What happens where somebody is in more groups than a token can hold. With
	// `graph`, Microsoft Graph is asked, which needs the block of that name; with
	// `deny`, their groups are not known, and what depends on one is refused. Without
	// it, `graph` if there is such a block, and else `deny`. Kind `entra`.
	GroupOverage groupOverage `hcl:"group_overage"`
	// For how long the groups count that a token or Microsoft Graph lists, before
	// Graph is asked again. Without it, `5m`. Kind `entra` with a `graph` block;
	// without one, those in a token count as long as the token.
	GroupsMaxAge duration `hcl:"groups_max_age"`

	// Where people may be sent back to once they have signed in: exact URIs, and the
	// words `loopback` for programs on their own machine at any port, and `vscode`,
	// `cursor` and `claude` for what these have elsewhere. In the mode `entra-compat`
	// all of them have to be registered with Entra as well. Without it, `loopback`,
	// `vscode` and `cursor`. Modes `broker` and `entra-compat`.
	Redirects redirects `hcl:"redirects"`

	// How long a token of the gateway counts, from 10 seconds to 12 hours. Clients
	// renew theirs by themselves, and each time the provider is asked whether the
	// person may still sign in, and with the kind `entra` for groups. Without it,
	// `15m`. Mode `broker`.
	AccessTTL accessTTL `hcl:"access_ttl"`
	// For how long a client that renews nothing stays signed in, from five minutes
	// to a year. Without it, `720h`, which is 30 days. Mode `broker`.
	SessionTTL sessionTTL `hcl:"session_ttl"`
	// Whether a client may be known by the URL of a document about it (client ID
	// metadata documents), which the gateway fetches from the internet. Clients that
	// cannot have one register themselves. Without it, `true`. Mode `broker`.
	MetadataDocuments boolean `hcl:"metadata_documents"`
	// Whether the gateway keeps everything in memory only: after a restart everybody
	// signs in again, and nothing is blocked any more. It writes nothing to `store.dir`
	// then but for the control socket. Without it, `false`. Mode `broker`.
	Ephemeral boolean `hcl:"ephemeral"`
	// What the provider asks of somebody who is signed in there already:
	// `select_account`, which account to use; `login`, to sign in again; or, with the
	// kind `oidc`, `consent`, to agree again, without which Google gives a refresh
	// token only once. Without it, nothing. Mode `broker`.
	Prompt prompt `hcl:"prompt"`
	// The scopes that the gateway asks the provider for, among them `openid`.
	// `offline_access` stands for refresh tokens at most providers: without one, a
	// person signs in again as often as `access_ttl` says. Without it, `openid`,
	// `profile`, `email` and `offline_access`. Mode `broker`, kind `oidc`.
	RequestScopes requestScopes `hcl:"request_scopes"`
	// Further parameters of the page where people sign in, by name, such as
	// `domain_hint` of Entra and `access_type` of Google. They stand in the address
	// of the page, so they are no secrets. Mode `broker`.
	AuthorizeParameters parameters `hcl:"authorize_parameters"`

	// The cloud that the tenant is in. Without it, `global`. Kind `entra`.
	Cloud       cloudName         `hcl:"cloud"`
	CustomCloud *customCloudBlock `hcl:"custom_cloud,block"`
	Graph       *graphBlock       `hcl:"graph,block"`
}

// The addresses of an Entra that is none of Microsoft's, such as
// `mcpagg dev fake-entra`, instead of `cloud`.
//
//	custom_cloud {
//	  authority = "http://127.0.0.1:9400"
//	  sts       = "http://127.0.0.1:9400/sts"
//	  graph     = "http://127.0.0.1:9400/graph"
//	}
type customCloudBlock struct {
	header
	// What stands before the id of a tenant where people sign in.
	Authority baseURL `hcl:"authority"`
	// What stands before it in the issuer of tokens of version 1.
	STS baseURL `hcl:"sts"`
	// What stands before the `/v1.0` of Microsoft Graph.
	Graph baseURL `hcl:"graph"`
}

// The application as which the gateway asks Microsoft Graph who is in which
// group. It needs the application permission `GroupMember.Read.All`, and exactly
// one of `client_secret`, `certificate_file` and `federated_token_file`. It should
// be another application than the one that people sign in to.
//
//	graph {
//	  client_id        = "5e8c4d2a-0000-0000-0000-000000000000"
//	  certificate_file = "graph.pem"
//	}
type graphBlock struct {
	header
	// The application (client) id. It must be given.
	ClientID guid `hcl:"client_id"`
	// A client secret of the application. Secret.
	ClientSecret secret `hcl:"client_secret"`
	// A file with a certificate of the application and its private key, which is RSA
	// with 2048 bits or more, in PEM, relative to the folder of the configuration
	// file. It is read each time it is needed.
	CertificateFile path `hcl:"certificate_file"`
	// A file with a token that the application trusts, such as that of a Kubernetes
	// service account (federated credential), relative to the folder of the
	// configuration file. It is read each time it is needed.
	FederatedTokenFile path `hcl:"federated_token_file"`
}

// A name for a group of people, by which policies can call it.
//
//	group "platform" {
//	  id = "4f1c2d3e-0000-0000-0000-000000000001"
//	}
type groupBlock struct {
	header
	// The group as tokens name it. With Entra that is its object id.
	ID identifier `hcl:"id"`
}

// A name for a program that people use the gateway with, by which policies can
// call it. With `redirects` it is also one that need not register itself with a
// gateway in the mode `broker`.
//
//	app "vscode" {
//	  client_id = "aebc6443-996d-45c2-90f0-388ff96faa56"
//	}
type appBlock struct {
	header
	// Its client id as tokens name it. In the mode `broker`, that is the URL of the
	// document about it, or an id of your choice with `redirects`. In the mode
	// `entra-compat` all programs have the one of the auth block.
	ClientID identifier `hcl:"client_id"`
	// Where people may be sent back to once they have signed in with it: exact URIs,
	// and the word `loopback` for their own machine at any port. The program has to
	// be set up with the client id, and has no secret. Mode `broker`.
	Redirects redirects `hcl:"redirects"`
	// Its name for people who are asked whether to let it in. Without it, the label
	// of the block. It goes with `redirects`.
	Name displayName `hcl:"name"`
}
