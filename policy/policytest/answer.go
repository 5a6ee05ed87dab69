package policytest

import (
	"encoding/json"
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
)

// An Answer is what some implementation of Cedar says of a case, by its own way with
// errors. Lists are sorted.
type Answer struct {
	Allow   bool     `json:"allow"`
	Reasons []string `json:"reasons"` // ids of the policies that decide
	Errors  []string `json:"errors"`  // ids of those that cannot be evaluated
}

// A Known is a case with the answer of Cedar's own implementation.
type Known struct {
	Case   *Case  `json:"case"`
	Answer Answer `json:"answer"`
}

// Decide is the engine's answer.
func (c *Case) Decide() (Answer, error) {
	e, err := c.Engine(true)
	if err != nil {
		return Answer{}, err
	}
	r, err := c.Request()
	if err != nil {
		return Answer{}, err
	}
	d := e.Decide(r)
	return Answer{Allow: d.Allow, Reasons: ids(d.Reasons), Errors: ids(d.Errors)}, nil
}

func ids(reasons []policy.Reason) []string {
	all := []string{}
	for _, r := range reasons {
		all = append(all, r.ID)
	}
	slices.Sort(all)
	return all
}

// A Question is a case as any implementation of Cedar can answer it.
type Question struct {
	Policies  map[string]string                  `json:"policies"` // by id
	Entities  types.EntityMap                    `json:"entities"`
	Principal types.ImplicitlyMarshaledEntityUID `json:"principal"`
	Action    types.ImplicitlyMarshaledEntityUID `json:"action"`
	Resource  types.ImplicitlyMarshaledEntityUID `json:"resource"`
	Context   types.Record                       `json:"context"`
}

// Question is what to ask about the case. It fails for arguments that Cedar cannot
// hold.
func (c *Case) Question() (json.RawMessage, error) {
	e, err := c.Engine(true)
	if err != nil {
		return nil, err
	}
	r, err := c.Request()
	if err != nil {
		return nil, err
	}
	request, entities, err := e.Question(r)
	if err != nil {
		return nil, err
	}
	q := Question{
		Policies: map[string]string{}, Entities: entities, Context: request.Context,
		Principal: types.ImplicitlyMarshaledEntityUID(request.Principal),
		Action:    types.ImplicitlyMarshaledEntityUID(request.Action),
		Resource:  types.ImplicitlyMarshaledEntityUID(request.Resource),
	}
	for _, p := range e.Policies() {
		q.Policies[p.ID] = string(p.Compiled.MarshalCedar())
	}
	return json.Marshal(q)
}
