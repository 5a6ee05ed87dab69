package fakeentra

import "time"

// What [Switches.LoopbackIPPort] may be.
const (
	PortExact  = "exact"
	PortIgnore = "ignore"
)

// Switches are what can be set about Entra's behaviour, and what is not agreed
// on. The zero value is the harsher of each.
type Switches struct {
	// LoopbackIPPort says whether the port of http://127.0.0.1 in a redirect URI
	// counts: "exact" (also "") or "ignore". That of http://localhost never does.
	LoopbackIPPort string `json:"loopback_ip_port"`
	// EmitIss adds iss to the answer of the authorization endpoint (RFC 9207).
	EmitIss bool `json:"emit_iss"`
	// ResourceError is the code for a parameter resource that does not belong to the
	// scopes, 9010010 (also 0), or 901002, which is how any such parameter was
	// answered in former times.
	ResourceError int `json:"resource_error"`
	// HasGroups tells of too many groups by hasgroups instead of _claim_names, and
	// OverageAt is how many groups a token may list; 0 means 200.
	HasGroups bool `json:"hasgroups"`
	OverageAt int  `json:"overage_at"`

	// UserConsentDisabled lets nobody but administrators consent.
	UserConsentDisabled bool `json:"user_consent_disabled"`
	// BlockNativeClients is a Conditional Access policy against programs that are
	// redirected to this machine or to a scheme of their own (AADSTS53003).
	BlockNativeClients bool `json:"block_native_clients"`
	// RequireMFA is one that wants multi-factor authentication, which people do
	// when they sign in. A session from before cannot be refreshed (AADSTS50076).
	RequireMFA bool `json:"require_mfa"`
	// Challenge is a claims parameter (OpenID Connect Core 1.0 section 5.5), as JSON,
	// that a policy wants people to have signed in with; "" for none. Codes and
	// refresh tokens of other sign-ins are answered with it (AADSTS50076).
	Challenge string `json:"challenge"`
	// AutoSignIn is the name or id of who is signed in without a page; "" shows one.
	AutoSignIn string `json:"auto_sign_in"`

	// ClockSkew is how far the stand-in's clock is ahead; below 0, behind.
	ClockSkew time.Duration `json:"clock_skew"`
	// AccessTokenLifetime is that of access tokens; 0 is 60 to 90 minutes, at
	// random. The others are 1 hour, 10 minutes and 90 days if they are 0.
	AccessTokenLifetime  time.Duration `json:"access_token_lifetime"`
	IDTokenLifetime      time.Duration `json:"id_token_lifetime"`
	CodeLifetime         time.Duration `json:"code_lifetime"`
	RefreshTokenLifetime time.Duration `json:"refresh_token_lifetime"`
}

// Switches are the ones in force.
func (s *Server) Switches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.switches
}

// Switch changes some of the switches.
func (s *Server) Switch(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

func (sw Switches) overageAt() int {
	if sw.OverageAt == 0 {
		return 200
	}
	return sw.OverageAt
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
