package config

import (
	"fmt"
	"slices"
)

// warnings are what somebody may not be aware of, though it is no mistake.
func (f *fileBlock) warnings() []string {
	var all []string
	for i := range f.Auth {
		a := &f.Auth[i]
		if a.Token.value == idToken {
			all = append(all, fmt.Sprintf("auth %q takes ID tokens: they say who somebody is, not what they may do here, and every one for the client in client_id is accepted", a.label))
		}
		if slices.Contains(a.tenants(), personalAccounts) {
			all = append(all, fmt.Sprintf("auth %q lets in the tenant of personal accounts, which is everybody who has one at Microsoft", a.label))
		}
	}
	if len(f.Auth) > 0 {
		all = append(all, "there is no policy block: everybody who signs in may use every tool")
	}
	return all
}
