package oauth

import "time"

// A ProviderStatus says whether the tokens of a provider can be verified.
type ProviderStatus struct {
	// Name is that of the auth block, Issuer what the metadata of its keys says.
	Name, Issuer string
	// Keys is how many there are, Fetched when they were; zero if they never were.
	Keys    int
	Fetched time.Time
	// Tried says that the first attempt to fetch them has ended. Error is why the
	// last one failed, or nil.
	Tried bool
	Error error
	// UnknownGroups are the aliases of groups that the directory does not know.
	UnknownGroups []string
}

// Status tells the state of every provider, in the order of the configuration.
// With Entra, keys are those of version 2.
func (s *SignIn) Status() []ProviderStatus {
	var all []ProviderStatus
	for _, p := range s.providers {
		k := p.issuers[0].keys
		status := ProviderStatus{Name: p.Name, Issuer: k.issuer}
		k.mu.Lock()
		status.Error, status.Tried = k.failure, k.failure != nil
		k.mu.Unlock()
		if set := k.current.Load(); set != nil {
			status.Keys, status.Fetched, status.Tried = len(set.byID), set.fetched, true
		}
		if unknown := s.unresolved[p].Load(); unknown != nil {
			status.UnknownGroups = *unknown
		}
		all = append(all, status)
	}
	return all
}
