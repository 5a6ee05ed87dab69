package source

import "strings"

// A Vocabulary is what policies can speak of. Types are written as in Cedar's
// schema language.
type Vocabulary struct {
	Entities []EntityType
	Actions  []Action
	Records  []RecordType // of attributes of the context
	Context  []Attribute  // of all actions
}

// An EntityType is a type of principals, resources or of what these belong to.
type EntityType struct {
	Name       string
	Parents    []string // types that its entities may be in
	Attributes []Attribute
	Claims     bool // it has a claim_<name> for each claim of the token, and texts as tags
}

// An Attribute belongs to an entity, a record or the context.
type Attribute struct {
	Name, Type string
	Optional   bool
}

// A RecordType is a record with a name.
type RecordType struct {
	Name       string
	Attributes []Attribute
}

// An Action is what is asked for.
type Action struct {
	Name      string
	Resource  string // the type that it is done to
	Arguments bool   // context.input, context.size and arg_<name> are there
}

// Words is the vocabulary. It must not be changed.
func Words() *Vocabulary { return &words }

// Entity is the type of that name, nil if there is none.
func (v *Vocabulary) Entity(name string) *EntityType {
	for i := range v.Entities {
		if v.Entities[i].Name == name {
			return &v.Entities[i]
		}
	}
	return nil
}

// Record is the record type of that name, nil if there is none.
func (v *Vocabulary) Record(name string) *RecordType {
	for i := range v.Records {
		if v.Records[i].Name == name {
			return &v.Records[i]
		}
	}
	return nil
}

// Attributes with one of these prefixes are made of claims and arguments, whatever
// these are called.
const (
	ClaimPrefix    = "claim_" // of principals
	ArgumentPrefix = "arg_"   // of the context
	PresentSuffix  = "_present"
)

// words is all of it.
var words = Vocabulary{
	Entities: []EntityType{
		{Name: "User", Parents: callerParents, Attributes: callerAttributes, Claims: true},
		{Name: "Workload", Parents: callerParents, Attributes: callerAttributes, Claims: true},
		{Name: "Group", Parents: []string{"Group"}},
		{Name: "Role"},
		{Name: "App", Attributes: attributes("name: String")},
		{Name: "Tag"},
		{Name: "Upstream", Parents: []string{"Tag"}, Attributes: attributes("name: String")},
		{Name: "Tool", Parents: objectParents, Attributes: attributes(
			"name: String, title?: String, upstream: String",
			"read_only: Bool, destructive: Bool, idempotent: Bool, open_world: Bool, pinned: Bool",
			"readOnlyHint?: Bool, destructiveHint?: Bool, idempotentHint?: Bool, openWorldHint?: Bool",
			"operation: String, feature: String",
		)},
		{Name: "Prompt", Parents: objectParents, Attributes: attributes(
			"name: String, upstream: String, operation: String, feature: String",
		)},
		{Name: "Resource", Parents: objectParents, Attributes: attributes(
			"uri: String, name: String, upstream: String, mime_type?: String, operation: String, feature: String",
		)},
		// As ToolHive calls callers, their groups, and upstreams.
		{Name: "Client"},
		{Name: "THVGroup"},
		{Name: "MCP"},
	},
	Actions: []Action{
		{Name: "call_tool", Resource: "Tool", Arguments: true},
		{Name: "get_prompt", Resource: "Prompt", Arguments: true},
		{Name: "read_resource", Resource: "Resource"},
	},
	Records: []RecordType{
		{Name: "Auth", Attributes: attributes("mfa: Bool, acrs: Set<String>, age?: duration")},
		{Name: "Session", Attributes: attributes("calls: Long, labels: Set<String>")},
	},
	Context: attributes(
		"app: App, auth: Auth, session: Session, ip?: ipaddr, now: datetime, bytes: Long",
		// Records with a member for each argument of the tool or prompt.
		"input: Input, size: Size",
	),
}

var (
	callerParents    = []string{"Group", "Role", "Client", "THVGroup"}
	objectParents    = []string{"Upstream", "Tag", "MCP"}
	callerAttributes = attributes(
		"id: String, name: String, email?: String, tenant: String, guest: Bool",
		"groups: Set<String>, roles: Set<String>, scopes: Set<String>",
		"claim_sub: String, claim_groups: Set<String>, claim_roles: Set<String>",
	)
)

// listActions are ToolHive's actions for lists.
var listActions = []string{"list_tools", "list_prompts", "list_resources"}

// attributes reads lists such as "name: String, title?: String".
func attributes(lists ...string) []Attribute {
	var all []Attribute
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ", ") {
			name, typ, _ := strings.Cut(one, ": ")
			name, optional := strings.CutSuffix(name, "?")
			all = append(all, Attribute{Name: name, Type: typ, Optional: optional})
		}
	}
	return all
}

func attributeNames(list []Attribute) []string {
	var names []string
	for _, a := range list {
		names = append(names, a.Name)
	}
	return names
}
