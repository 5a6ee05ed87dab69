package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/zclconf/go-cty/cty"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/egress"
)

// A permissionProfile is one of ToolHive.
type permissionProfile struct {
	setting
	value permissions
}

// permissions are what a profile lets a container do.
type permissions struct {
	network string // none, egress or bridge
	allow   []egress.Rule
	mounts  []upstream.Mount
}

// builtInProfiles are the profiles that ToolHive knows by name.
var builtInProfiles = []string{"none", "network"}

func (v *permissionProfile) kind() kind { return textKind("`\"none\"`, `\"network\"` or a path") }

func (v *permissionProfile) take(in input) {
	s, ok := in.text()
	switch {
	case !ok:
	case s == "none":
		v.value.network = "none"
	case s == "network":
		v.value.network = "bridge"
	case strings.Contains(s, "/") || strings.HasSuffix(s, ".json"):
		path := within(filepath.Dir(in.at.Filename), s)
		v.keep(cty.StringVal(path).WithSameMarks(in.value))
		v.read(in, path)
	default:
		in.mistake("%v is neither none, network nor the path of a JSON file.%s", in, in.unless(didYouMean(s, builtInProfiles)))
	}
}

func (v *permissionProfile) read(in input, path string) {
	shown := in.secretOr("The profile", path)
	text, err := in.d.inputs.readFile(path, fileLimit)
	if err != nil {
		in.mistake("%s: %v.", shown, err)
		return
	}
	granted, problems := parseProfile([]byte(text))
	for _, m := range granted.mounts {
		if _, err := os.Stat(m.Source); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", m.Source, cause(err)))
		}
	}
	for _, problem := range problems {
		in.mistake("%s: %s.", shown, problem)
	}
	if len(problems) == 0 {
		v.value = granted
	}
}

// A profile is the JSON of a permission profile (ToolHive, "Custom
// permissions"). allow_transport is of older versions.
type profile struct {
	Name       string         `json:"name"`
	Read       []string       `json:"read"`
	Write      []string       `json:"write"`
	Network    profileNetwork `json:"network"`
	Privileged bool           `json:"privileged"`
}

type profileNetwork struct {
	Mode     string `json:"mode"`
	Outbound struct {
		InsecureAllowAll bool     `json:"insecure_allow_all"`
		AllowHost        []string `json:"allow_host"`
		AllowPort        []int    `json:"allow_port"`
		AllowTransport   []string `json:"allow_transport"`
	} `json:"outbound"`
	Inbound struct {
		AllowHost []string `json:"allow_host"`
	} `json:"inbound"`
}

// parseProfile reads a permission profile. It grants what the profile does, or
// says what in it cannot be enforced here; it never grants more.
func parseProfile(text []byte) (granted permissions, problems []string) {
	var p profile
	if err := json.Unmarshal(text, &p, json.RejectUnknownMembers(true)); err != nil {
		return permissions{}, []string{profileError(err)}
	}
	if p.Privileged {
		problems = append(problems, "privileged is not supported: the container would have the whole machine")
	}
	granted, more := p.Network.permissions()
	problems = append(problems, more...)
	targets := map[string]bool{}
	for i, declaration := range slices.Concat(p.Read, p.Write) {
		m, problem := profileMount(declaration, i >= len(p.Read))
		if problem == "" && targets[m.Target] {
			problem = fmt.Sprintf("%s is mounted twice", m.Target)
		}
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		targets[m.Target] = true
		granted.mounts = append(granted.mounts, m)
	}
	if len(problems) > 0 {
		return permissions{}, problems
	}
	return granted, nil
}

// profileError says what is wrong with the JSON of a profile. The library's own
// words differ from run to run.
func profileError(err error) string {
	var wrong *json.SemanticError
	var broken *jsontext.SyntacticError
	switch {
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &wrong):
		return fmt.Sprintf("%s is not known", shortened(string(wrong.JSONPointer)))
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s is not of the type that it has in a permission profile", shortened(cmp.Or(string(wrong.JSONPointer), "/")))
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &broken):
		return fmt.Sprintf("%s is there twice", shortened(string(broken.JSONPointer)))
	case errors.As(err, &broken):
		return fmt.Sprintf("it is not JSON, at byte %d", broken.ByteOffset)
	}
	return "it is not JSON"
}

