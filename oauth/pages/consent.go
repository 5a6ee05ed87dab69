package pages

import "net/http"

// A Client is a program that asks for access.
type Client struct {
	// Name is what the program calls itself; "" if it does not.
	Name string
	ID   string // its client id
	// Host is where the client id comes from, such as vscode.dev; "" if the program
	// registered itself, or the operator of the gateway set it up.
	Host string
	// Verified says that Host is certain, or that the operator set the program up.
	// It says nothing about Name, which whoever owns Host has chosen.
	Verified bool
	// Redirect is the redirect URI to which the answer is sent. The page says in
	// words where that leads, and warns if any program on the person's computer
	// could get it.
	Redirect string
}

// A Scope is something that a program asks to be allowed.
type Scope struct {
	Name string // such as mcp.access
	Text string // in words, as they follow "It asks to"; "" is "use the tools that are open to you"
}

// A ConsentPage asks a person whether a program may have access.
type ConsentPage struct {
	Gateway  string // the host that the person knows it by
	Provider string // where they sign in next, such as "contoso (Microsoft Entra ID)"
	Client   Client
	Scopes   []Scope

	// Action is the URL to which the answer is sent by POST, as the field "answer",
	// which is "approve" or "deny", and the fields "request" and "token" as given.
	Action, Request, Token string
	// FormTargets are further origins (https://login.contoso.com) and schemes
	// (https:, cursor:) to which the answer to the form may redirect, at once or at
	// the end of a chain: browsers follow no others. Where the form is answered with
	// [Leave] none are needed, which is better.
	FormTargets []string

	// Me is where the person can take back what they allow, such as
	// mcp.contoso.com/me; "" if nowhere.
	Me string
}

// maxScopes bounds the scopes on a page; clients get no more than that anyway.
const maxScopes = 20

var consentPage = parse("consent.html")

// Consent asks whether a program may have access. Nothing on the page is chosen
// beforehand: the button that a form has by default is that to deny.
func Consent(w http.ResponseWriter, c ConsentPage) {
	if len(c.Scopes) == 0 {
		c.Scopes = []Scope{{}}
	}
	c.Client.Name = cleanName(c.Client.Name)
	c.Scopes = c.Scopes[:min(len(c.Scopes), maxScopes)]
	view := consentView{ConsentPage: c, To: destinationOf(c.Client.Redirect)}
	response{page: consentPage, data: view, forms: formSources(c.FormTargets)}.write(w)
}

type consentView struct {
	ConsentPage
	To destination
}

// Origin tells three kinds of programs apart: those that the operator set up
// ("operator"), those that a host vouches for ("host"), and those about which
// nothing is certain ("self").
func (v consentView) Origin() string {
	switch {
	case !v.Client.Verified:
		return "self"
	case v.Client.Host == "":
		return "operator"
	}
	return "host"
}
