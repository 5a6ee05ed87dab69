package fakeentra_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

func TestPages(t *testing.T) {
	s := newStage(t)
	picker := s.authorize(nil)
	for _, want := range []string{"Stand-in for Microsoft Entra ID", "not Microsoft", "Alice Young", s.alice.Name, "platform · Mcp.Admin"} {
		if !strings.Contains(picker.body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	csp := picker.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("the policy is %q", csp)
	}
	if strings.Contains(picker.body, "<script") || strings.Contains(picker.body, "style=") {
		t.Error("the page has scripts or styles that the policy forbids")
	}
	if css := s.get(s.URL() + "/assets/page.css"); css.status != http.StatusOK || !strings.HasPrefix(css.header.Get("Content-Type"), "text/css") {
		t.Errorf("the style is %d, %s", css.status, css.header.Get("Content-Type"))
	}
	password := s.submit(picker, map[string]string{"login": "ALICE@contoso.example"})
	if !strings.Contains(password.body, `type="password"`) || !strings.Contains(password.body, "Anything will do") {
		t.Errorf("after the name came\n%s", password.body)
	}
	if a := s.submit(password, map[string]string{"login": s.alice.Name, "back": "1"}); !strings.Contains(a.body, "Pick an account") {
		t.Errorf("after going back came\n%s", a.body)
	}
	if a := s.submit(password, map[string]string{"login": s.alice.Name, "passwd": "x"}); a.code() != "90100" {
		t.Errorf("a page that was gone on with is answered with %d %s", a.status, a.code())
	}
	if a := s.get(s.URL() + "/"); !strings.Contains(a.body, "Stand-in") {
		t.Errorf("the home page is %d %s", a.status, a.body)
	}
}

func TestPageEscapes(t *testing.T) {
	s := newStage(t)
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) { a.Name = "<script>alert(1)</script>" })
	if a := s.authorize(nil); strings.Contains(a.body, "<script>") || !strings.Contains(a.body, "&lt;script&gt;") {
		t.Error("a name of an app is markup")
	}
	a := s.submit(s.authorize(nil), map[string]string{"login": "<b>nobody"})
	if strings.Contains(a.body, "<b>") || a.code() != "50034" {
		t.Errorf("an unknown name: AADSTS%s\n%s", a.code(), a.body)
	}
}

func TestPassword(t *testing.T) {
	s := newStage(t)
	s.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Password = "right" })
	page := s.authorize(map[string]string{"login_hint": s.alice.Name})
	wrong := s.submit(page, map[string]string{"login": s.alice.Name, "passwd": "wrong"})
	if wrong.code() != "50126" || wrong.location != nil {
		t.Fatalf("a wrong password: AADSTS%s, %v", wrong.code(), wrong.location)
	}
	if a := s.submit(wrong, map[string]string{"login": s.alice.Name, "passwd": "right"}); a.param("code") == "" {
		t.Errorf("the right password: %d %v", a.status, a.location)
	}
}

func TestSession(t *testing.T) {
	s := newStage(t)
	s.code(nil)
	for prompt, silent := range map[string]bool{"-": true, "none": true, "login": false, "select_account": false} {
		a := s.authorize(map[string]string{"prompt": prompt})
		if got := a.param("code") != ""; got != silent {
			t.Errorf("prompt %s of somebody who is signed in: %d %v", prompt, a.status, a.location)
		}
	}
	if a := s.authorize(map[string]string{"login_hint": "bob@contoso.example"}); a.status != http.StatusOK {
		t.Errorf("somebody else is asked for: %d %v", a.status, a.location)
	}
	s.get(s.endpoint("logout"))
	if a := s.authorize(map[string]string{"prompt": "none"}); a.code() != "50058" {
		t.Errorf("after signing out: %d %v", a.status, a.location)
	}
}

func TestAutoSignIn(t *testing.T) {
	s := newStage(t)
	s.Switch(func(sw *fakeentra.Switches) { sw.AutoSignIn = s.alice.Name })
	a := s.authorize(nil)
	if a.status != http.StatusFound || a.param("code") == "" || a.param("state") != "a state" {
		t.Errorf("with auto_sign_in: %d %v", a.status, a.location)
	}
}

func TestConsent(t *testing.T) {
	s := newStage(t)
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.Preauthorized = nil })
	page := s.signIn(nil)
	if !strings.Contains(page.body, "mcp.access") || !strings.Contains(page.body, "client") || page.location != nil {
		t.Fatalf("nobody is asked: %d %v", page.status, page.location)
	}
	if a := s.submit(page, map[string]string{"answer": "cancel"}); a.param("error") != "access_denied" || a.code() != "65004" {
		t.Errorf("who declines: %v", a.location)
	}
	if a := s.authorize(map[string]string{"prompt": "none"}); a.param("error") != "interaction_required" || a.code() != "65001" || a.param("error_subcode") != "consent_required" {
		t.Errorf("without a page: %v", a.location)
	}
	page = s.authorize(nil)
	if a := s.submit(page, map[string]string{"answer": "accept"}); a.param("code") == "" {
		t.Errorf("who accepts: %v", a.location)
	}
	if a := s.authorize(nil); a.param("code") == "" {
		t.Error("who accepted before is asked again")
	}
	if a := s.authorize(map[string]string{"prompt": "consent"}); a.status != http.StatusOK || !strings.Contains(a.body, "Permissions requested") {
		t.Errorf("prompt=consent: %d %v", a.status, a.location)
	}
	s.Withdraw(s.alice.ID, s.client.ClientID, s.api.ClientID, "mcp.access")
	if a := s.authorize(nil); a.status != http.StatusOK {
		t.Errorf("after consent was withdrawn: %d %v", a.status, a.location)
	}
	s.Consent("", s.client.ClientID, s.api.ClientID, "mcp.access")
	if a := s.authorize(nil); a.param("code") == "" {
		t.Error("an administrator's consent does not count")
	}
}

