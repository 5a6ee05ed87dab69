package importer

import (
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// switches are the options of docker run and podman run that take no value. Short
// ones can be written together.
var switches = []string{
	"-i", "--interactive", "-t", "--tty", "-d", "--detach", "--rm", "--init", "--privileged", "--read-only",
	"-P", "--publish-all", "--no-healthcheck", "--sig-proxy", "--oom-kill-disable", "-q", "--quiet",
	"--disable-content-trust", "--replace", "--env-host", "--no-hosts", "--no-hostname", "--rmi", "--rootfs", "--http-proxy",
}

// needless are the options whose work the gateway does anyway.
var needless = []string{
	"-i", "--interactive", "-t", "--tty", "-d", "--detach", "--rm", "--init", "--read-only", "--name", "--restart",
	"--no-healthcheck", "--sig-proxy", "-q", "--quiet", "--replace", "--log-driver", "--cap-drop", "--pull-policy",
	"-l", "--label", "-h", "--hostname", "-a", "--attach", "--disable-content-trust", "--stop-timeout", "--memory-swap",
}

// An option is one of a command line.
type option struct {
	name, value string
}

// options takes a command line apart, up to the first argument that is no option.
func options(args, switches []string) (found []option, rest []string) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		for _, o := range apart(arg, switches) {
			takes := !slices.Contains(switches, o.name)
			if takes && o.value == "" && !strings.Contains(arg, "=") && len(args) > 0 {
				o.value, args = args[0], args[1:]
			}
			found = append(found, o)
		}
	}
	return found, args
}

// apart is the options that one argument holds: --name, --name=value, -it, -eA=B.
func apart(arg string, switches []string) []option {
	if strings.HasPrefix(arg, "--") {
		name, value, _ := strings.Cut(arg, "=")
		return []option{{name, value}}
	}
	var list []option
	for i := 1; i < len(arg); i++ {
		name := "-" + arg[i:i+1]
		if !slices.Contains(switches, name) {
			return append(list, option{name, strings.TrimPrefix(arg[i+1:], "=")})
		}
		list = append(list, option{name, ""})
	}
	return list
}

// run turns the arguments of docker run or podman run into a container, or
// reports that it cannot.
func (s *server) run(engine string, args []string) bool {
	given, rest := options(args, switches)
	if len(rest) == 0 || !isImageOrReference(rest[0]) {
		return false
	}
	c := &container{runtime: engine, image: rest[0], args: rest[1:], network: "bridge"}
	s.container, s.command = c, nil
	from := s.env
	s.env = map[string]string{}
	var ports []string
	stdio := false
	for _, o := range given {
		switch o.name {
		case "-i", "--interactive":
			stdio = true
		case "-e", "--env":
			s.setVariable(o.value, from)
		case "--env-file":
			s.note("The variables in its --env-file were not read: list them in env.")
		case "-p", "--publish":
			ports = append(ports, o.value)
		default:
			s.engineOption(c, o)
		}
	}
	s.ports(c, ports, stdio)
	for _, name := range slices.Sorted(maps.Keys(from)) {
		if _, passed := s.env[name]; !passed && !slices.Contains([]string{"PATH", "HOME"}, name) && !strings.HasPrefix(name, "DOCKER_") {
			s.note("%s was set for %s, and not passed on into the container.", shown(name), engine)
		}
	}
	s.noteNetwork()
	return true
}

// noteNetwork says that a container has the network that it had, which is more
// than it needs.
func (s *server) noteNetwork() {
	if s.container.network == "bridge" {
		s.note(`It reaches whatever this machine reaches, as it did. network = "none" takes that away, and network = "egress" all but the hosts that you list.`)
	}
}

func isImageOrReference(text string) bool {
	return config.IsImage(reference.ReplaceAllString(text, "x"))
}

