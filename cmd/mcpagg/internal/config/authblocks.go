package config

// An identity provider whose tokens the gateway takes, of the kind `entra`, which
// is Microsoft Entra ID, or `oidc`, which is any other provider of OpenID
// Connect, and under a name for it. Once there is one, every request needs a
// token, and the gateway may be reached from other machines. There can be several
// for tokens of several providers. Clients are told to sign in at the gateway itself
// if it stands in front of Entra, and else at any of the providers, and to ask
// for the scopes of the first.
//
//	auth "entra" "contoso" {
//	  mode      = "entra-compat"
//	  tenant_id = "6c1f6c8e-0000-0000-0000-000000000000"
//	  client_id = "0b7a2f1c-0000-0000-0000-000000000000"
//	  audiences = ["9d3e5a7b-0000-0000-0000-000000000000"]
//	  scopes    = ["mcp.access"]
//	}
//
//	auth "oidc" "keycloak" {
//	  mode   = "resource-server"
//	  issuer = "https://login.contoso.com/realms/tools"
//	  scopes = ["mcp"]
//	}
type authBlock struct {
	header
	// How clients get their tokens; it must be given. With `resource-server` they
	// go to the provider themselves, and the gateway only verifies what they bring.
	// With `entra-compat` the gateway stands in front of Entra, and every client
	// signs in as the one in `client_id`; there can be one such block. Kind `oidc`
	// has `resource-server` only. The mode `broker` is not there yet.
	Mode authMode `hcl:"mode"`

	// The tenant whose people may use the gateway, by its id; or, for several of
	// them, `common` or `organizations`, which need `allowed_tenants`. Kind `entra`,
	// where it must be given.
	TenantID tenantID `hcl:"tenant_id"`
	// The application (client) id. In the mode `entra-compat`, that of the public
	// client which every client of the gateway signs in as; it must be given. In the
	// mode `resource-server`, that of the application which tokens are for. Kind
	// `entra`.
	ClientID guid `hcl:"client_id"`
	// The issuer of the provider, exactly as its metadata has it. Kind `oidc`, where
	// it must be given.
	Issuer issuer `hcl:"issuer"`

	// What tokens may have as their `aud`; one of these is enough. With the kind
	// `entra` that is the client id of the application which has the scopes, and
	// for tokens of version 1 its App ID URI as well. Without it, `client_id`, or
	// with the kind `oidc` the URL of the MCP endpoint.
	Audiences identifiers `hcl:"audiences"`
	// The scopes that a person's token must have, all of them, and with the kind
	// `oidc` a program's as well. Clients are told to ask for these. With the kind `entra` a scope without its application belongs
	// to the first of the `audiences` in the mode `entra-compat`, and to the
	// application whose App ID URI is the URL of the MCP endpoint in the mode
	// `resource-server`. The mode `entra-compat` needs at least one, unless `token`
	// is `id_token`.
	Scopes scopes `hcl:"scopes"`
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
	// (`azp`, `appid` or `client_id`). Without it, any that gets a token.
	AllowedClients identifiers `hcl:"allowed_clients"`
	// Whether programs that no person is behind may use the gateway, with tokens of
	// their own. With the kind `entra` they need an app role as well.
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
	// `cursor` and `claude` for what these have elsewhere. All of them have to be
	// registered with Entra as well. Without it, `loopback`, `vscode` and `cursor`.
	// Mode `entra-compat`.
	Redirects redirects `hcl:"redirects"`

	// No mode takes a client secret: the client of the mode `entra-compat` is a
	// public one, and the application that asks Microsoft Graph has its own in the
	// `graph` block.
	ClientSecret noSecret `hcl:"client_secret"`

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
// call it.
//
//	app "vscode" {
//	  client_id = "aebc6443-996d-45c2-90f0-388ff96faa56"
//	}
type appBlock struct {
	header
	// Its client id as tokens name it. In the mode `entra-compat` all programs have
	// the one of the auth block.
	ClientID identifier `hcl:"client_id"`
}
