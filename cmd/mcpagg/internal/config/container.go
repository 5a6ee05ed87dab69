package config

import (
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/zclconf/go-cty/cty"
)

// A runtime is a container engine: its name, or the whole path of its program.
type runtime struct {
	setting
	value string
}

var runtimes = []string{"podman", "docker"}

func (v *runtime) kind() kind { return textKind("`\"podman\"`, `\"docker\"` or a path") }

func (v *runtime) take(in input) {
	s, ok := in.text()
	if ok && strings.Contains(s, "/") {
		v.value = within(filepath.Dir(in.at.Filename), s)
		v.keep(cty.StringVal(v.value).WithSameMarks(in.value))
		return
	}
	if ok {
		v.value = in.oneOf(runtimes)
	}
}

// A memorySize is an amount of memory, from 6 MiB, below which engines refuse, to
// 16 TiB.
type memorySize struct {
	setting
	value int64
}

const (
	leastMemory = 6 << 20
	mostMemory  = 16 << 40
)

func (v *memorySize) kind() kind { return textKind("size, such as `\"256MiB\"` or `\"64GiB\"`") }

func (v *memorySize) take(in input) {
	s, ok := in.text()
	if !ok {
		return
	}
	size, ok := parseSize(s)
	switch {
	case !ok:
		in.mistake("%v is not a size such as \"256MiB\" or \"64GiB\".%s", in, in.unless(unitHint(s, "MiB")))
	case size < leastMemory || size > mostMemory:
		in.mistake("%v is not between 6MiB and 16TiB.", in)
	default:
		v.value = size
	}
}

// processors is an amount of CPU time, in seconds a second.
type processors struct {
	setting
	value float64
}

const mostProcessors = 1024

func (v *processors) kind() kind {
	return kind{"number", map[string]any{"type": "number", "exclusiveMinimum": 0, "maximum": mostProcessors}}
}

func (v *processors) take(in input) {
	n, ok := in.as(cty.Number, "a number")
	if !ok {
		return
	}
	v.value, _ = n.AsBigFloat().Float64()
	if n.AsBigFloat().Cmp(big.NewFloat(0.01)) < 0 || v.value > mostProcessors {
		in.mistake("%v is not from 0.01 to %d.", in, mostProcessors)
	}
	v.keep(n.WithSameMarks(in.value))
}

// An image is a reference to one.
type image struct{ text }

var imagePattern = pattern{
	regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,511}$`),
	`a reference to an image, such as "ghcr.io/contoso/server:1.2"`,
}

func (v *image) take(in input) { v.value = in.matching(imagePattern) }

// A network is one that a container is attached to.
type network struct{ text }

var networkPattern = pattern{
	regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`),
	`"none", "egress", "bridge" or the name of a network`,
}

func (v *network) take(in input) {
	if v.value = in.matching(networkPattern); v.value == "host" {
		in.mistake("A container on the host's own network reaches all that listens on this machine. Use \"bridge\", or a network of its own.")
	}
}

// A user is whom a container runs as.
type user struct{ text }

var userPattern = pattern{
	regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?$`),
	`a user such as "1000", "1000:1000" or "node"`,
}

func (v *user) take(in input) { v.value = in.matching(userPattern) }

// A pull says when an image is pulled.
type pull struct {
	setting
	value upstream.Pull
}

var pulls = []string{string(upstream.PullMissing), string(upstream.PullAlways), string(upstream.PullNever)}

func (v *pull) kind() kind    { return kind{codeWords(pulls), map[string]any{"enum": pulls}} }
func (v *pull) take(in input) { v.value = upstream.Pull(in.oneOf(pulls)) }

// A port is one of TCP, 0 if it is not given.
type port struct {
	setting
	value int
}

const mostPorts = 65535

func (v *port) kind() kind {
	return kind{"number", map[string]any{"type": "integer", "minimum": 1, "maximum": mostPorts}}
}

func (v *port) take(in input) {
	v.value = in.between(1, mostPorts)
	v.keep(cty.NumberIntVal(int64(v.value)).WithSameMarks(in.value))
}

// A urlPath is the path of a URL.
type urlPath struct{ text }

var pathPattern = pattern{
	regexp.MustCompile(`^/[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,255}$`),
	`the path of a URL, such as "/mcp"`,
}

func (v *urlPath) take(in input) { v.value = in.matching(pathPattern) }

// arguments is a list of any texts.
type arguments struct {
	setting
	value []string
}

func (v *arguments) kind() kind { return listKind("texts") }

func (v *arguments) take(in input) {
	elements, _ := in.list()
	for _, e := range elements {
		word, ok := e.text()
		if strings.ContainsRune(word, 0) {
			e.mistake("This must not contain a NUL character.")
		}
		if ok {
			v.value = append(v.value, word)
		}
	}
}

// mounts is a list of what a container is shown of this machine.
type mounts struct {
	setting
	value []upstream.Mount
}

func (v *mounts) kind() kind { return listKind("mounts, such as `\"/srv/data:/data\"`") }

