package entra

import (
	"regexp"
	"slices"
	"strconv"
)

// A Code is one of the numbers that Entra gives its errors, as in AADSTS50011,
// and what it is about in front of an MCP gateway. Microsoft may change numbers:
// they are for hints, and nothing is decided by them.
type Code struct {
	Number int
	// Error is the OAuth error that it usually comes with; "" if it only ever is
	// on a page.
	Error string
	// Meaning says what has happened, and Remedy what to do about it and who;
	// both are whole sentences.
	Meaning, Remedy string
	// OnPage says that Entra shows it to the person on a page of its own: neither
	// the client nor the gateway hears of it.
	OnPage bool
}

// Name is the code as Entra writes it.
func (c Code) Name() string { return "AADSTS" + strconv.Itoa(c.Number) }

// Explain looks a code up by its number.
func Explain(number int) (Code, bool) {
	i, found := slices.BinarySearchFunc(codes, number, func(c Code, n int) int { return c.Number - n })
	if !found {
		return Code{}, false
	}
	return codes[i], true
}

// Codes are all that can be explained, by number.
func Codes() []Code { return slices.Clone(codes) }

// maxNumbers bounds how many codes one error is taken to have.
const maxNumbers = 8

var written = regexp.MustCompile(`\bAADSTS([0-9]{4,9})\b`)

