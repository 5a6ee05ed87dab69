package upstream

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/upstream/egress"
)

// A Container is an image that the gateway runs as an MCP server, through the
// command line of podman or docker. What it may do is bounded whatever the
// image says: no capabilities and no new privileges, a root file system that is
// read-only but for /tmp, limits on memory, processes and CPU time, no network
// and no root user unless said otherwise.
//
// The server is spoken to over stdio, as a process is, or over HTTP if there is
// a Port. The environment is [Options.Env].
type Container struct {
	// Runtime is the engine: "podman", "docker", or the path of either; "" is
	// the first of these two on PATH.
	Runtime string
	// Image is a reference such as "ghcr.io/contoso/server@sha256:…".
	Image string
	// Args follow the image; none means what the image has as its command.
	Args   []string
	Mounts []Mount

	// Network is "none", Egress, "bridge", or a network's name; "" means "none".
	Network string
	// Allow is what it may connect to if Network is Egress.
	Allow []egress.Rule
	// Memory bounds what its processes use, in bytes, swap included; 0 means
	// 512 MiB.
	Memory int64
	// Pids bounds the number of processes and threads; 0 means 256.
	Pids int
	// CPUs bounds the CPU time, in seconds a second; 0 means 1.
	CPUs float64
	// User is the user, and group after a colon, to run as; "" means the
	// image's, or 65534:65534 if that is root.
	User string
	// Pull says when the image is pulled; "" means PullMissing.
	Pull Pull

	// Port, if not 0, is where the server listens for HTTP inside the
	// container. It is published on a free port of 127.0.0.1 only.
	Port int
	// Path is that of the MCP endpoint at Port; "" means "/mcp".
	Path string
}

// A Pull says when an image is pulled before it is run.
type Pull string

const (
	PullMissing Pull = "missing" // if it is not there
	PullAlways  Pull = "always"  // each time, so that a tag's newest image is run
	PullNever   Pull = "never"
)

// A Mount shows a file or folder of this machine, or a volume of the engine, in
// a container.
type Mount struct {
	// Source is a whole path, or the name of a volume.
	Source string
	// Target is a whole path in the container.
	Target string
	// Writable lets the container write to it.
	Writable bool
}

const (
	defaultMemory = 512 << 20
	defaultPids   = 256
	defaultCPUs   = 1

	// nobody is the user that runs an image that names none, or root.
	nobody = "65534:65534"
	// tmpSize bounds the files in /tmp, which count as memory.
	tmpSize = "64m"
)

// Labels of every container, for whoever looks at the engine's list, and for
// finding those that a gateway has left behind.
const (
	ownerLabel    = "io.mcpagg.gateway"
	upstreamLabel = "io.mcpagg.upstream"
)

// withDefaults fills in what is not given.
func (c Container) withDefaults() *Container {
	c.Network = cmp.Or(c.Network, "none")
	c.Memory = cmp.Or(c.Memory, defaultMemory)
	c.Pids = cmp.Or(c.Pids, defaultPids)
	c.CPUs = cmp.Or(c.CPUs, defaultCPUs)
	c.Pull = cmp.Or(c.Pull, PullMissing)
	c.Path = cmp.Or(c.Path, "/mcp")
	return &c
}

// runArgs is the command line that runs the container in the foreground, in a
// network. more are further arguments, such as those that give it its environment.
func (c *Container) runArgs(e *engine, name, network string, labels, more []string, user string) []string {
	args := []string{"run", "--name", name, "--pull", "never", "--no-healthcheck"}
	for _, label := range labels {
		args = append(args, "--label", label)
	}
	switch {
	case c.Port == 0:
		args = append(args, "--interactive")
	case c.Network != Egress:
		args = append(args, "--publish", "127.0.0.1::"+strconv.Itoa(c.Port))
	}
	memory := strconv.FormatInt(c.Memory, 10)
	args = append(args,
		"--network", network,
		"--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges",
		"--memory", memory, "--memory-swap", memory, // none beyond it
		"--pids-limit", strconv.Itoa(c.Pids),
		"--cpus", strconv.FormatFloat(c.CPUs, 'f', -1, 64),
	)
	if user != "" {
		args = append(args, "--user", user)
	}
	if user == nobody {
		args = append(args, "--env", "HOME=/tmp") // which it can write to
	}
	if !slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.Target == "/tmp" }) {
		args = append(args, "--tmpfs", "/tmp:"+e.tmpOptions(user))
	}
	for _, m := range c.Mounts {
		args = append(args, "--mount", m.flag())
	}
	args = append(args, e.quirks()...)
	args = append(args, more...)
	args = append(args, c.Image)
	return append(args, c.Args...)
}

// volumeFlags have what the image declares as volumes be like /tmp, unless
// something is mounted there. The engines would make writable folders of the
// machine's disk of them, which nothing bounds.
//
// Like /tmp, they may get the mode of the image's folders. Podman has them belong to
// the user all the same, docker only to one with a number.
func (c *Container) volumeFlags(e *engine, image imageFacts) (flags []string, err error) {
	options := e.tmpOptions(cmp.Or(c.userOf(image), image.User))
	if e.podman {
		options += ",U"
	}
	for _, path := range slices.Sorted(maps.Keys(image.Volumes)) {
		target := filepath.Clean(path)
		if target == "/tmp" || slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.Target == target }) {
			continue
		}
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, ":,") {
			return nil, fmt.Errorf("the image %s declares a volume at %s, which cannot be given to the engine", c.Image, strconv.QuoteToASCII(printable(path, 100)))
		}
		flags = append(flags, "--tmpfs", target+":"+options)
	}
	return flags, nil
}

// flag is the value of --mount. Unlike --volume, it makes no folder on this
// machine if the source is missing.
func (m Mount) flag() string {
	kind := "volume"
	if strings.HasPrefix(m.Source, "/") {
		kind = "bind"
	}
	flag := fmt.Sprintf("type=%s,source=%s,target=%s", kind, m.Source, m.Target)
	if !m.Writable {
		flag += ",readonly"
	}
	return flag
}

// userOf is who runs the container: "" for the image's own user. An image's
// root is not the server's; one by another name is refused by package entry.
func (c *Container) userOf(image imageFacts) string {
	name, _, _ := strings.Cut(image.User, ":")
	id, err := strconv.Atoi(name) // as engines do, for which +0 is root, too
	switch {
	case c.User != "":
		return c.User
	case name == "" || name == "root" || err == nil && id == 0:
		return nobody
	}
	return ""
}
