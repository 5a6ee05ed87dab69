package fakeentra_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// published reads a key document: the issuer of each key, by its id.
func (s *stage) published(path string) map[string]string {
	s.t.Helper()
	var doc struct {
		Keys []map[string]any `json:"keys"`
	}
	a := s.get(s.URL() + path)
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		s.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	issuers := map[string]string{}
	for _, k := range doc.Keys {
		for _, member := range []string{"kty", "use", "kid", "x5t", "n", "e", "x5c"} {
			if k[member] == nil {
				s.t.Errorf("%s: a key has no %s", path, member)
			}
		}
		if k["alg"] != nil {
			s.t.Errorf("%s: a key has alg, which Entra's have not", path)
		}
		issuers[k["kid"].(string)] = k["issuer"].(string)
	}
	return issuers
}

func TestKeyDocuments(t *testing.T) {
	s := newStage(t)
	for path, issuer := range map[string]string{
		"/" + s.TenantID() + "/discovery/v2.0/keys":            s.Issuer(""),
		"/" + s.TenantID() + "/discovery/keys":                 s.IssuerV1(""),
		"/" + fakeentra.DefaultDomain + "/discovery/v2.0/keys": s.Issuer(""),
		"/common/discovery/v2.0/keys":                          s.URL() + "/{tenantid}/v2.0",
		"/organizations/discovery/keys":                        s.URL() + "/sts/{tenantid}/",
		"/consumers/discovery/v2.0/keys":                       s.Issuer(fakeentra.ConsumerTenant),
	} {
		keys := s.published(path)
		if len(keys) != 2 {
			t.Errorf("%s has %d keys", path, len(keys))
		}
		for _, got := range keys {
			if got != issuer {
				t.Errorf("%s: a key is of %s; want %s", path, got, issuer)
			}
		}
	}
	if a := s.get(s.URL() + "/nowhere/discovery/v2.0/keys"); a.code() != "90002" {
		t.Errorf("an unknown tenant: %d %s", a.status, a.body)
	}
}

func TestRollover(t *testing.T) {
	s := newStage(t)
	path := "/" + s.TenantID() + "/discovery/v2.0/keys"
	signedBy := func() string {
		t.Helper()
		token, err := s.Token(fakeentra.TokenRequest{User: s.alice.ID, Resource: s.api.ClientID})
		if err != nil {
			t.Fatal(err)
		}
		return headerOf(t, token)["kid"].(string)
	}
	old := signedBy()
	next, err := s.Keys().Publish()
	if err != nil {
		t.Fatal(err)
	}
	if _, has := s.published(path)[next]; !has || signedBy() != old {
		t.Error("a published key is not there, or signs already")
	}
	if !s.Keys().Use(next) || signedBy() != next {
		t.Error("the next key does not sign")
	}
	if _, has := s.published(path)[old]; !has {
		t.Error("the old key is gone, though it is only not used")
	}
	if s.Keys().Remove(old); len(s.published(path)) != 2 {
		t.Error("the old key is not gone after its removal")
	}
	hidden, err := s.Keys().Hidden()
	if err != nil {
		t.Fatal(err)
	}
	s.Keys().Use(hidden)
	if _, has := s.published(path)[hidden]; has || signedBy() != hidden {
		t.Error("a hidden key is there, or does not sign")
	}
	other := s.Issuer("22222222-2222-2222-2222-222222222222")
	if s.Keys().SetIssuer(next, other); s.published(path)[next] != other {
		t.Error("a key is not that of another tenant")
	}
	if _, err := s.Keys().Rotate(); err != nil || len(s.published(path)) != 3 {
		t.Errorf("after a rotation there are %d keys, %v", len(s.published(path)), err)
	}
	if s.Keys().Use("x") || s.Keys().Remove("x") || s.Keys().SetIssuer("x", "y") {
		t.Error("an unknown key is changed")
	}
	infos := s.Keys().List()
	if n := len(infos); n != 5 || !infos[n-1].Used || slices.ContainsFunc(infos[:n-1], func(k fakeentra.KeyInfo) bool { return k.Used }) {
		t.Errorf("the keys are %+v", infos)
	}
}

func TestDiscovery(t *testing.T) {
	s := newStage(t)
	for path, issuer := range map[string]string{
		"/" + s.TenantID() + "/v2.0":            s.Issuer(""),
		"/" + s.TenantID():                      s.IssuerV1(""),
		"/sts/" + s.TenantID():                  s.IssuerV1(""),
		"/common/v2.0":                          s.URL() + "/{tenantid}/v2.0",
		"/" + fakeentra.DefaultDomain + "/v2.0": s.Issuer(""),
	} {
		a := s.get(s.URL() + path + "/.well-known/openid-configuration")
		var doc map[string]any
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil || doc["issuer"] != issuer {
			t.Errorf("%s: the issuer is %v; want %s", path, doc["issuer"], issuer)
		}
		for _, absent := range []string{"code_challenge_methods_supported", "registration_endpoint", "authorization_response_iss_parameter_supported"} {
			if doc[absent] != nil {
				t.Errorf("%s has %s, which Entra has not", path, absent)
			}
		}
		if keys, _ := doc["jwks_uri"].(string); len(s.published(strings.TrimPrefix(keys, s.URL()))) != 2 {
			t.Errorf("%s: no keys are at %s", path, keys)
		}
	}
	if a := s.get(s.URL() + "/nowhere/v2.0/.well-known/openid-configuration"); a.code() != "90002" {
		t.Errorf("an unknown tenant: %d %s", a.status, a.body)
	}
}
