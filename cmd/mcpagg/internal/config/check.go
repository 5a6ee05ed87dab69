package config

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/zclconf/go-cty/cty"
)

func (b *fileBlock) check(d *decoder) {
	for i := range b.Upstreams {
		b.Upstreams[i].inherit(&b.Defaults.bounds)
	}
	b.checkMemory(d)
	b.checkSecrets(d)
	b.checkAuth(d)
	b.checkPolicy(d)
	if len(b.Upstreams) == 0 && d.mistakes.Len() == 0 {
		d.mistake(nil, "No upstream",
			"The gateway needs at least one MCP server behind it, such as:\n\n"+
				"  upstream \"notes\" {\n    command = [\"mcpagg\", \"dev\", \"upstream\", \"notes\"]\n  }")
	}
}

// inherit takes over the defaults for what the upstream itself does not say.
func (b *bounds) inherit(defaults *bounds) {
	if !b.ConnectTimeout.given {
		b.ConnectTimeout = defaults.ConnectTimeout
	}
	if !b.CallTimeout.given {
		b.CallTimeout = defaults.CallTimeout
	}
	if !b.ToolsGrace.given {
		b.ToolsGrace = defaults.ToolsGrace
	}
	if !b.MaxInstances.given {
		b.MaxInstances = defaults.MaxInstances
	}
	if !b.IdleTimeout.given {
		b.IdleTimeout = defaults.IdleTimeout
	}
	if !b.Trust.given {
		b.Trust = defaults.Trust
	}
	if !b.PolicyMode.given {
		b.PolicyMode = defaults.PolicyMode
	}
	if !b.Drift.given {
		b.Drift = defaults.Drift
	}
	if !b.ExtraArguments.given {
		b.ExtraArguments = defaults.ExtraArguments
	}
}

func (b *serverBlock) check(d *decoder) {
	if b.Admin.value != "" && b.Admin.value == b.Listen.value && !strings.HasSuffix(b.Admin.value, ":0") {
		d.mistake(&b.Admin.at, "Invalid admin", "This is the same address as listen. Give it a port of its own.")
	}
}

func (b *defaultsBlock) check(d *decoder) {
	if b.label != "upstream" {
		d.mistake(&b.at, "Invalid defaults", "There are no defaults for %q.%s", b.label, didYouMean(b.label, []string{"upstream"}))
	}
}

func (b *upstreamBlock) check(d *decoder) {
	checkLabel(d, &b.header)
	if !b.Prefix.given {
		b.Prefix.value = b.label
		b.Prefix.keep(cty.StringVal(b.label))
	}
	boxed := b.Container != nil
	switch {
	case b.URL.given && b.Command.given:
		d.mistake(&b.URL.at, "Both url and command",
			"The upstream %q is either an HTTP server (url) or a program (command).", b.label)
	case boxed && (b.URL.given || b.Command.given):
		d.mistake(&b.Container.at, "Both container and url or command",
			"The upstream %q is either an image (container), an HTTP server (url) or a program (command).", b.label)
	case boxed:
		b.checkBoxed(d)
	case b.URL.given:
		b.refuse(d, "a url", b.Env.setting, b.Dir.setting)
	case b.Command.given:
		b.refuse(d, "a command", b.Headers.setting, b.Token.setting)
		if b.Protocol.value == upstream.SSE {
			d.mistake(&b.Protocol.at, "Invalid protocol", "sse is a protocol over HTTP, and does not go with a command.")
		}
	default:
		d.mistake(&b.at, "Neither url nor command nor container",
			"The upstream %q needs a url, if it is an HTTP server, a command that starts it, or a container.", b.label)
	}
	if _, twice := b.Headers.value["Authorization"]; twice && b.Token.given {
		d.mistake(&b.Token.at, "Invalid token", "The headers hold an Authorization already.")
	}
}

// checkBoxed reports what does not go with a container.
func (b *upstreamBlock) checkBoxed(d *decoder) {
	if b.Env.given {
		d.mistake(&b.Env.at, "Invalid env", "Write env inside the container block.")
	}
	b.refuse(d, "a container", b.Dir.setting)
	if b.Container.Port.given {
		return
	}
	b.refuse(d, "a container without a port", b.Headers.setting, b.Token.setting)
	if b.Protocol.value == upstream.SSE {
		d.mistake(&b.Protocol.at, "Invalid protocol", "sse is a protocol over HTTP, and does not go with a container without a port.")
	}
}

// refuse reports the attributes that do not go with what the upstream is.
func (b *upstreamBlock) refuse(d *decoder, kind string, settings ...setting) {
	for _, s := range settings {
		if s.given {
			d.mistake(&s.at, "Invalid "+s.name, "This does not go with %s.", kind)
		}
	}
}

func checkLabel(d *decoder, h *header) {
	if labelPattern.MatchString(h.label) {
		return
	}
	d.mistake(&h.at, "Invalid label", "%q is not %s.%s", h.label, labelPattern.wanted, labelHint(h.label))
}

// labelHint makes a valid label of one that nearly is.
func labelHint(label string) string {
	near := strings.Trim(notInLabels.ReplaceAllString(strings.ToLower(label), "-"), "-")
	if !labelPattern.MatchString(near) {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", near)
}

var notInLabels = regexp.MustCompile(`[^a-z0-9]+`)

func (b *toolsBlock) check(d *decoder) {
	names := map[string]string{}
	for _, o := range b.Overrides {
		if first, twice := names[o.Name.value]; twice && o.Name.value != "" {
			d.mistake(&o.Name.at, "Invalid name", "The override of %q has the same name.", first)
		}
		names[o.Name.value] = o.label
	}
}

func (b *overrideBlock) check(d *decoder) {
	switch {
	case b.label == "":
		d.mistake(&b.at, "Invalid override", "The name of the tool is empty.")
	case strings.Contains(b.label, "*"):
		d.mistake(&b.at, "Invalid override", "An override is for one tool, and takes no pattern.")
	}
}

func (b *argumentsBlock) check(d *decoder) {
	for _, name := range b.Require.value {
		if _, fixed := b.Set.value[name]; fixed {
			d.mistake(&b.Require.at, "Invalid require", "The argument %q has a fixed value, so clients cannot give it.", name)
		}
	}
}
