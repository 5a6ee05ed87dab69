package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// Objects are what records can be about, by how policies write them.
type Objects struct {
	known map[string]*policy.Object
	tags  map[string][]string // of upstreams
	made  map[string]*policy.Object
}

// maxMade bounds how many resources are remembered that clients alone name.
const maxMade = 10_000

// NewObjects are those of a catalog. Templates are left out: a record is about one of
// their resources.
func NewObjects(all []*policy.Object) *Objects {
	os := &Objects{known: map[string]*policy.Object{}, tags: map[string][]string{}, made: map[string]*policy.Object{}}
	for _, o := range all {
		if !o.IsTemplate() {
			os.known[o.String()] = o
		}
		if _, ok := os.tags[o.Upstream()]; !ok {
			os.tags[o.Upstream()] = tagsOf(o)
		}
	}
	return os
}

func tagsOf(o *policy.Object) []string {
	tags := []string{}
	for above := range o.Entity().Parents.All() {
		if above.Type == "Tag" {
			tags = append(tags, string(above.ID))
		}
	}
	return tags
}

// typeOf are the types of objects by actions.
var typeOf = map[string]types.EntityType{"call_tool": "Tool", "get_prompt": "Prompt", "read_resource": "Resource"}

// Of is what a record is about; nil if that is not in the catalog. A resource need not
// be listed.
func (os *Objects) Of(r *Record) *policy.Object {
	t, ok := typeOf[r.Action]
	if !ok || isCut(r.Object) || r.Upstream == "" {
		return nil
	}
	name := types.NewEntityUID(t, types.String(r.Upstream+"/"+r.Object)).String()
	if o := os.known[name]; o != nil || t != "Resource" {
		return o
	}
	tags, ok := os.tags[r.Upstream]
	if !ok {
		return nil
	}
	if o := os.made[name]; o != nil {
		return o
	}
	if len(os.made) >= maxMade {
		clear(os.made)
	}
	o := policy.UnlistedObject(policy.Resource{Upstream: r.Upstream, URI: r.Object, Tags: tags})
	os.made[name] = o
	return o
}

// isCut reports whether a text may have been too long to be written.
func isCut(text string) bool { return strings.HasSuffix(text, "…") }

// anonymous is the caller while the gateway asks nobody to sign in.
const anonymous = `User::"anonymous"`

// A reconstruction is a request as far as a record tells it.
type reconstruction struct {
	record *Record
	object *policy.Object
	past   *policy.Past
	// aliases are the ids of groups by their labels, as they are configured now.
	aliases map[string]string
	// literals are long texts in policies, as JSON.
	literals []string
}

// PastOf is the request about an object as far as a record tells it; nil if it does not
// even tell who called. Aliases are the ids of groups by their labels in the
// configuration.
func PastOf(r *Record, o *policy.Object, aliases map[string]string) *policy.Past {
	c := reconstruct(r, o, aliases, nil)
	if c == nil {
		return nil
	}
	return c.past
}

// reconstruct makes it; nil if not even the caller is told.
func reconstruct(r *Record, o *policy.Object, aliases map[string]string, literals []string) *reconstruction {
	uid, ok := parseUID(r.Caller)
	if !ok {
		return nil
	}
	c := &reconstruction{record: r, object: o, aliases: aliases, literals: literals}
	c.past = &policy.Past{
		Object: o, Principal: uid, Attributes: map[string]types.Value{}, Context: map[string]types.Value{},
		Members: map[string]map[string]types.Value{}, Least: map[string]int{},
	}
	c.principal()
	c.circumstances()
	c.arguments()
	c.looked()
	return c
}

// parseUID reads a principal as the gateway writes it.
func parseUID(text string) (types.EntityUID, bool) {
	kind, quoted, ok := strings.Cut(text, `::"`)
	id, whole := strings.CutSuffix(quoted, `"`)
	if !ok || !whole || isCut(text) || kind != "User" && kind != "Workload" {
		return types.EntityUID{}, false
	}
	return types.NewEntityUID(types.EntityType(kind), types.String(unescaped.Replace(id))), true
}

