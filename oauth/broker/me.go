package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/pages"
	"github.com/mcpagg/mcpagg/oauth/store"
)

const (
	mePath        = "/me"
	meSignInPath  = "/me/sign-in"
	meRevokePath  = "/me/revoke"
	meSignOutPath = "/me/sign-out"
	// pageTTL is how long a browser shows a person's own page.
	pageTTL = time.Hour
)

// A visit is a person at their own page, in one browser.
type visit struct {
	Person string // the principal
	Name   string
	Claims []byte // of their Identity
	Ends   time.Time
}

// me shows a person what the gateway knows of them, and what they may do.
func (b *broker) me(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	v, who, refusal := b.visit(r)
	if refusal != nil {
		return refusal
	}
	if v == nil {
		pages.SignIn(w, pages.SignInPage{
			Gateway: b.opts.PublicURL.Host, Provider: b.providerName(), Action: b.server.Base + meSignInPath, FormTargets: b.formTargets(""),
		})
		return nil
	}
	c, _ := b.signIn.Person(r.Context(), who, v.Ends)
	tools, why := b.toolsOf(c)
	page := pages.MePage{
		Gateway: b.opts.PublicURL.Host, Name: c.Name, Person: c.ID, Provider: b.providerName(),
		Groups: c.Groups.Names, GroupsWhy: groupsWhy(c), Roles: c.Roles, Tools: tools, ToolsWhy: why,
		Token: b.pageToken(r), RevokeAction: b.server.Base + meRevokePath, SignOutAction: b.server.Base + meSignOutPath,
	}
	if b.opts.Denials != nil {
		page.Denials = b.opts.Denials(c)
	}
	for _, s := range b.state.sessionsOf(v.Person) {
		page.Sessions = append(page.Sessions, pages.Session{
			ID: s.ID, Client: s.ClientName, ClientHost: s.ClientHost, Created: s.Created, Refreshed: s.Refreshed, Expires: s.Expires,
		})
	}
	pages.Me(w, page)
	return nil
}

func (b *broker) toolsOf(c *oauth.Caller) (tools []pages.Tool, why string) {
	if b.opts.Tools == nil {
		return nil, ""
	}
	return b.opts.Tools(c)
}

// pageToken is what a form of a person's page has to have: only that page can have
// it, as it stands for the browser's cookie.
func (b *broker) pageToken(r *http.Request) string {
	return b.state.secret.mac("page", b.cookie(r, meCookie, ""))
}

// visit is who is at their page in a browser, or nil if nobody is.
func (b *broker) visit(r *http.Request) (*visit, *oauth.Identity, *authserver.Problem) {
	cookie := b.cookie(r, meCookie, "")
	if cookie == "" {
		return nil, nil, nil
	}
	v, err := b.state.page(r.Context(), cookie)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, b.storeProblem(err)
	}
	who, err := b.signIn.Recall(v.Claims)
	if err != nil { // the configuration has changed since
		return nil, nil, nil
	}
	return v, who, nil
}

// meSignIn sends a person to the provider for their own page.
func (b *broker) meSignIn(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	if _, refusal := b.readForm(w, r); refusal != nil {
		return refusal
	}
	return b.beginLogin(w, r, &login{Request: request{ID: randomID(), Own: true}}, random())
}

// openPage gives the browser of a person who has signed in their own page.
func (b *broker) openPage(w http.ResponseWriter, r *http.Request, who *oauth.Identity) *authserver.Problem {
	cookie := random()
	err := b.state.createPage(r.Context(), cookie, &visit{Person: who.ID(), Name: who.Name(), Claims: who.Claims(), Ends: time.Now().Add(pageTTL)})
	if refusal := b.storeProblem(err); refusal != nil {
		return refusal
	}
	b.log.Info("opened the own page", "caller", who.ID(), "remote", r.RemoteAddr)
	b.setCookie(w, r, meCookie, "", cookie, pageTTL)
	authserver.Redirect(w, r, b.server.Base+mePath)
	return nil
}

// readPageForm reads a form of a person's own page.
func (b *broker) readPageForm(w http.ResponseWriter, r *http.Request) (authserver.Params, *visit, *authserver.Problem) {
	p, refusal := b.readForm(w, r)
	if refusal != nil {
		return p, nil, refusal
	}
	v, _, refusal := b.visit(r)
	if refusal != nil {
		return p, nil, refusal
	}
	if v == nil || !b.state.secret.matches(p.Get("token"), "page", b.cookie(r, meCookie, "")) {
		return p, nil, foreignForm()
	}
	return p, v, nil
}

// meRevoke ends a session of the person, or all.
func (b *broker) meRevoke(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	p, v, refusal := b.readPageForm(w, r)
	if refusal != nil {
		return refusal
	}
	if refusal := b.storeProblem(b.state.endOwn(r.Context(), v.Person, p.Get("session"))); refusal != nil {
		return refusal
	}
	authserver.Redirect(w, r, b.server.Base+mePath)
	return nil
}

// endOwn ends a session of a person, or all, also those that a code would become. It
// ends what it can, also if the store cannot be written.
func (s *State) endOwn(ctx context.Context, person, id string) error {
	var failed error
	if id == pages.AllSessions {
		failed = s.dropCodes(ctx, Match{Person: person})
	}
	for _, one := range s.sessionsOf(person) {
		if id == pages.AllSessions || id == one.ID {
			failed = errors.Join(failed, s.endSession(ctx, one.ID, "the person revoked it"))
		}
	}
	return failed
}

func (b *broker) meSignOut(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	if _, _, refusal := b.readPageForm(w, r); refusal != nil {
		return refusal
	}
	if refusal := b.storeProblem(b.state.endPage(r.Context(), b.cookie(r, meCookie, ""))); refusal != nil {
		return refusal
	}
	b.dropCookie(w, meCookie, "")
	authserver.Redirect(w, r, b.server.Base+mePath)
	return nil
}

func (s *State) createPage(ctx context.Context, cookie string, v *visit) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = s.store.Create(ctx, kindPage, digest(cookie), text, pageTTL)
	return s.noted(err)
}

func (s *State) page(ctx context.Context, cookie string) (*visit, error) {
	e, err := s.store.Get(ctx, kindPage, digest(cookie))
	if err != nil {
		return nil, err
	}
	var v visit
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return nil, fmt.Errorf("a page in the store cannot be read: %w", err)
	}
	return &v, nil
}

func (s *State) endPage(ctx context.Context, cookie string) error {
	return s.noted(s.store.Delete(ctx, kindPage, digest(cookie)))
}

// endPages ends the pages of the people that are meant.
func (s *State) endPages(ctx context.Context, m Match) error {
	var keys []string
	err := s.store.List(ctx, kindPage, "", func(e store.Entry) error {
		var v visit
		if json.Unmarshal(e.Value, &v) == nil && m.Matches(Session{Person: v.Person, Name: v.Name}) {
			keys = append(keys, e.Key)
		}
		return nil
	})
	for _, key := range keys {
		err = errors.Join(err, s.store.Delete(ctx, kindPage, key))
	}
	return s.noted(err)
}