// setVariable takes NAME=VALUE, or NAME alone, whose value is in from or in the
// environment.
func (s *server) setVariable(text string, from map[string]string) {
	name, value, given := strings.Cut(text, "=")
	if !given {
		var ok bool
		if value, ok = from[name]; !ok {
			value = "${" + name + "}"
		}
	} else {
		value = unreferenced(value, from)
	}
	s.env[name] = value
}

// unreferenced is value, or what it stands for if it is nothing but a reference to
// a variable in from.
func unreferenced(value string, from map[string]string) string {
	if p := parts(value); len(p) == 1 && p[0].variable != "" {
		if known, ok := from[p[0].variable]; ok {
			return known
		}
	}
	return value
}

// engineOption takes over one option, or says that it cannot.
func (s *server) engineOption(c *container, o option) {
	ok := true
	switch o.name {
	case "-v", "--volume":
		s.volume(c, o.value)
	case "--mount":
		s.mount(c, o.value)
	case "--network", "--net":
		s.network(c, o.value)
	case "-m", "--memory":
		c.memory, ok = memory(o.value)
	case "--pids-limit":
		c.pids, ok = number(o.value, 1_000_000)
	case "--cpus":
		c.cpus, ok = o.value, isFraction(o.value)
	case "-u", "--user":
		c.user, ok = o.value, config.IsUser(o.value)
		if name, _, _ := strings.Cut(o.value, ":"); name == "root" || name == "0" {
			s.note("It runs as root in its container, as it did.")
		}
	case "--pull":
		c.pull, ok = o.value, slices.Contains([]string{"missing", "always", "never"}, o.value)
	case "--entrypoint":
		s.note("The image's own entrypoint was replaced (--entrypoint), which a container block cannot do: build an image that has it.")
	case "--tmpfs":
		s.note("Containers have a temporary /tmp; another one (--tmpfs) was not carried over.")
	case "--privileged", "--cap-add", "--device", "--gpus", "--security-opt":
		s.note("Containers get no privileges: %s was not carried over.", o.name)
	default:
		if !slices.Contains(needless, o.name) {
			s.note("The option %s was not carried over.", shown(o.name))
		}
	}
	if !ok {
		s.note("The value of %s is not one that a container block takes, and was left out.", o.name)
		c.forget(o.name)
	}
}

// forget drops what an option has set.
func (c *container) forget(option string) {
	switch option {
	case "-m", "--memory":
		c.memory = ""
	case "--pids-limit":
		c.pids = 0
	case "--cpus":
		c.cpus = ""
	case "-u", "--user":
		c.user = ""
	case "--pull":
		c.pull = ""
	}
}

func (s *server) network(c *container, name string) {
	switch {
	case name == "none":
		c.network = ""
	case name == "bridge" || name == "default":
		c.network = "bridge"
	case name == "host":
		c.network = "bridge"
		s.note("It was on the host's own network, which containers cannot have: it has the engine's, and reaches nothing on this machine's loopback addresses.")
	case config.IsNetwork(name) && !looksSecret(name):
		c.network = name
	default:
		c.network = ""
		s.note("Its network (--network) is not one that a container block takes: it has none now.")
	}
}

// volume takes SOURCE:TARGET[:OPTIONS].
func (s *server) volume(c *container, text string) {
	fields := splitOutside(text, ":")
	if len(fields) < 2 || len(fields) > 3 {
		s.note("A volume without a source was not carried over.")
		return
	}
	writable := true
	if len(fields) == 3 {
		writable = !slices.Contains(strings.Split(fields[2], ","), "ro")
	}
	s.addMount(c, fields[0], fields[1], writable)
}

// mount takes what --mount does: type=bind,src=SOURCE,dst=TARGET,readonly.
func (s *server) mount(c *container, text string) {
	fields := map[string]string{}
	for _, field := range splitOutside(text, ",") {
		name, value, _ := strings.Cut(field, "=")
		fields[strings.TrimSpace(name)] = value
	}
	first := func(names ...string) string {
		for _, name := range names {
			if fields[name] != "" {
				return fields[name]
			}
		}
		return ""
	}
	_, readonly := fields["readonly"]
	_, ro := fields["ro"]
	source, target := first("source", "src"), first("target", "destination", "dst")
	if fields["type"] == "tmpfs" || source == "" || target == "" {
		s.note("A mount without a source was not carried over.")
		return
	}
	s.addMount(c, source, target, !(readonly || ro) || fields["readonly"] == "false")
}