func (v *mounts) take(in input) {
	elements, _ := in.list()
	var shown []cty.Value
	targets := map[string]bool{}
	for _, e := range elements {
		m, ok := e.mount()
		if ok && targets[m.Target] {
			e.mistake("%s is mounted twice.", m.Target)
		}
		if ok {
			v.value = append(v.value, m)
			targets[m.Target] = true
		}
		shown = append(shown, cty.StringVal(showMount(m)).WithSameMarks(e.value))
	}
	v.keep(cty.TupleVal(shown))
}

func showMount(m upstream.Mount) string {
	text := m.Source + ":" + m.Target
	if m.Writable {
		text += ":rw"
	}
	return text
}

var volumePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

// mount is the mount that is written as SOURCE:TARGET[:ro|:rw], or false after
// noting a mistake.
func (in input) mount() (m upstream.Mount, ok bool) {
	s, ok := in.text()
	if !ok {
		return m, false
	}
	parts := strings.Split(s, ":")
	if len(parts) == 3 && (parts[2] == "rw" || parts[2] == "ro") {
		m.Writable = parts[2] == "rw"
		parts = parts[:2]
	}
	if len(parts) != 2 || !strings.HasPrefix(parts[1], "/") {
		in.mistake("%v is not a mount such as \"/srv/data:/data\" or \"/srv/data:/data:rw\".", in)
		return m, false
	}
	m.Source, m.Target = parts[0], filepath.Clean(parts[1])
	switch {
	case strings.ContainsAny(s, ",\"\x00\n\r"):
		in.mistake("A mount must not contain a comma, a quotation mark or a line break, which the engines cannot tell from their own.")
	case m.Target == "/":
		in.mistake("Nothing can be mounted over the root of the container.")
	case volumePattern.MatchString(m.Source):
		return m, true
	case !strings.HasPrefix(m.Source, "/") && !strings.HasPrefix(m.Source, "./") && !strings.HasPrefix(m.Source, "../"):
		in.mistake("%v begins with neither a path nor the name of a volume. A relative path begins with ./", in)
	default:
		m.Source = within(filepath.Dir(in.at.Filename), m.Source)
		if _, err := os.Stat(m.Source); err != nil {
			in.mistake("%v: %v.", in.secretOr("The source", m.Source), cause(err))
		}
		return m, true
	}
	return m, false
}

func (b *containerBlock) check(d *decoder) {
	if !b.Image.given {
		d.mistake(&b.at, "No image", "The container needs an image.")
	}
	b.checkNetwork(d)
	if b.Port.given && b.network() == "none" {
		d.mistake(&b.Port.at, "Invalid port", `A container without network cannot be reached at a port. Set network = "egress", with allow = [] if it is to connect to nothing, or leave port out and speak over stdio.`)
	}
	if b.Path.given && !b.Port.given {
		d.mistake(&b.Path.at, "Invalid path", "This is the path at a port, and there is none.")
	}
}

// options is the container, nil for none, which b is then, too.
func (b *containerBlock) options(common *containersBlock) *upstream.Container {
	if b == nil {
		return nil
	}
	runtime := b.Runtime.value
	if runtime == "" {
		runtime = common.Runtime.value
	}
	return &upstream.Container{
		Runtime: runtime,
		Image:   b.Image.value,
		Args:    b.Args.value,
		Mounts:  slices.Concat(b.PermissionProfile.value.mounts, b.Mounts.value),
		Network: b.network(),
		Allow:   b.allow(),
		Memory:  b.Memory.value,
		Pids:    b.Pids.value,
		CPUs:    b.CPUs.value,
		User:    b.User.value,
		Pull:    b.Pull.value,
		Port:    b.Port.value,
		Path:    b.Path.value,
	}
}

// checkMemory reports containers that there can never be room for.
func (f *fileBlock) checkMemory(d *decoder) {
	budget := &f.Containers.Memory
	if budget.value == 0 {
		return
	}
	var sum int64
	for i := range f.Upstreams {
		if c := f.Upstreams[i].Container; c != nil {
			sum += c.Memory.value
		}
	}
	if sum > budget.value {
		d.mistake(&budget.at, "Invalid memory", "The containers of the upstreams may use %d MiB together, one each, and this is less.", sum>>20)
	}
}