// permissions are those of the network part of a profile. Without any, there is
// no network.
func (n *profileNetwork) permissions() (granted permissions, problems []string) {
	out := &n.Outbound
	listed := len(out.AllowHost) > 0 || len(out.AllowPort) > 0
	switch n.Mode {
	case "":
	case "none":
		if listed || out.InsecureAllowAll {
			problems = append(problems, `network.mode is "none", and network.outbound allows something nevertheless`)
		}
	case "bridge", "default":
		if !out.InsecureAllowAll {
			problems = append(problems, fmt.Sprintf("network.mode %q goes with insecure_allow_all only", n.Mode))
		}
	default:
		problems = append(problems, fmt.Sprintf("network.mode %q is not supported", shortened(n.Mode)))
	}
	for _, transport := range out.AllowTransport {
		if transport != "tcp" {
			problems = append(problems, fmt.Sprintf("network.outbound.allow_transport: %q is not supported, only tcp", shortened(transport)))
		}
	}
	for _, host := range n.Inbound.AllowHost {
		if host != "localhost" && host != "127.0.0.1" {
			problems = append(problems, fmt.Sprintf("network.inbound.allow_host: %q cannot be let in, since only the gateway ever reaches the container", shortened(host)))
		}
	}
	switch {
	case out.InsecureAllowAll && listed:
		return granted, append(problems, "network.outbound has insecure_allow_all, and lists hosts or ports nevertheless")
	case out.InsecureAllowAll:
		granted.network = "bridge"
		return granted, problems
	case !listed:
		granted.network = "none"
		return granted, problems
	}
	granted.network = upstream.Egress
	var more []string
	granted.allow, more = profileRules(out.AllowHost, out.AllowPort)
	return granted, append(problems, more...)
}

// mostProfileRules bounds how many hosts with how many ports there are.
const mostProfileRules = 1000

// profileRules are each host with each port. A host that begins with a dot
// stands for itself and all below it.
func profileRules(hosts []string, ports []int) (rules []egress.Rule, problems []string) {
	switch {
	case len(ports) == 0:
		return nil, []string{"network.outbound.allow_host without allow_port would allow every port; list the ports, such as 443"}
	case len(hosts) == 0:
		return nil, []string{"network.outbound.allow_port without allow_host would allow every host; list the hosts"}
	case len(hosts)*len(ports) > mostProfileRules:
		return nil, []string{fmt.Sprintf("network.outbound has more than %d combinations of hosts and ports", mostProfileRules)}
	}
	for _, host := range hosts {
		names := []string{host}
		if domain, ok := strings.CutPrefix(host, "."); ok {
			names = []string{domain, "*." + domain}
		} else if strings.ContainsAny(host, "*/") {
			problems = append(problems, fmt.Sprintf("network.outbound.allow_host: %q has a pattern that ToolHive does not have; \".example.com\" is example.com with all hosts below it", shortened(host)))
			continue
		}
		if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && (addr.IsLoopback() || addr.IsUnspecified()) {
			problems = append(problems, fmt.Sprintf("network.outbound.allow_host: %q is the proxy's own container in ToolHive, and would be this machine here", shortened(host)))
			continue
		}
		for _, name := range names {
			for _, port := range ports {
				rule, err := egress.ParseRule(name + ":" + strconv.Itoa(port))
				if err != nil {
					problems = append(problems, fmt.Sprintf("network.outbound: %q with port %d %v", shortened(host), port, err))
					continue
				}
				rules = append(rules, rule)
			}
		}
	}
	return rules, problems
}

// profileMount is what a declaration of read or write mounts: PATH, or
// SOURCE:TARGET.
func profileMount(declaration string, writable bool) (m upstream.Mount, problem string) {
	source, target, both := strings.Cut(declaration, ":")
	if !both {
		target = source
	}
	m = upstream.Mount{Source: filepath.Clean(source), Target: filepath.Clean(target), Writable: writable}
	shown := shortened(declaration)
	switch {
	case strings.Contains(declaration, "://"):
		return m, fmt.Sprintf("%q is a resource, which is not supported; mount a path", shown)
	case !strings.HasPrefix(source, "/") || !strings.HasPrefix(target, "/") || strings.Contains(target, ":"):
		return m, fmt.Sprintf(`%q is not a mount such as "/srv/data" or "/srv/data:/data"`, shown)
	case strings.ContainsAny(declaration, ",\"\x00\n\r"):
		return m, fmt.Sprintf("%q has a comma, a quotation mark or a line break, which the engines cannot tell from their own", shown)
	case m.Target == "/":
		return m, fmt.Sprintf("%q mounts something over the root of the container", shown)
	}
	return m, ""
}
