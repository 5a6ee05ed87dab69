package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// missing reports an attribute that is never there: asked tells that a policy only asks
// whether it is.
func (i *inference) missing(n *syntax.Node, v value, base *syntax.Node, name string, at syntax.Span, asked bool) {
	f := finding{severity: Error, code: "unknown-attribute", at: at, expr: n}
	argument := strings.HasPrefix(name, source.ArgumentPrefix)
	switch {
	case v.root == theInput, v.root == theSize, (v.root == theContext || v.root == theResource) && argument && i.about.hasArguments():
		i.missingArgument(&f, n, v, name)
	case v.root == theContext && (argument || contains([]string{"input", "size", "bytes"}, name)):
		f.code, f.text = "no-arguments", fmt.Sprintf("%s has no arguments", object0)
	case v.root == theResource:
		i.missingOfResource(&f, name)
	case v.root == thePrincipal || isCaller(v.typ.Entity):
		f.text = "a principal has no attribute " + quoted(name)
		f.suggestion = didYouMean(source.Near(name, attributeNames("User")))
		if f.suggestion == "" {
			f.suggestion = "a claim of that name is principal.claim_" + plain(name)
		}
	case v.root == theContext:
		f.text = "context has no attribute " + quoted(name)
		f.suggestion = i.inContext(name)
	case v.known != nil && v.typ.Kind == typed.Entity && contains(i.world.own.names(v.typ.Entity), name):
		f.text = fmt.Sprintf("nothing is known of %s where it is not what is asked for", i.policy.words(base))
		f.suggestion = fmt.Sprintf("compare it first: resource == %s && resource.%s …", i.policy.words(base), nameText(name))
	case v.typ.Kind == typed.Entity:
		f.text = fmt.Sprintf("%s has no attribute %s", article(string(v.typ.Entity)), quoted(name))
		f.suggestion = didYouMean(source.Near(name, i.world.own.names(v.typ.Entity)))
	default:
		f.text = fmt.Sprintf("%s has no attribute %s", i.policy.words(base), quoted(name))
		f.suggestion = didYouMean(source.Near(name, fieldNames(v.typ)))
		if f.suggestion == "" && len(v.typ.Fields) > 0 {
			f.suggestion = "it has " + list(fieldNames(v.typ))
		}
	}
	if asked {
		f.whole = true
		if v.known != nil && v.typ.Kind == typed.Entity && v.root == noRoot {
			return
		}
		if v.root == theResource && f.code != "unknown-argument" && !strings.HasPrefix(f.suggestion, "did you mean") || f.code == "no-arguments" {
			return // which is what it is asked for
		}
		if !strings.HasPrefix(f.suggestion, "did you mean") && f.code != "unusable-argument" {
			f.severity = Warning
		}
	}
	i.found(f)
}

// missingArgument says that an object has no argument of that name.
func (i *inference) missingArgument(f *finding, n *syntax.Node, v value, name string) {
	path := i.argument(n, v, name)
	f.code = "unknown-argument"
	f.text = fmt.Sprintf("%s has no argument %s", object0, quoted(path))
	if v.root == theSize {
		if field, ok := i.about.Shape().Input.Field(name); ok {
			f.code, f.text = "no-size", fmt.Sprintf("the argument %s of %s is %s, and only texts, lists and objects have a size", quoted(name), object0, typeName(field.Type))
			return
		}
	}
	if present, ok := strings.CutSuffix(path, source.PresentSuffix); ok && v.root != theInput {
		if _, there := i.about.Shape().Input.Field(present); there {
			f.text = fmt.Sprintf("%s is there only for arguments that are lists or objects", plain(name))
			f.suggestion = didYouMean("context has arg_" + plain(present))
			return
		}
	}
	if why := i.about.omitted(path); why != "" {
		f.code, f.text = "unusable-argument", fmt.Sprintf("the argument %s of %s cannot be used in policies: %s", quoted(path), object0, why)
		return
	}
	if v.root != theInput && v.root != theSize {
		if _, there := i.about.Shape().Input.Field(path); there {
			f.text = fmt.Sprintf("the argument %s of %s is a list or an object, of which there is %s%s only", quoted(path), object0, plain(name), source.PresentSuffix)
			f.suggestion = "write context.input." + plain(path)
			return
		}
	}
	of, given := i.about.Shape().Input, path
	if v.root == theInput {
		of, given = v.typ, name
	}
	names := fieldNames(of)
	if path == given {
		names = append(names, slices.Collect(maps.Keys(i.about.Shape().Omitted))...)
	}
	f.suggestion = didYouMean(quotedOrNone(source.Near(given, names)))
	if f.suggestion == "" && len(of.Fields) > 0 && len(of.Fields) <= 8 {
		f.suggestion = "it has " + list(fieldNames(of))
	}
}

func (i *inference) missingOfResource(f *finding, name string) {
	t := string(i.about.entity.UID.Type)
	for _, a := range source.Words().Entity(t).Attributes {
		if a.Name == name { // optional, or a template's
			f.code = "unguarded-optional"
			f.text = fmt.Sprintf("%s has no %s", object0, quoted(name))
			f.suggestion = fmt.Sprintf("ask first: resource has %s && …", nameText(name))
			return
		}
	}
	f.text = fmt.Sprintf("%s has no attribute %s", article(t), quoted(name))
	all := append(attributeNames(t), i.world.in.Options.Attributes...)
	if f.suggestion = didYouMean(source.Near(name, all)); f.suggestion != "" {
		return
	}
	if _, ok := i.about.Shape().Input.Field(name); ok {
		f.suggestion = didYouMean("context.input." + plain(name))
		return
	}
	f.suggestion = "it has " + list(attributeNames(t))
}

// otherNames are what people may call attributes of the context.
var otherNames = map[string]string{
	"arguments": "context.input", "args": "context.input", "arg": "context.input", "params": "context.input", "parameters": "context.input",
	"time": "context.now", "ipaddress": "context.ip", "client": "context.app", "application": "context.app",
	"labels": "context.session.labels", "calls": "context.session.calls", "mfa": "context.auth.mfa", "acrs": "context.auth.acrs",
	"principal": "principal", "user": "principal", "groups": "principal.groups", "roles": "principal.roles", "email": "principal.email",
}

// inContext says what may have been meant by an attribute that the context has not.
func (i *inference) inContext(name string) string {
	if meant := source.Near(name, fieldNames(i.about.context)); meant != "" {
		return didYouMean("context." + meant)
	}
	if _, ok := i.about.Shape().Input.Field(name); ok {
		return didYouMean("context.input." + plain(name))
	}
	if meant := otherNames[strings.ReplaceAll(strings.ToLower(name), "_", "")]; meant != "" {
		return didYouMean(meant)
	}
	if meant := source.Near(name, fieldNames(i.about.Shape().Input)); meant != "" {
		return didYouMean("context.input." + plain(meant))
	}
	return fmt.Sprintf("an argument is context.input.%s", plain(name))
}