var unescaped = strings.NewReplacer(`\\`, `\`, `\"`, `"`)

// principal is what is told of the caller.
func (c *reconstruction) principal() {
	r, p := c.record, c.past
	told := r.Principal
	if r.Caller == anonymous && told == nil {
		told = &Principal{} // who is in nothing
	}
	p.Doubtful = func(uid types.EntityUID) bool { return slices.Contains(joined, uid.Type) }
	c.identity()
	if told == nil {
		return
	}
	p.Unresolved, p.Groups = told.Unresolved, policy.Complete
	if told.GroupsUnknown != "" {
		p.Groups = policy.Incomplete
	}
	groups := c.groups(told)
	for _, g := range groups {
		p.In = append(p.In, types.NewEntityUID("Group", types.String(g)), types.NewEntityUID("THVGroup", types.String(g)))
	}
	for _, role := range told.Roles {
		p.In = append(p.In, types.NewEntityUID("Role", types.String(role)))
	}
	p.Attributes["guest"] = types.Boolean(told.Guest)
	if told.More > 0 {
		return
	}
	p.Doubtful = func(uid types.EntityUID) bool { return uid.Type == "Client" && !c.knowsClient() }
	for name, list := range map[string][]string{"groups": groups, "claim_groups": groups, "roles": told.Roles, "claim_roles": told.Roles, "scopes": told.Scopes} {
		p.Attributes[name] = texts(list)
	}
}

// joined are the types of what callers are in.
var joined = []types.EntityType{"Group", "THVGroup", "Role", "Client"}

// identity is what the id of the caller tells.
func (c *reconstruction) identity() {
	id := string(c.past.Principal.ID)
	issuer, subject, ok := strings.Cut(id, "#")
	tenant := ""
	if !ok {
		tenant, subject, ok = strings.Cut(id, "/")
	} else if issuer == "" {
		ok = false
	}
	if c.record.Caller == anonymous {
		tenant, subject, ok = "", "", true
	}
	if ok {
		c.past.Attributes["id"], c.past.Attributes["tenant"] = types.String(subject), types.String(tenant)
		if subject != "" {
			c.past.In = append(c.past.In, types.NewEntityUID("Client", types.String(subject)))
		}
	}
	if !isCut(c.record.Name) {
		c.past.Attributes["name"] = types.String(c.record.Name)
	}
}

// knowsClient reports whether the sub of the caller's token is the subject: with Entra
// they differ.
func (c *reconstruction) knowsClient() bool {
	return strings.Contains(string(c.past.Principal.ID), "#") || c.record.Caller == anonymous
}

// groups are those of the caller by all names that policies have for them.
func (c *reconstruction) groups(told *Principal) []string {
	all := slices.Concat(told.Groups, told.GroupIDs)
	for label, id := range c.aliases {
		if id != "" && slices.Contains(all, id) {
			all = append(all, label)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func texts(all []string) types.Set {
	values := make([]types.Value, len(all))
	for i, s := range all {
		values[i] = types.String(s)
	}
	return types.NewSet(values...)
}

// circumstances are what is told of the context beside the arguments.
func (c *reconstruction) circumstances() {
	r, p := c.record, c.past
	p.Context["now"] = types.NewDatetime(r.Time)
	if !isCut(r.Client) {
		p.Context["app"] = appOf(r.Client)
	}
	if r.IP == "" {
		p.Context["ip"] = nil
	} else if ip, err := netip.ParseAddr(r.IP); err == nil {
		ip = ip.Unmap().WithZone("")
		p.Context["ip"] = types.IPAddr(netip.PrefixFrom(ip, ip.BitLen()))
	}
	if told := r.Principal; told != nil {
		p.Members["auth"] = authOf(told, r.Time)
	}
	if e := r.Earlier; e != nil {
		p.Members["session"] = map[string]types.Value{"calls": types.Long(e.Calls), "labels": texts(e.Labels)}
	}
}

func appOf(client string) types.EntityUID {
	if client == "" {
		client = "unknown"
	}
	return types.NewEntityUID("App", types.String(client))
}

func authOf(told *Principal, now time.Time) map[string]types.Value {
	auth := map[string]types.Value{"mfa": types.Boolean(told.MFA)}
	if told.More == 0 {
		auth["acrs"] = texts(told.Contexts)
	}
	if told.SignedIn == "" {
		auth["age"] = nil
	} else if at, err := time.Parse(time.RFC3339Nano, told.SignedIn); err == nil {
		auth["age"] = types.NewDuration(max(now.Sub(at), 0))
	}
	return auth
}

// arguments are those of the request, if they are told or there were none.
func (c *reconstruction) arguments() {
	r, p := c.record, c.past
	reached := r.Verdict() != Unasked && r.Why != hidden
	switch {
	case r.Arguments != nil:
		values, err := typed.Decode(r.Arguments)
		if err != nil {
			return
		}
		p.ArgumentsKnown, p.Arguments, p.Raw = true, values, r.Arguments
		if r.Bytes > 0 {
			p.Context["bytes"] = types.Long(r.Bytes)
		}
	case reached && (r.Bytes > 0 || r.Mode == "hashed" || r.Mode == "full"):
		p.Context["bytes"] = types.Long(r.Bytes)
		p.ArgumentsKnown = r.Bytes < len(`{"":1}`) // there are none then
	}
}

// looked adds the values that conditions looked at.
func (c *reconstruction) looked() {
	for path, raw := range c.record.Looked {
		variable, name, ok := strings.Cut(path, ".")
		switch {
		case path == "principal in":
			c.isIn(raw)
		case !ok || isCut(path) || strings.ContainsRune(path, '\ufffd'):
		case variable == "principal":
			if _, known := c.past.Attributes[name]; !known {
				if v, ok := valueOf(raw); ok {
					c.past.Attributes[name] = v
				}
			}
		case variable == "context":
			c.lookedInContext(name, raw)
		}
	}
}

// isIn adds what the caller is said to be in.
func (c *reconstruction) isIn(raw json.RawMessage) {
	var all []string
	if json.Unmarshal(raw, &all) != nil {
		return
	}
	for _, text := range all {
		kind, quoted, ok := strings.Cut(text, `::"`)
		id, whole := strings.CutSuffix(quoted, `"`)
		if !ok || !whole || strings.ContainsAny(id, `\`) || !slices.Contains(joined, types.EntityType(kind)) {
			continue
		}
		uid := types.NewEntityUID(types.EntityType(kind), types.String(id))
		if !slices.Contains(c.past.In, uid) {
			c.past.In = append(c.past.In, uid)
		}
		if kind == "Group" && c.past.Groups == policy.Unsaid {
			c.past.Groups = policy.Complete // or policies that name one had denied everything
		}
	}
}

// lookedInContext adds a value of the context, name being what comes after "context.".
func (c *reconstruction) lookedInContext(name string, raw json.RawMessage) {
	p := c.past
	of, member, nested := strings.Cut(name, ".")
	if !nested || !slices.Contains([]string{"auth", "session", "input", "size"}, of) {
		if p.ArgumentsKnown && strings.HasPrefix(name, "arg_") {
			return
		}
		if _, known := p.Context[name]; known {
			return
		}
		if v, ok := valueOf(raw); ok && !nested {
			p.Context[name] = v
		}
		return
	}
	if p.ArgumentsKnown && (of == "input" || of == "size") {
		return
	}
	if _, known := p.Members[of][member]; known {
		return
	}
	v, ok := valueOf(raw)
	if of == "input" {
		v, ok = c.argument(member, v, ok, raw)
	}
	if !ok {
		return
	}
	if p.Members[of] == nil {
		p.Members[of] = map[string]types.Value{}
	}
	p.Members[of][member] = v
}

// argument is one that conditions looked at, if the tool has it still, as it was.
func (c *reconstruction) argument(name string, v types.Value, known bool, raw json.RawMessage) (types.Value, bool) {
	f, ok := c.object.Shape().Input.Field(name)
	switch {
	case !ok:
		return nil, false
	case !known:
		return c.digested(f, raw)
	case v == nil:
		return nil, !f.Required
	}
	return v, typed.KindOf(v) == f.Type.Kind
}

// digested is a long text of which a digest is told, if it is one of the literals.
func (c *reconstruction) digested(f typed.Field, raw json.RawMessage) (types.Value, bool) {
	bytes, sum, ok := digestOf(raw)
	if !ok || f.Type.Kind != typed.String {
		return nil, false
	}
	for _, literal := range c.literals {
		text, _ := json.Marshal(literal)
		made := sha256.Sum256(append([]byte(c.record.Salt), text...))
		if len(text) == bytes && hex.EncodeToString(made[:]) == sum {
			return types.String(literal), true
		}
	}
	c.past.Least[f.Name] = max(bytes-len(`""`), 0) / 6 // of which JSON makes six of one at most
	return nil, false
}

// digestOf reads what stands for a text that is too long.
func digestOf(raw json.RawMessage) (bytes int, sum string, ok bool) {
	var d map[string]json.RawMessage
	if json.Unmarshal(raw, &d) != nil || len(d) != 2 {
		return 0, "", false
	}
	ok = json.Unmarshal(d["bytes"], &bytes) == nil && json.Unmarshal(d["sha256"], &sum) == nil && len(sum) == 64
	return bytes, sum, ok
}

// maxValue bounds the bytes of a value that is read: longer ones are only digested.
const maxValue = 8 << 10

// valueOf is a value that conditions looked at, nil for null; ok is false for what is
// only digested, and what cannot be read.
func valueOf(raw json.RawMessage) (v types.Value, ok bool) {
	if string(raw) == "null" {
		return nil, true
	}
	if len(raw) == 0 || len(raw) > maxValue || hasDigest(raw) {
		return nil, false
	}
	if types.UnmarshalJSON(raw, &v) != nil || v == nil {
		return nil, false
	}
	return v, true
}

// hasDigest reports whether a value or one in it is, or may be, only a digest.
func hasDigest(raw json.RawMessage) bool {
	return strings.Contains(string(raw), `"sha256"`)
}
