package importer

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// readWorkloads reads what thv list --format json prints: an array of workloads
// (pkg/core/workload.go of stacklok/toolhive).
func readWorkloads(from string, list []any) (*findings, error) {
	var found findings
	for _, value := range list {
		w, ok := newObject(value)
		if !ok || w.text("name") == "" {
			return nil, errors.New("this is a list, but not one of ToolHive's workloads, which have a name each")
		}
		found.servers = append(found.servers, readWorkload(from, w))
	}
	return &found, nil
}

func readWorkload(from string, w *object) *server {
	s := &server{name: w.text("name"), from: from, env: map[string]string{}, headers: map[string]string{}}
	image, transport := w.text("package"), w.text("transport_type")
	remote, _ := w.flag("remote")
	s.allow = w.words("tools")
	if group := w.text("group"); group != "" && group != "default" {
		s.tags = []string{group}
	}
	if status := w.text("status"); status != "" && status != "running" {
		s.note("It did not run in ToolHive (%s).", shown(status))
	}
	if transport == "stdio" && !remote && config.IsImage(image) {
		s.container = &container{image: image, network: "bridge"}
		s.note("thv list does not tell its variables, secrets, arguments, volumes and permissions. Import what thv export writes to have them, or add them here.")
		s.noteNetwork()
		s.builtByToolHive()
		return s
	}
	s.url = w.text("url")
	s.sse = w.text("proxy_mode") == "sse" || strings.HasSuffix(s.url, "/sse") || strings.Contains(s.url, "/sse#")
	s.url, _, _ = strings.Cut(s.url, "#") // ToolHive puts the name there
	s.note("This is the URL of ToolHive's proxy, which has to run. Import what thv export writes, to do without it.")
	return s
}

// builtByToolHive says that an image is on this machine only.
func (s *server) builtByToolHive() {
	if strings.HasPrefix(s.container.image, "toolhivelocal/") || strings.HasPrefix(s.container.image, "localhost/") {
		s.container.pull = "never"
		s.note("The image was built on this machine, and is in no registry.")
	}
}

// isRunConfig reports whether a file is what thv export writes.
func isRunConfig(file *object) bool {
	_, version := file.first([]string{"schema_version"})
	_, image := file.first([]string{"image", "remote_url"})
	return version != nil && image != nil
}

// readRunConfig reads what thv export writes: one workload with all that it was
// started with (pkg/runner/config.go of stacklok/toolhive).
func readRunConfig(from string, file *object) *server {
	s := &server{name: file.text("name", "base_name", "container_name"), from: from, headers: map[string]string{}}
	s.env = file.texts("env_vars")
	s.allow = file.words("tools_filter")
	if group := file.text("group"); group != "" && group != "default" {
		s.tags = []string{group}
	}
	if s.url = file.text("remote_url"); s.url != "" {
		s.note("ToolHive signed in to it, if it has to be. Give it a token instead.")
		return s
	}
	s.container = &container{image: file.text("image"), args: file.words("cmd_args"), network: "bridge"}
	if transport := file.text("transport"); transport != "stdio" && transport != "" {
		s.container.port, _ = number(file.text("target_port"), 65535)
		if s.container.port == 0 {
			s.container.port = 8080
			s.note("The port that it listens on in the container is not known; this is a guess.")
		}
		s.sse = transport == "sse"
	}
	for _, volume := range file.words("volumes") {
		s.volume(s.container, volume)
	}
	for _, secret := range file.words("secrets") {
		s.toolHiveSecret(secret)
	}
	for name, note := range map[string]string{
		"oidc_config":  "ToolHive checked who calls it (oidc_config), which is the gateway's own now.",
		"authz_config": "ToolHive had a policy for it (authz_config), which was not carried over.",
		"audit_config": "ToolHive kept an audit log of it (audit_config), which was not carried over.",
	} {
		if file.fields[name] != nil {
			s.notes = append(s.notes, note)
		}
	}
	slices.Sort(s.notes)
	s.permissions(file)
	s.noteNetwork()
	s.builtByToolHive()
	return s
}