// wholeMachine are the folders with which a container has this machine.
var wholeMachine = []string{"/", "/dev", "/etc", "/home", "/proc", "/root", "/run", "/sys", "/var", "/var/lib", "/var/run"}

func (s *server) addMount(c *container, source, target string, writable bool) {
	if strings.ContainsAny(source+target, ",\"\x00\n\r") || !strings.HasPrefix(target, "/") || strings.Trim(target, "/.") == "" || source == "" {
		s.note("A mount that a container block cannot hold was not carried over.")
		return
	}
	if !isMountable(source) {
		s.note("The mount of something that is neither a path nor the name of a volume was not carried over.")
		return
	}
	for _, m := range c.mounts {
		if f := splitOutside(m, ":"); f[1] == target {
			s.note("A second mount at one place was not carried over.")
			return
		}
	}
	switch {
	case strings.HasSuffix(source, ".sock"):
		s.note("A socket of this machine is mounted; if it is the engine's, whoever has it has the machine.")
	case slices.Contains(wholeMachine, path.Clean(source)):
		s.note("%s of this machine is mounted, and with it secrets or the engine's socket: mount only what the server needs.", path.Clean(source))
	}
	if strings.HasPrefix(source, ".") {
		s.note("The mount of a relative path is seen from the folder of this file.")
		source = dotted(source)
	}
	text := source + ":" + target
	if writable {
		text += ":rw"
	}
	c.mounts = append(c.mounts, text)
}

// isMountable reports whether a container block can mount a source. What a
// reference stands for is seen later.
func isMountable(source string) bool {
	return hasAnyPrefix(source, "/", ".", "~/", "${", "{env:") || config.IsVolume(source)
}

// dotted is a relative path that begins with ./ or ../.
func dotted(path string) string {
	switch {
	case path == "." || path == "..":
		return path + "/"
	case strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../"):
		return path
	}
	return "./" + path
}

// ports says what became of published ports. A server that does not speak over
// stdio is reached at one.
func (s *server) ports(c *container, ports []string, stdio bool) {
	switch {
	case len(ports) == 0:
	case stdio || len(ports) > 1:
		s.note("Its published ports were not carried over.")
	default:
		fields := strings.Split(strings.TrimSuffix(ports[0], "/tcp"), ":")
		port, ok := number(fields[len(fields)-1], 65535)
		if !ok {
			s.note("Its published port was not carried over.")
			return
		}
		c.port = port
	}
}

// memory is an amount as docker writes it, with a unit of 1024.
func memory(text string) (string, bool) {
	text = strings.TrimSuffix(strings.ToLower(text), "b")
	units := map[byte]string{'k': "KiB", 'm': "MiB", 'g': "GiB"}
	if text == "" {
		return "", false
	}
	unit, known := units[text[len(text)-1]]
	bytes := int64(1)
	switch {
	case known:
		text = text[:len(text)-1]
		bytes = map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[unit]
	default:
		unit = "B"
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if unit == "B" {
		n, err = strconv.ParseInt(text, 10, 44)
		if n%(1<<20) == 0 {
			return fmt.Sprintf("%dMiB", n>>20), err == nil && n >= 6<<20
		}
	}
	return fmt.Sprintf("%d%s", n, unit), err == nil && n*bytes >= 6<<20 && n*bytes <= 16<<40 && n < 1_000_000_000
}

func number(text string, most int) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= most
}

func isFraction(text string) bool {
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && n >= 0.01 && n <= 1024 && strings.Trim(text, "0123456789.") == "" && text[0] != '.' && text[len(text)-1] != '.'
}
