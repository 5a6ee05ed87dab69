package policycmd

import (
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// A jsonCaller is a caller who was asked about.
type jsonCaller struct {
	Name   string   `json:"caller"`
	Sort   string   `json:"sort"` // persona, made, anybody, group, role, app, person, kind
	About  string   `json:"about,omitempty"`
	Groups []string `json:"groups,omitempty"`
	Roles  []string `json:"roles,omitempty"`
}

func callerJSON(c survey.Caller) jsonCaller {
	return jsonCaller{c.Name, string(c.Sort), c.About(), c.Groups, c.Roles}
}

// A jsonRow is what may be used.
type jsonRow struct {
	Object    string `json:"object"` // as policies write it
	Kind      string `json:"kind"`
	Upstream  string `json:"upstream"`
	Published string `json:"published"`
}

func rowJSON(r survey.Row) jsonRow {
	return jsonRow{r.Object.String(), r.Kind, r.Object.Upstream(), r.Published}
}

// A jsonAnswer is what policies say of a caller and a row.
type jsonAnswer struct {
	Outcome   string       `json:"outcome"`
	Sentence  string       `json:"sentence"`
	Condition string       `json:"condition"`
	Permits   []jsonPolicy `json:"permits,omitempty"`
	Forbids   []jsonPolicy `json:"forbids,omitempty"`
}

// answerJSON is an answer by policies whose files are where path says.
func answerJSON(path func(string) string, a *explain.Answer) jsonAnswer {
	return jsonAnswer{a.Outcome.String(), a.Sentence(), a.Condition(), partsJSON(path, a.Permits), partsJSON(path, a.Forbids)}
}

func partsJSON(path func(string) string, parts []explain.Part) []jsonPolicy {
	var all []jsonPolicy
	for _, p := range parts {
		all = append(all, jsonPolicy{p.Policy.ID, path(p.Policy.File), p.Policy.Line})
	}
	return all
}