// permissions gives the container what its permission profile grants, which may be
// less than it had: ToolHive enforces lists of hosts only if told to.
func (s *server) permissions(file *object) {
	name := file.text("permission_profile_name_or_path")
	profile, inline := file.object("permission_profile")
	switch {
	case inline && len(profile.fields) > 0:
		text, _ := json.Marshal(profile.fields) // it came from JSON
		s.grant(text)
	case name != "":
		s.namedProfile(name)
	}
	if isolated, _ := file.flag("isolate_network"); !isolated && s.container.network == "egress" {
		s.note("ToolHive did not enforce the list of hosts in its permission profile; the gateway does.")
	}
}

func (s *server) grant(profile []byte) {
	granted, ok := config.ParseProfile(profile)
	if !ok {
		s.container.network = ""
		s.note("Its permission profile says something that cannot be enforced here: it has no network now.")
		return
	}
	s.container.network, s.container.allow = granted.Network, granted.Allow
	if granted.Network == "none" {
		s.container.network = ""
	}
	for _, m := range granted.Mounts {
		f := strings.SplitN(m, ":", 3)
		s.addMount(s.container, f[0], f[1], len(f) == 3)
	}
}

// namedProfile takes a profile that ToolHive knows, or that is in a file.
func (s *server) namedProfile(name string) {
	switch {
	case name == "none":
		s.container.network = ""
	case name == "network":
		s.container.network = "bridge"
	case strings.Contains(name, "/") || strings.HasSuffix(name, ".json"):
		s.container.network, s.container.profile = "", name
		if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "~/") {
			s.note("The path of its permission profile is seen from the folder of this file.")
		}
	default:
		s.container.network = ""
		s.note("Its permission profile is not known: it has no network now.")
	}
}

// toolHiveSecret takes NAME,target=VARIABLE.
func (s *server) toolHiveSecret(text string) {
	name, target, _ := strings.Cut(text, ",target=")
	if target == "" {
		target = name
	}
	variable := variableOf(target)
	s.env[target] = "${" + variable + "}"
	s.note("%s was a secret of ToolHive's: thv secret get %s prints it.", shown(target), shown(name))
}

var toolHiveSwitches = []string{"-f", "--foreground", "--isolate-network", "--debug", "--enable-audit", "--print-resolved-overlays", "--trust-proxy-headers", "--stateless"}

// runToolHive turns the arguments of thv run into a container.
func (s *server) runToolHive(args []string) {
	given, rest := options(args, toolHiveSwitches)
	s.command = nil
	if len(rest) == 0 || !config.IsImage(rest[0]) {
		s.off = true
		s.note("ToolHive ran something else than an image, which was not carried over.")
		return
	}
	s.container = &container{image: rest[0], args: rest[1:], network: "bridge"}
	if len(s.container.args) > 0 && s.container.args[0] == "--" {
		s.container.args = s.container.args[1:]
	}
	if !strings.ContainsAny(rest[0], "/:") {
		s.note("%s is a name in ToolHive's registry: replace it by the image that thv registry info prints.", shown(rest[0]))
	}
	from := s.env
	s.env = map[string]string{}
	for _, o := range given {
		switch o.name {
		case "-e", "--env":
			s.setVariable(o.value, from)
		case "-v", "--volume":
			s.volume(s.container, o.value)
		case "--secret":
			s.toolHiveSecret(o.value)
		case "--target-port":
			s.container.port, _ = number(o.value, 65535)
		case "--tools":
			s.allow = append(s.allow, strings.Split(o.value, ",")...)
		case "--group":
			s.tags = []string{o.value}
		case "--transport":
			s.sse = o.value == "sse"
		case "--permission-profile":
			s.namedProfile(o.value)
		case "--name", "--proxy-port", "--port", "--host", "--proxy-mode", "-f", "--foreground", "--debug":
		default:
			s.note("The option %s of thv run was not carried over.", shown(o.name))
		}
	}
	s.noteNetwork()
}