// TestUserConsentDisabled is what prompt=consent does in tenants of enterprises.
func TestUserConsentDisabled(t *testing.T) {
	s := newStage(t)
	s.Switch(func(sw *fakeentra.Switches) { sw.UserConsentDisabled = true })
	s.code(nil) // consent was given for all
	if a := s.authorize(map[string]string{"prompt": "consent"}); a.code() != "90095" || a.location != nil {
		t.Errorf("prompt=consent: AADSTS%s, %v; want a page with AADSTS90095", a.code(), a.location)
	}
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.Preauthorized = nil })
	if a := s.authorize(nil); a.code() != "90094" || a.location != nil {
		t.Errorf("without consent: AADSTS%s, %v; want a page with AADSTS90094", a.code(), a.location)
	}
	s.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Admin = true })
	if a := s.authorize(nil); a.status != http.StatusOK || !strings.Contains(a.body, "Permissions requested") {
		t.Errorf("an administrator: %d %s", a.status, a.code())
	}
}

// TestKeptOut are people whom a page tells why they may not use the app.
func TestKeptOut(t *testing.T) {
	for _, tt := range []struct {
		name     string
		arrange  func(*stage)
		wantCode string
	}{
		{"disabled", func(s *stage) { s.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Disabled = true }) }, "50057"},
		{"of another tenant", func(s *stage) {
			other := s.AddTenant(fakeentra.Tenant{Domain: "fabrikam.example"})
			s.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Tenant = other.ID })
		}, "50020"},
		{"not assigned", func(s *stage) {
			s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) { a.AssignmentRequired = true })
		}, "50105"},
		{"native clients blocked", func(s *stage) { s.Switch(func(sw *fakeentra.Switches) { sw.BlockNativeClients = true }) }, "53003"},
	} {
		s := newStage(t)
		tt.arrange(s)
		if a := s.signIn(nil); a.code() != tt.wantCode || a.location != nil {
			t.Errorf("%s: AADSTS%s, %v; want a page with AADSTS%s", tt.name, a.code(), a.location, tt.wantCode)
		}
	}
	s := newStage(t)
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.AssignmentRequired = true })
	s.code(nil) // alice has a role there
}

func TestAliases(t *testing.T) {
	s := newStage(t)
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) { a.MultiTenant = true })
	personal := s.AddUser(fakeentra.User{Name: "me@outlook.example", Tenant: fakeentra.ConsumerTenant})
	at := func(alias, login string) answer {
		s.newBrowser()
		page := s.get(s.URL() + "/" + alias + "/oauth2/v2.0/authorize?" + s.query(map[string]string{"login_hint": login}).Encode())
		return s.submit(page, map[string]string{"login": login, "passwd": "x"})
	}
	if a := at("organizations", s.alice.Name); a.param("code") == "" {
		t.Errorf("alice at organizations: %s", a.code())
	}
	if a := at("common", personal.Name); a.param("code") == "" {
		t.Errorf("a personal account at common: AADSTS%s", a.code())
	}
	if a := at("organizations", personal.Name); a.code() != "50020" {
		t.Errorf("a personal account at organizations: AADSTS%s", a.code())
	}
	if a := at("consumers", s.alice.Name); a.code() != "50020" {
		t.Errorf("alice at consumers: AADSTS%s", a.code())
	}
	if a := at(fakeentra.DefaultDomain, s.alice.Name); a.param("code") == "" {
		t.Errorf("alice at the domain: AADSTS%s", a.code())
	}
}

func TestFormPost(t *testing.T) {
	s := newStage(t)
	a := s.signIn(map[string]string{"response_mode": "form_post"})
	if a.location != nil || !strings.Contains(a.body, `action="http://localhost:5123/callback"`) || !strings.Contains(a.body, `name="code"`) || !strings.Contains(a.body, `name="state" value="a state"`) {
		t.Errorf("the form is %d\n%s", a.status, a.body)
	}
}

func TestFlowExpires(t *testing.T) {
	s := newStage(t)
	page := s.authorize(map[string]string{"login_hint": s.alice.Name})
	s.Switch(func(sw *fakeentra.Switches) { sw.ClockSkew = 2 * time.Hour })
	if a := s.submit(page, map[string]string{"login": s.alice.Name, "passwd": "x"}); a.code() != "90100" || a.location != nil {
		t.Errorf("after two hours: %d %v", a.status, a.location)
	}
}
