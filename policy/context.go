package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/typed"
)

var (
	authType = record(
		typed.Field{Name: "acrs", Type: &typed.Type{Kind: typed.Set, Elem: &typed.Type{Kind: typed.String}}, Required: true},
		typed.Field{Name: "age", Type: &typed.Type{Kind: typed.Duration}},
		typed.Field{Name: "mfa", Type: &typed.Type{Kind: typed.Bool}, Required: true},
	)
	sessionType = record(
		typed.Field{Name: "calls", Type: &typed.Type{Kind: typed.Long}, Required: true},
		typed.Field{Name: "labels", Type: &typed.Type{Kind: typed.Set, Elem: &typed.Type{Kind: typed.String}}, Required: true},
	)
)

func record(fields ...typed.Field) *typed.Type {
	slices.SortFunc(fields, func(a, b typed.Field) int { return strings.Compare(a.Name, b.Name) })
	return &typed.Type{Kind: typed.Record, Fields: fields}
}

// contextType is what is known of the context of requests about o before they
// come, but for what binds make.
func (o *Object) contextType() *typed.Type {
	input := o.shape().Input
	fields := []typed.Field{
		{Name: "auth", Type: authType, Required: true},
		{Name: "session", Type: sessionType, Required: true},
		{Name: "ip", Type: &typed.Type{Kind: typed.Address}},
		{Name: "now", Type: &typed.Type{Kind: typed.Datetime}, Required: true},
	}
	if o.kind != aResource {
		fields = append(fields,
			typed.Field{Name: "bytes", Type: &typed.Type{Kind: typed.Long}, Required: true},
			typed.Field{Name: "input", Type: input, Required: true},
			typed.Field{Name: "size", Type: sizeType(input), Required: true})
		fields = append(fields, argumentTypes(input)...)
	}
	return record(fields...)
}

// withBinds is the type of a context with what binds make, too.
func withBinds(context *typed.Type, binds []*facts.Bind) *typed.Type {
	if len(binds) == 0 {
		return context
	}
	fields := slices.Clone(context.Fields)
	for _, b := range binds {
		fields = append(fields, typed.Field{Name: b.Name, Type: &typed.Type{Kind: typed.Entity, Entity: types.EntityType(b.Type)}, Required: true})
	}
	return record(fields...)
}

// sizeType is the type of context.size: a number for each argument that has one.
func sizeType(input *typed.Type) *typed.Type {
	var fields []typed.Field
	for _, f := range input.Fields {
		if sized(f.Type) {
			fields = append(fields, typed.Field{Name: f.Name, Type: &typed.Type{Kind: typed.Long}, Required: f.Required})
		}
	}
	return record(fields...)
}

func sized(t *typed.Type) bool {
	return t.Kind == typed.String || t.Kind == typed.Set || t.Kind == typed.Record
}

// argumentTypes are the arguments in ToolHive's spelling: scalars by their name,
// and of all others that they are there.
func argumentTypes(input *typed.Type) []typed.Field {
	var fields []typed.Field
	for _, f := range input.Fields {
		if name, t := argument(f); t != nil {
			fields = append(fields, typed.Field{Name: name, Type: t, Required: f.Required})
		}
	}
	return fields
}

func argument(f typed.Field) (name string, t *typed.Type) {
	switch f.Type.Kind {
	case typed.String, typed.Long, typed.Bool, typed.Decimal:
		return "arg_" + f.Name, f.Type
	case typed.Datetime, typed.Address, typed.Duration:
		return "arg_" + f.Name, &typed.Type{Kind: typed.String}
	}
	return "arg_" + f.Name + "_present", &typed.Type{Kind: typed.Bool}
}

// A Request is one request to decide.
type Request struct {
	Principal *Principal
	Object    *Object
	// Arguments are decoded, with int64 for integers of 64 bits and float64 for
	// other numbers; Raw is their text. nil for none.
	Arguments map[string]any
	Raw       []byte
	IP        netip.Addr // of the client; the zero value if it is not known
	Now       time.Time
	Session   Session
	// Observed says that its upstream is only observed: a denial is said, and let
	// through.
	Observed bool
}

// Session is what is known of the earlier calls of a caller with the same app.
type Session struct {
	Calls  int64
	Labels []string
}