// CodesIn finds the numbers of the codes in a text, each once, in their order.
func CodesIn(text string) []int {
	var numbers []int
	for _, match := range written.FindAllStringSubmatch(text, maxNumbers) {
		if n, err := strconv.Atoi(match[1]); err == nil && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// A topic is what several codes have in common.
type topic struct {
	numbers         []int
	err             string
	meaning, remedy string
	onPage          bool
}

// codes are the topics' codes, sorted by number.
var codes = func() []Code {
	var all []Code
	for _, t := range topics {
		for _, n := range t.numbers {
			all = append(all, Code{Number: n, Error: t.err, Meaning: t.meaning, Remedy: t.remedy, OnPage: t.onPage})
		}
	}
	slices.SortFunc(all, func(a, b Code) int { return a.Number - b.Number })
	return all
}()

var topics = []topic{
	{
		numbers: []int{9010010}, err: "invalid_target",
		meaning: "The parameter resource reached Entra, and it is not the App ID URI of the app whose scopes were asked for.",
		remedy:  "Let clients sign in through the gateway's own endpoints (mode \"entra-compat\"), which drop the parameter, or make the URL of the MCP endpoint an App ID URI of the API app and ask for scopes below it.",
	},
	{
		numbers: []int{901002}, err: "invalid_request",
		meaning: "The parameter resource reached Entra, which does not know it in version 2 of its endpoints.",
		remedy:  "Let clients sign in through the gateway's own endpoints (mode \"entra-compat\"), which drop the parameter.",
	},
	{
		numbers: []int{65001}, err: "consent_required",
		meaning: "Nobody has agreed that the client app may use these scopes.",
		remedy:  "An administrator should grant admin consent to the client app for the scope, or add the client app to the authorized client applications of the API app under Expose an API. Then sign in again.",
	},
	{
		numbers: []int{65004}, err: "access_denied",
		meaning: "The person declined to let the app use the scopes.",
		remedy:  "Sign in again and accept, or let an administrator grant admin consent for everybody.",
	},
	{
		numbers: []int{90094, 90095}, onPage: true,
		meaning: "Only an administrator may agree to what the app asks for. It is often prompt=consent of a client that causes the question, even where consent was given for everybody.",
		remedy:  "An administrator should grant admin consent to the client app. The gateway's own endpoints drop prompt=consent.",
	},
	{
		numbers: []int{65002}, err: "invalid_request",
		meaning: "The client id is that of one of Microsoft's own programs, which may not use this API.",
		remedy:  "Register an app of your own for the clients and configure its client id.",
	},
	{
		numbers: []int{50011}, onPage: true,
		meaning: "The redirect URI of the client is not registered with the client app; its host, path and case must be the same.",
		remedy:  "Add the URI that the page shows to the app under Authentication: that of the gateway itself (/oauth2/callback) on the platform Web, that of a client on Mobile and desktop applications. On localhost the port does not matter.",
	},
	{
		numbers: []int{500113, 900971}, onPage: true,
		meaning: "The client app has no redirect URI at all, or none was sent.",
		remedy:  "Add the redirect URI of the gateway itself (/oauth2/callback) to its app under Authentication, on the platform Web; or in the mode entra-compat those of the clients to the client app, on Mobile and desktop applications.",
	},
	{
		numbers: []int{50102, 90102}, err: "invalid_request",
		meaning: "The redirect URI is not an absolute one.",
		remedy:  "Correct the redirect URI in the configuration of the client.",
	},
	{
		numbers: []int{700016}, err: "unauthorized_client", onPage: true,
		meaning: "The tenant has no app with this client id.",
		remedy:  "Compare client_id and tenant_id of the gateway's configuration with the overview page of the app registration.",
	},
	{
		numbers: []int{700011}, err: "unauthorized_client",
		meaning: "The client app has no enterprise application (service principal) in this tenant.",
		remedy:  "An administrator of the tenant should grant consent to the app once, or create its enterprise application.",
	},
	{
		numbers: []int{500011}, err: "invalid_resource",
		meaning: "The API app, whose scope is asked for, has no enterprise application (service principal) in this tenant, or its App ID URI is another one.",
		remedy:  "Compare the scopes in the gateway's configuration with Expose an API of the API app, and create its enterprise application in the tenant.",
	},
	{
		numbers: []int{70011, 28002}, err: "invalid_scope",
		meaning: "A scope is not one that the API app has.",
		remedy:  "Compare scopes and audiences of the gateway's configuration with Expose an API of the API app.",
	},
	{
		numbers: []int{28003, 900144}, err: "invalid_scope",
		meaning: "No scope was asked for, or a required parameter is missing.",
		remedy:  "Configure scopes in the gateway's auth block.",
	},
	{
		numbers: []int{650053}, err: "invalid_scope",
		meaning: "A scope without the name of its API was taken for one of Microsoft Graph, which has none of that name.",
		remedy:  "Expose the scope on the API app, and have the gateway qualify it: the first of audiences must be the client id of the API app.",
	},
	{
		numbers: []int{650056, 650057}, err: "invalid_resource",
		meaning: "The client app does not list the API among its permissions.",
		remedy:  "Add the scope to the client app under API permissions, and grant admin consent.",
	},
	{
		numbers: []int{28000, 700022}, err: "invalid_scope",
		meaning: "One request for a token named the scopes of two APIs.",
		remedy:  "Configure scopes of a single API in the gateway's auth block.",
	},
	{
		numbers: []int{54005}, err: "invalid_grant",
		meaning: "The code of this sign-in was used before: the client sent it twice.",
		remedy:  "Sign in again.",
	},
	{
		numbers: []int{501481, 50147}, err: "invalid_grant",
		meaning: "The code verifier is not the one that belongs to the code (PKCE).",
		remedy:  "Sign in again. If it happens each time, the client loses its verifier between the browser and the request for the token.",
	},
	{
		numbers: []int{501491}, err: "invalid_request",
		meaning: "The code verifier or challenge does not have the length that PKCE asks for.",
		remedy:  "Update the client.",
	},
	{
		numbers: []int{70000, 70008, 700082}, err: "invalid_grant",
		meaning: "The code or the refresh token is invalid, or has expired because it was not used for long.",
		remedy:  "Sign in again.",
	},
	{
		numbers: []int{50173, 50132, 50133}, err: "invalid_grant",
		meaning: "The session was revoked, such as by a new password or by an administrator.",
		remedy:  "Sign in again.",
	},
	{
		numbers: []int{50089, 70043}, err: "invalid_grant",
		meaning: "The session is over: a policy of the tenant says how often people have to sign in.",
		remedy:  "Sign in again. An administrator sets how often under Conditional Access, Sign-in frequency.",
	},
	{
		numbers: []int{700084}, err: "invalid_grant",
		meaning: "The refresh token has expired after 24 hours, since the redirect URI is registered for a single-page application.",
		remedy:  "Move the redirect URI to the platform Mobile and desktop applications of the client app. Then sign in again.",
	},
	{
		numbers: []int{7000218}, err: "invalid_client",
		meaning: "Entra wants a secret from the client app, which as a public client has none.",
		remedy:  "Register the redirect URI on the platform Mobile and desktop applications instead of Web, and set Allow public client flows to Yes.",
	},
	{
		numbers: []int{700025}, err: "invalid_client",
		meaning: "A secret or certificate was used for an app that is a public client.",
		remedy:  "Where the gateway itself signs in (mode \"broker\"), its client_id must be that of an app of its own, and its redirect URI (/oauth2/callback) be on the platform Web of that, not on Mobile and desktop applications. Otherwise, remove the client secret from the configuration of the client.",
	},
	{
		numbers: []int{7000215, 7000222}, err: "invalid_client",
		meaning: "The client secret is wrong or has expired.",
		remedy:  "Create a new secret under Certificates & secrets of the app, and configure its value (not its id).",
	},
	{
		numbers: []int{700027, 50012}, err: "invalid_client",
		meaning: "The assertion of the app could not be verified: its certificate is not registered, or the clock is wrong.",
		remedy:  "Upload the certificate under Certificates & secrets of the app, and check the clock of this machine.",
	},
	{
		numbers: []int{700024}, err: "invalid_client",
		meaning: "The assertion of the app does not count yet, or no longer.",
		remedy:  "Check the clock of this machine, and with federated_token_file that something keeps the token in it fresh.",
	},
	{
		numbers: []int{70021, 700211, 700212, 700213}, err: "invalid_request",
		meaning: "The app has no federated credential for the issuer, subject and audience of the token in federated_token_file.",
		remedy:  "Compare the iss, sub and aud of that token with the federated credential under Certificates & secrets of the app. Case counts.",
	},
	{
		numbers: []int{7000229}, err: "unauthorized_client",
		meaning: "The app that the gateway signs in as does not exist as an enterprise application in the tenant.",
		remedy:  "An administrator of that tenant should grant admin consent to the app, which creates it there.",
	},
	{
		numbers: []int{7000112}, err: "unauthorized_client",
		meaning: "The app is disabled in the tenant.",
		remedy:  "An administrator should enable it under Properties of the enterprise application.",
	},
	{
		numbers: []int{9002326, 9002327}, err: "invalid_request",
		meaning: "The redirect URI is registered for a single-page application, whose codes only a browser may redeem.",
		remedy:  "Move the redirect URI to another platform: that of the gateway itself (/oauth2/callback) to Web, that of a client to Mobile and desktop applications.",
	},
	{
		numbers: []int{50105}, err: "access_denied", onPage: true,
		meaning: "The person is not assigned to the app, which is required.",
		remedy:  "An administrator should assign the person, or one of their groups, under Users and groups of the enterprise application.",
	},
	{
		numbers: []int{50057}, err: "invalid_grant", onPage: true,
		meaning: "The account of the person is disabled.",
		remedy:  "Sign in as somebody else, or let an administrator enable the account.",
	},
	{
		numbers: []int{50020, 16000, 50034, 90072, 51004}, onPage: true,
		meaning: "The account that was used is not one of this tenant.",
		remedy:  "Sign in again and choose the account of this organization, or let an administrator invite the account as a guest.",
	},
	{
		numbers: []int{50058}, err: "interaction_required",
		meaning: "The person is not signed in, and the client asked for no page to be shown.",
		remedy:  "Sign in again.",
	},
	{
		numbers: []int{50074, 50076, 50079, 50158}, err: "interaction_required",
		meaning: "A policy of the tenant asks for another proof, such as multi-factor authentication.",
		remedy:  "Sign in again.",
	},
	{
		numbers: []int{53000, 53001, 53002, 53003, 530032}, err: "interaction_required",
		meaning: "A Conditional Access policy of the tenant does not let the person in from this device, place or kind of client.",
		remedy:  "Signing in again does not help. An administrator sees the policy in the sign-in logs, by the correlation id; redirects to localhost count as the client type Mobile apps and desktop clients.",
	},
	{
		numbers: []int{50194}, err: "invalid_request",
		meaning: "The app is one of a single tenant, and was asked for at the endpoint of all tenants.",
		remedy:  "Configure the id of the tenant instead of \"common\" or \"organizations\", or make the app a multi-tenant one.",
	},
	{
		numbers: []int{90002, 90124, 9001023}, err: "invalid_request",
		meaning: "There is no such tenant, or not in this cloud or at this endpoint.",
		remedy:  "Compare tenant_id and cloud of the gateway's configuration with the overview page of the tenant.",
	},
	{
		numbers: []int{90038, 900382}, err: "invalid_request",
		meaning: "The tenant is one of another cloud.",
		remedy:  "Set cloud in the gateway's auth block.",
	},
	{
		numbers: []int{90008, 90009}, err: "invalid_request",
		meaning: "The app asks for a token for itself, and names itself by its App ID URI.",
		remedy:  "Make the client id the first of audiences, so that the scope is asked for as <client id>/<scope>, or register separate apps for the API and for the clients.",
	},
	{
		numbers: []int{50013, 500131, 500133}, err: "invalid_grant",
		meaning: "The token that was to be exchanged on behalf of the person is not valid for that, or has expired.",
		remedy:  "Sign in again. The token must be an access token whose audience is the gateway's own app.",
	},
	{
		numbers: []int{240002}, err: "invalid_grant",
		meaning: "An ID token was to be exchanged on behalf of the person; only access tokens can be.",
		remedy:  "Set token = \"access_token\" in the gateway's auth block.",
	},
	{
		numbers: []int{7000114}, err: "invalid_grant",
		meaning: "The app may not exchange tokens on behalf of people.",
		remedy:  "Use a confidential client app of your own tenant for the exchange.",
	},
	{
		numbers: []int{50196}, err: "invalid_grant",
		meaning: "The client asked for the same token again and again, and Entra has stopped it for some minutes.",
		remedy:  "Wait five minutes, then sign in again. If it returns, the client does not keep the tokens that it gets.",
	},
	{
		numbers: []int{900561}, err: "invalid_request",
		meaning: "The endpoint was asked with the wrong method.",
		remedy:  "Report this: the gateway asks with POST.",
	},
	{
		numbers: []int{90006, 90012, 90024, 90033, 90055, 50033}, err: "temporarily_unavailable",
		meaning: "Entra has trouble, or is asked too often.",
		remedy:  "Try again in a few minutes. The session is not lost.",
	},
}
