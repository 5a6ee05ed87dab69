package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// otherNames are what people may call attributes of the context.
var otherNames = map[string]string{
	"arguments": "input", "args": "input", "arg": "input", "params": "input", "parameters": "input",
	"time": "now", "ipaddress": "ip", "client": "app", "application": "app", "labels": "session.labels", "calls": "session.calls", "mfa": "auth.mfa",
}

// attribute checks that base can have the attribute.
func (c *check) attribute(base ast.Node, name string) {
	switch b := base.(type) {
	case ast.Variable:
		switch b.Name {
		case "principal":
			c.ofPrincipal(name)
		case "resource":
			c.ofResource(name)
		case "context":
			c.ofContext(name)
		}
	case ast.Access:
		if isContext(b.Arg) {
			c.ofRecord(string(b.Value), name)
		}
	case ast.Value:
		if uid, ok := b.Value.(types.EntityUID); ok {
			c.ofEntity(uid, name)
		}
	}
}

func (c *check) ofPrincipal(name string) {
	if strings.HasPrefix(name, ClaimPrefix) || slices.Contains(c.reader.names.callers, name) {
		return
	}
	remedy := fmt.Sprintf("a claim of that name is principal.claim_%s", plain(name))
	if strings.HasPrefix(name, "claimset_") { // of ToolHive
		remedy = "sets are principal.scopes, principal.claim_groups and principal.claim_roles"
	}
	c.mistake(c.token("principal", name), "a principal has no attribute "+quoted(name), didYouMean(name, c.reader.names.callers, remedy))
}

func (c *check) ofResource(name string) {
	if len(c.objects) == 0 || slices.Contains(c.reader.names.operators, name) {
		return
	}
	all := objectAttributes(c.objects)
	if slices.Contains(all, name) {
		return
	}
	text := fmt.Sprintf("%s has no attribute %s", article(orList(c.objects)), quoted(name))
	remedy := didYouMean(name, all, "it has "+strings.Join(all, ", "))
	if slices.Contains(objectAttributes([]string{"Tool", "Prompt", "Resource"}), name) {
		c.warn(c.token("resource", name), text, remedy) // it has with other actions
		return
	}
	c.mistake(c.token("resource", name), text, remedy)
}

// objectAttributes are those of some types of resources, sorted.
func objectAttributes(objects []string) []string {
	var all []string
	for _, object := range objects {
		all = append(all, attributeNames(words.Entity(object).Attributes)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (c *check) ofContext(name string) {
	argument := strings.HasPrefix(name, ArgumentPrefix)
	if argument || name == "input" || name == "size" {
		if len(c.actions) > 0 && !slices.ContainsFunc(c.actions, func(a Action) bool { return a.Arguments }) {
			c.warn(c.token("context", name), fmt.Sprintf("the action %s has no arguments", c.actions[0].Name), "remove context."+plain(name))
		}
		return
	}
	if slices.Contains(c.reader.names.context, name) {
		return
	}
	meant := otherNames[fold(name)]
	if meant == "" {
		meant = near(name, c.reader.names.context)
	}
	remedy := fmt.Sprintf("an argument is context.input.%s", plain(name))
	if meant != "" {
		remedy = fmt.Sprintf("did you mean %s?", meant)
	}
	c.mistake(c.token("context", name), "context has no attribute "+quoted(name), remedy)
}

// ofRecord checks context.record.name.
func (c *check) ofRecord(record, name string) {
	for _, a := range words.Context {
		if a.Name != record {
			continue
		}
		var all []string
		if r := words.Record(a.Type); r != nil {
			all = attributeNames(r.Attributes)
		} else if e := words.Entity(a.Type); e != nil {
			all = append(attributeNames(e.Attributes), c.reader.names.operators...)
		} else {
			return // made of arguments, or no record
		}
		if !slices.Contains(all, name) {
			c.mistake(c.token("context."+record, name), fmt.Sprintf("context.%s has no attribute %s", record, quoted(name)),
				didYouMean(name, all, "it has "+strings.Join(all, ", ")))
		}
	}
}

// ofEntity checks Type::"id".name of one of our own types.
func (c *check) ofEntity(uid types.EntityUID, name string) {
	e := words.Entity(string(uid.Type))
	if e == nil || e.Claims && strings.HasPrefix(name, ClaimPrefix) {
		return
	}
	all := append(attributeNames(e.Attributes), c.reader.names.operators...)
	if !slices.Contains(all, name) {
		c.mistake(c.token(uidText(uid), name), fmt.Sprintf("%s has no attribute %s", article(e.Name), quoted(name)),
			didYouMean(name, all, "entities of policy.entities may have more"))
	}
}

// token is an attribute as the text has it, "" if it has it in no way that we know.
func (c *check) token(base, name string) string {
	for _, token := range []string{base + "." + name, base + " has " + name, base + `["` + name + `"]`, name} {
		if c.find(token) >= 0 {
			return token
		}
	}
	return ""
}