// context makes what of the context some rules look at. It fails for an argument
// that Cedar cannot hold, and for one that leads to no entity.
func (e *Engine) context(r *Request, auth Auth, app types.EntityUID, a *about, reads *reads) (types.Record, error) {
	m := types.RecordMap{}
	if reads.at("app") {
		m["app"] = app
	}
	if reads.at("auth") {
		m["auth"] = auth.record(r.Now)
	}
	if reads.at("session") {
		m["session"] = types.NewRecord(types.RecordMap{"calls": types.Long(r.Session.Calls), "labels": texts(r.Session.Labels)})
	}
	if reads.at("ip") && r.IP.IsValid() {
		ip := r.IP.Unmap().WithZone("")
		m["ip"] = types.IPAddr(netip.PrefixFrom(ip, ip.BitLen()))
	}
	if reads.at("now") {
		m["now"] = types.NewDatetime(r.Now)
	}
	if r.Object.kind == aResource {
		return types.NewRecord(m), nil
	}
	if reads.at("bytes") {
		m["bytes"] = types.Long(len(r.Raw))
	}
	if err := e.addArguments(m, r, a, reads); err != nil {
		return types.Record{}, err
	}
	return types.NewRecord(m), nil
}

func (a Auth) record(now time.Time) types.Record {
	m := types.RecordMap{"mfa": types.Boolean(slices.Contains(a.Methods, "mfa")), "acrs": texts(a.Contexts)}
	if !a.Time.IsZero() {
		m["age"] = types.NewDuration(max(now.Sub(a.Time), 0))
	}
	return types.NewRecord(m)
}

// addArguments adds what rules see of the arguments.
func (e *Engine) addArguments(m types.RecordMap, r *Request, a *about, reads *reads) error {
	names, all := reads.wants(a.binds)
	if !all && len(names) == 0 && !reads.at("input") && !reads.at("size") {
		return nil
	}
	want := func(name string) bool { return all || names[name] }
	shape := r.Object.shape()
	input, err := shape.Value(r.Arguments, r.Raw, want)
	if err != nil {
		return err
	}
	m["input"] = input
	if reads.at("size") {
		m["size"] = sizes(shape.Input, input, r.Arguments)
	}
	if reads.toolHive() {
		addToolHive(m, shape.Input, input, r.Arguments)
	}
	for _, b := range a.binds {
		if !reads.at(b.Name) {
			continue
		}
		uid, err := b.UID(input)
		if err != nil {
			return fmt.Errorf("context.%s: %w", b.Name, err)
		}
		if _, ok := e.entities[uid]; !ok {
			return fmt.Errorf("context.%s: nothing is known of %s", b.Name, uid)
		}
		m[types.String(b.Name)] = uid
	}
	return nil
}

// sizes are the characters of texts and the members of lists and objects.
func sizes(input *typed.Type, values types.Record, arguments map[string]any) types.Record {
	m := types.RecordMap{}
	for _, f := range input.Fields {
		if n, ok := size(f, values, arguments); ok && sized(f.Type) {
			m[types.String(f.Name)] = types.Long(n)
		}
	}
	return types.NewRecord(m)
}

// size is that of an argument as it came, where a list may name a member twice, or
// of its default.
func size(f typed.Field, values types.Record, arguments map[string]any) (int, bool) {
	switch v := arguments[f.Name].(type) {
	case string:
		return utf8.RuneCountInString(v), true
	case []any:
		return len(v), true
	case map[string]any:
		return len(v), true
	}
	v, _ := values.Get(types.String(f.Name))
	switch v := v.(type) {
	case types.String:
		return utf8.RuneCountInString(string(v)), true
	case types.Set:
		return v.Len(), true
	case types.Record:
		return v.Len(), true
	}
	return 0, false
}

// addToolHive adds the arguments in ToolHive's spelling.
func addToolHive(m types.RecordMap, input *typed.Type, values types.Record, arguments map[string]any) {
	for _, f := range input.Fields {
		v, ok := values.Get(types.String(f.Name))
		if !ok {
			continue
		}
		name, t := argument(f)
		switch {
		case strings.HasSuffix(name, "_present") && t.Kind == typed.Bool && f.Type.Kind != typed.Bool:
			v = types.True
		case t.Kind == typed.String && f.Type.Kind != typed.String: // a date or an address, as it came
			text, ok := arguments[f.Name].(string)
			if !ok { // by default
				text = v.String()
			}
			v = types.String(text)
		}
		m[types.String(name)] = v
	}
}
