package pages

import (
	"html/template"
	"net/http"
)

// A SignInPage offers to sign in, in order to see the page about oneself.
type SignInPage struct {
	Gateway  string // the host that the person knows it by
	Provider string // where they sign in, such as "contoso (Microsoft Entra ID)"
	Notice   string // what has just happened, such as "You have signed out."; "" for nothing

	Action, Token string   // the URL to which the form is sent by POST, and its field "token"
	FormTargets   []string // see ConsentPage
}

var signInPage = parse("signin.html")

// SignIn shows a button with which to sign in.
func SignIn(w http.ResponseWriter, p SignInPage) {
	response{page: signInPage, data: p, forms: formSources(p.FormTargets), apart: true}.write(w)
}

// A LeavePage takes a person who answered a form to somewhere else.
type LeavePage struct {
	Gateway string // the host that the person knows it by
	// Provider is where they sign in next, such as "contoso (Microsoft Entra ID)"; ""
	// if they denied a program access and go back to it.
	Provider string
	Client   string // the name of that program; "" if it has none
	URL      string // where the browser goes by itself
}

var leavePage = parse("leave.html")

// Leave answers a form with a page that goes on by itself.
//
// A redirect would do the same, but browsers hold all that follows a form to the
// form-action of its page (CSP level 3, section 6.4.1.1), to the end of the chain:
// the provider, whom that sends people on to, such as an AD FS, and the client's
// redirect URI, if nobody has to be asked on the way. Not all of these are known
// beforehand, and some, such as [::1], cannot be written in a policy.
func Leave(w http.ResponseWriter, p LeavePage) {
	view := leaveView{LeavePage: p, Onward: followable(p.URL)}
	response{page: leavePage, data: view, onward: string(view.Onward)}.write(w)
}

type leaveView struct {
	LeavePage
	Onward template.URL
}

// A SignedInPage tells a person that they are signed in. It takes them back to a
// program that opens URLs of its own scheme: the browser asks whether to open the
// program, over this page.
type SignedInPage struct {
	Gateway string // the host that the person knows it by
	Name    string // of the person; "" if it is not known
	Client  string // the name of the program; "" if it has none

	// GroupsWhy says why the groups are not known, or not all, in words that follow a
	// colon, such as "they are too many for the token"; "" if all are known.
	Groups    []string // by name
	GroupsWhy string
	// ToolsWhy says in such words why there are no tools.
	Tools    int // how many the person may use
	ToolsWhy string

	Continue string // the redirect URI with the answer, where the browser goes by itself
	Me       string // the URL of the page about the person; "" for none
}

var signedInPage = parse("signedin.html")

// SignedIn shows who is signed in and takes them back to the program.
func SignedIn(w http.ResponseWriter, p SignedInPage) {
	view := signedInView{SignedInPage: p, Onward: followable(p.Continue), GroupList: listOf(p.Groups, fewOpen)}
	response{page: signedInPage, data: view, onward: string(view.Onward), pause: 1}.write(w)
}

type signedInView struct {
	SignedInPage
	Onward    template.URL
	GroupList list
}
