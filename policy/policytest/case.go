// Package policytest makes cases to compare policy decisions by: random policies,
// callers, tools and requests. It is for tests only.
package policytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Case is one request and the policies that decide it, in full: it can be kept,
// and decided again by other programs.
type Case struct {
	Policies  string          `json:"policies"` // each with an @id
	Facts     bool            `json:"facts,omitempty"`
	Caller    Caller          `json:"caller"`
	Object    Object          `json:"object"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	IP        string          `json:"ip,omitempty"`
	Now       time.Time       `json:"now"`
	Session   policy.Session  `json:"session"`
}

// A Caller is who asks.
type Caller struct {
	ID       string          `json:"id"`
	Workload bool            `json:"workload,omitempty"`
	Groups   []string        `json:"groups,omitempty"`
	Roles    []string        `json:"roles,omitempty"`
	Client   string          `json:"client,omitempty"`
	Guest    bool            `json:"guest,omitempty"`
	Claims   json.RawMessage `json:"claims,omitempty"`
	Auth     policy.Auth     `json:"auth"`
}

// An Object is what is asked for; exactly one member is not nil.
type Object struct {
	Tool     *policy.Tool     `json:"tool,omitempty"`
	Prompt   *policy.Prompt   `json:"prompt,omitempty"`
	Resource *policy.Resource `json:"resource,omitempty"`
}

// Policy is the object as the engine has it.
func (o Object) Policy() *policy.Object {
	switch {
	case o.Tool != nil:
		return policy.ToolObject(*o.Tool)
	case o.Prompt != nil:
		return policy.PromptObject(*o.Prompt)
	}
	return policy.ResourceObject(*o.Resource)
}

// Principal is the caller as the engine has it.
func (c Caller) Principal() *policy.Principal {
	return &policy.Principal{
		ID: "t/" + c.ID, Workload: c.Workload, Subject: c.ID, Name: c.ID, Tenant: "t", Guest: c.Guest,
		Groups: c.Groups, GroupsKnown: true, Roles: c.Roles, Client: c.Client, Claims: c.Claims, Auth: c.Auth,
	}
}

// Engine is one of the case's policies, with Cedar's own way with errors if skip is
// set.
func (c *Case) Engine(skip bool) (*policy.Engine, error) {
	o := policy.Options{SkipErrors: skip}
	var read source.Options
	if c.Facts {
		var err error
		if o.Facts, o.Binds, err = ownFacts(); err != nil {
			return nil, err
		}
		read.Types, read.Targets, read.Attributes = o.Facts.Types, []string{"target"}, o.Facts.Attributes
	}
	read.Upstreams = Upstreams
	policies, _, err := source.Parse([]source.File{{Name: "case.cedar", Text: []byte(c.Policies)}}, read)
	if err != nil {
		return nil, err
	}
	o.Policies = policies
	return policy.New(o)
}

// Request is the one that is decided.
func (c *Case) Request() (*policy.Request, error) {
	arguments, err := decode(c.Arguments)
	if err != nil {
		return nil, err
	}
	r := &policy.Request{
		Principal: c.Caller.Principal(), Object: c.Object.Policy(), Arguments: arguments, Raw: c.Arguments,
		Now: c.Now, Session: c.Session,
	}
	if c.IP != "" {
		if r.IP, err = netip.ParseAddr(c.IP); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// decode makes of arguments what the gateway does: int64 for integers of 64 bits,
// float64 for other numbers.
func decode(raw json.RawMessage) (map[string]any, error) {
	if raw == nil {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var arguments map[string]any
	if err := d.Decode(&arguments); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	numbers(arguments)
	return arguments, nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, below := range v {
			v[name] = numbers(below)
		}
	case []any:
		for i, below := range v {
			v[i] = numbers(below)
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64() // out of range, it is infinite
		return f
	}
	return v
}

// ownFacts are two repositories and their teams, and more of what the gateway knows.
func ownFacts() (*facts.Facts, []facts.Bind, error) {
	f, err := loadFacts()
	bind := facts.Bind{Name: "target", Type: "Repo", ID: []facts.Part{{Literal: "acme/"}, {Argument: []string{"repo"}, Case: "lower"}}}
	return f, []facts.Bind{bind}, err
}

// loadFacts loads them once: they never change.
var loadFacts = sync.OnceValues(func() (*facts.Facts, error) {
	return facts.Load([]source.File{
		{Name: "teams.json", Text: []byte(`[
{"uid": {"type": "Team", "id": "web"}, "parents": [], "attrs": {"group": {"__entity": {"type": "Group", "id": "g1"}}}},
{"uid": {"type": "Team", "id": "api"}, "parents": [], "attrs": {"group": {"__entity": {"type": "Group", "id": "g2"}}, "size": 3}},
{"uid": {"type": "Repo", "id": "acme/web"}, "parents": [{"type": "Team", "id": "web"}], "attrs": {"owner": {"__entity": {"type": "Team", "id": "web"}}, "public": true}},
{"uid": {"type": "Repo", "id": "acme/api"}, "parents": [{"type": "Team", "id": "api"}], "attrs": {"owner": {"__entity": {"type": "Team", "id": "api"}}, "public": false}},
{"uid": {"type": "Group", "id": "g3"}, "parents": [{"type": "Group", "id": "g1"}, {"type": "Tag", "id": "filed"}], "attrs": {"floor": 3}},
{"uid": {"type": "Tool", "id": "github/get"}, "parents": [{"type": "Tag", "id": "filed"}], "attrs": {"level": 3, "team": {"__entity": {"type": "Team", "id": "web"}}}},
{"uid": {"type": "Tool", "id": "jira/get"}, "parents": [], "attrs": {"level": 1}},
{"uid": {"type": "Resource", "id": "github/file:///a"}, "parents": [{"type": "Tag", "id": "filed"}, {"type": "Team", "id": "api"}], "attrs": {"level": 2}},
{"uid": {"type": "Upstream", "id": "jira"}, "parents": [{"type": "Tag", "id": "filed"}], "attrs": {"region": "eu"}},
{"uid": {"type": "Team", "id": "ops"}, "parents": [{"type": "Upstream", "id": "github"}], "attrs": {"group": {"__entity": {"type": "Group", "id": "g3"}}}},
{"uid": {"type": "User", "id": "t/bob"}, "parents": [{"type": "Team", "id": "ops"}], "attrs": {"floor": 2}},
{"uid": {"type": "App", "id": "claude"}, "parents": [{"type": "Tag", "id": "filed"}], "attrs": {}},
{"uid": {"type": "Role", "id": "admin"}, "parents": [{"type": "Team", "id": "api"}], "attrs": {}}]`)},
		{Name: "teams.cedarschema", Text: []byte(`entity Team in [Upstream] = { group: Group, size?: Long }; entity Repo in [Team] = { owner: Team, public: Bool };`)},
	})
})
