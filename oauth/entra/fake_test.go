package entra_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// issuer is one whose tokens an application trusts, such as a cluster.
const issuer = "https://cluster.contoso.example"

// TestAgainstEntra asks the stand-in for Entra, as an application that proves in
// each of the ways who it is.
func TestAgainstEntra(t *testing.T) {
	pem, der := certificate(t, rsaKey(), rsaKey().Public(), time.Now().Add(-time.Minute))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		app   fakeentra.App
		proof func(*entra.GraphOptions)
	}{
		"secret": {
			fakeentra.App{Secrets: []string{secret}},
			func(o *entra.GraphOptions) {
				o.Secret = func(context.Context) (string, error) { return secret, nil }
			},
		},
		"certificate": {
			fakeentra.App{Certificates: []*x509.Certificate{cert}},
			withCertificate(write(t, "app.pem", pem)),
		},
		"federated token": {
			fakeentra.App{Federated: []fakeentra.FederatedCredential{{
				Issuer: issuer, Subject: "system:serviceaccount:mcp:mcpagg",
				Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "1"}}},
			}}},
			func(o *entra.GraphOptions) { o.FederatedTokenFile = write(t, "token", clusterToken(t)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			fake, err := fakeentra.Open(fakeentra.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer fake.Close()
			tt.app.Name, tt.app.Roles = "mcpagg groups", map[string][]string{fakeentra.GraphApp: {"GroupMember.Read.All"}}
			app := fake.AddApp(tt.app)
			opts := entra.GraphOptions{
				Cloud:    entra.Cloud{Authority: fake.URL(), STS: fake.URL() + "/sts", Graph: fake.GraphURL()},
				ClientID: app.ClientID,
			}
			tt.proof(&opts)
			askForGroups(t, fake, entra.NewGraph(opts))
		})
	}
}

func askForGroups(t *testing.T, fake *fakeentra.Server, g *entra.Graph) {
	t.Helper()
	var ids, direct []string
	for i := range 2500 {
		id := fmt.Sprintf("4f1c2d3e-0000-4000-8000-%012d", i)
		group := fakeentra.Group{ID: id, Name: fmt.Sprint("Group ", i)}
		switch {
		case i < 1200:
			direct = append(direct, id)
		case i > 1200: // each is in the one before
			group.Parents = []string{ids[i-1]}
		}
		ids = append(ids, id)
		fake.AddGroup(group)
	}
	direct = append(direct, ids[2499]) // and so in all the others
	alice := fake.AddUser(fakeentra.User{Name: "alice@contoso.example", Groups: direct})
	got, _, err := g.Groups(t.Context(), fakeentra.DefaultTenant, alice.ID)
	if err != nil || !slices.Equal(got, ids) {
		t.Errorf("there are %d groups, %v; want %d", len(got), err, len(ids))
	}
	names, err := g.Names(t.Context(), fakeentra.DefaultTenant, append(ids[:40:40], platform))
	if err != nil || len(names) != 40 || names[ids[7]] != "Group 7" {
		t.Errorf("there are %d names, %v", len(names), err)
	}
	if _, _, err := g.Groups(t.Context(), fakeentra.DefaultTenant, bob); err == nil {
		t.Error("there are groups of nobody")
	}
}

// clusterToken is one that a cluster gives the gateway.
func clusterToken(t *testing.T) []byte {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: rsaKey(), KeyID: "1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "sub": "system:serviceaccount:mcp:mcpagg", "aud": []string{"api://AzureADTokenExchange"}, "exp": time.Now().Add(time.Hour).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token + "\n")
}

// TestEntraRefusesTheApplication looks at what an operator is told.
func TestEntraRefusesTheApplication(t *testing.T) {
	fake, err := fakeentra.Open(fakeentra.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	powerless := fake.AddApp(fakeentra.App{Name: "powerless", Secrets: []string{secret}})
	alice := fake.AddUser(fakeentra.User{Name: "alice@contoso.example"})
	for _, tt := range []struct{ app, tenant, secret, want string }{
		{powerless.ClientID, fakeentra.DefaultTenant, secret, "Authorization_RequestDenied"},
		{powerless.ClientID, fakeentra.DefaultTenant, "wrong", "AADSTS7000215"},
		{powerless.ClientID, "00000000-0000-0000-0000-00000000dead", secret, "AADSTS90002"},
		{"00000000-0000-0000-0000-00000000dead", fakeentra.DefaultTenant, secret, "AADSTS700016"},
	} {
		g := entra.NewGraph(entra.GraphOptions{
			Cloud:    entra.Cloud{Authority: fake.URL(), STS: fake.URL() + "/sts", Graph: fake.GraphURL()},
			ClientID: tt.app, Tenant: tt.tenant,
			Secret: func(context.Context) (string, error) { return tt.secret, nil },
		})
		_, _, err := g.Groups(t.Context(), "", alice.ID)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("the error is %v, want %s", err, tt.want)
		}
	}
}
