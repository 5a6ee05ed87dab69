package oauth

import (
	"context"
	"encoding/json"
)

// A Report is what a token says, and what would become of it.
type Report struct {
	// Type, Algorithm and KeyID are of its header, and Claims are its payload;
	// empty if it cannot be read. Nothing of them is verified if there is a Problem.
	Type, Algorithm, KeyID string
	Claims                 json.RawMessage
	// Caller is who it is of, or nil if it would be refused, for the Problem.
	Caller  *Caller
	Problem error
}

// Inspect looks at a token as [SignIn.Authenticate] would, for an operator.
func (s *SignIn) Inspect(ctx context.Context, token string) Report {
	t, err := parseToken(token)
	if t == nil {
		return Report{Problem: err}
	}
	r := Report{Type: t.header.Type, Algorithm: string(t.header.Algorithm), KeyID: t.header.KeyID, Claims: json.RawMessage(t.payload)}
	v, err := s.verify(ctx, token)
	if err == nil {
		r.Caller, _, err = s.caller(ctx, v)
	}
	r.Problem = err
	return r
}
