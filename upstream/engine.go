package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// engineTimeout bounds what an engine is asked besides running and pulling.
	engineTimeout = 20 * time.Second
	// endTimeout bounds what it is asked about a container that is to end: an
	// engine that hangs must not hold up the gateway's own end for long.
	endTimeout = 5 * time.Second
	// maxEngineOutput bounds what is kept of its answer.
	maxEngineOutput = 1 << 20
)

// An engine is the podman or docker program that runs containers. Each question
// to it is a process of its own.
type engine struct {
	program string // a whole path
	podman  bool
}

func (e *engine) String() string {
	if e.podman {
		return "podman"
	}
	return "docker"
}

var errNoEngine = errors.New("no container engine: neither podman nor docker is on PATH; install one of them, or say where it is with runtime")

// findEngine finds the engine that Container.Runtime names.
func findEngine(ctx context.Context, named string) (*engine, error) {
	names := []string{"podman", "docker"}
	if named != "" {
		names = []string{named}
	}
	for _, name := range names {
		if program, err := exec.LookPath(name); err == nil {
			return recognise(ctx, program)
		}
	}
	if named != "" {
		return nil, fmt.Errorf("no container engine: %s is not a program on PATH; install it, or choose another one with runtime", named)
	}
	return nil, errNoEngine
}

// recognise finds out which engine a program is: docker may be podman in disguise.
func recognise(ctx context.Context, program string) (*engine, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	e := &engine{program: program, podman: strings.Contains(filepath.Base(program), "podman")}
	version, err := e.ask(ctx, "--version")
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", program, err)
	}
	e.podman = strings.Contains(strings.ToLower(version), "podman")
	return e, nil
}

// quirks are the arguments of run that only one of the engines needs or has.
func (e *engine) quirks() []string {
	if !e.podman {
		// Podman's containers have the gateway's own limit, and a flag for one
		// would make it forget the operator's defaults for all others.
		return []string{"--log-driver", "none", "--ulimit", "core=0"}
	}
	driver := "none"
	if e.isLocal() {
		driver = "passthrough" // the pipes themselves, with nothing to copy in between
	}
	// It would hand the gateway's own proxy settings to the container, and make
	// more of the file system writable than /tmp.
	return []string{"--log-driver", driver, "--http-proxy=false", "--read-only-tmpfs=false"}
}

// tmpOptions are those of the file system at /tmp. Docker gives it the mode that
// the image's folder has, whatever is asked for: then only its owner may be able
// to write.
func (e *engine) tmpOptions(user string) string {
	options := "rw,nosuid,nodev,mode=1777,size=" + tmpSize
	id, _, _ := strings.Cut(user, ":")
	if _, err := strconv.ParseUint(id, 10, 32); err == nil && !e.podman {
		options += ",uid=" + id
	}
	return options
}

// isLocal reports whether containers run on this machine, as far as the
// environment tells: docker's service may be elsewhere, and podman asks one
// where CONTAINER_HOST says so. Only on Linux is there no other machine in
// between.
func (e *engine) isLocal() bool {
	variable := "DOCKER_HOST"
	if e.podman {
		variable = "CONTAINER_HOST"
	}
	host := os.Getenv(variable)
	return runtime.GOOS == "linux" && !strings.Contains(filepath.Base(e.program), "remote") &&
		(host == "" || !e.podman && strings.HasPrefix(host, "unix://"))
}

// command prepares a run of the engine that ends with ctx, and all it started.
func (e *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.program, args...)
	cmd.Env = engineEnvironment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipeGrace
	return cmd
}

// ask runs the engine and returns what it prints.
func (e *engine) ask(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, engineTimeout, noAnswer(engineTimeout))
	defer cancel()
	cmd := e.command(ctx, args...)
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it is done, and has left a process behind that keeps its stdout
	}
	if err != nil && ctx.Err() != nil {
		return "", fmt.Errorf("%s %s: %w", e, args[0], context.Cause(ctx))
	}
	if err != nil {
		return stdout.String(), &engineError{e, lastLine(stderr.String()), err}
	}
	return stdout.String(), nil
}

// An engineError is what an engine complains about.
type engineError struct {
	engine *engine
	words  string // its own
	err    error
}

func (e *engineError) Error() string {
	if e.words == "" {
		return fmt.Sprintf("%v: %v", e.engine, e.err)
	}
	return fmt.Sprintf("%v: %s", e.engine, withRemedy(e.words))
}

func (e *engineError) Unwrap() error { return e.err }

// remedies are what to do about the complaints of engines, as they are worded
// by podman 4 and docker 20 to 28.
var remedies = []struct {
	words  *regexp.Regexp
	remedy string
}{
	{
		regexp.MustCompile(`(?i)cannot connect to (the docker daemon|podman)|error during connect|failed to connect to the docker api`),
		"start the engine's service, or say where it is with DOCKER_HOST or CONTAINER_HOST",
	},
	{
		regexp.MustCompile(`(?i)permission denied while trying to connect`),
		"let the gateway's user use the engine's socket",
	},
	{
		regexp.MustCompile(`(?i)no such image|image not known|unable to find image`),
		`pull or build the image, or set pull = "missing"`,
	},
	{
		regexp.MustCompile(`(?i)unauthorized|authentication required|access to the resource is denied|pull access denied`),
		"log in to the registry as the gateway's user, and see that the image's name is right",
	},
	{
		regexp.MustCompile(`(?i)manifest unknown|manifest for .* not found|name unknown|repository .* not found|not found: manifest`),
		"the registry does not have this tag or digest; see that the reference is right",
	},
	{
		regexp.MustCompile(`(?i)short-name .* did not resolve|no unqualified-search registries`),
		"write the whole reference, with the registry, such as docker.io/library/name:tag",
	},
	{
		regexp.MustCompile(`(?i)no such host|connection refused|i/o timeout|network is unreachable|no route to host|tls handshake|server misbehaving|pinging container registry`),
		"see that the registry can be reached from here, or pull the image beforehand",
	},
	{
		regexp.MustCompile(`(?i)network .*not found|unable to find network`),
		"create the network, or see that its name is right",
	},
	{
		regexp.MustCompile(`(?i)bind source path does not exist|statfs .*: no such file`),
		"see that what is mounted is there",
	},
	{
		regexp.MustCompile(`(?i)executable file .*not found|(exec|stat) .*: no such file|exec format error`),
		"see that the image has this program, for this machine",
	},
}

// withRemedy is a complaint, and what to do about it if that is known.
func withRemedy(words string) string {
	for _, r := range remedies {
		if r.words.MatchString(words) {
			return strings.TrimRight(words, ".") + "; " + r.remedy
		}
	}
	return words
}

// helpTrailer is what docker prints below an error.
var helpTrailer = regexp.MustCompile(`^(See|Run) 'docker .*--help'`)

// logLine is what podman prints of a warning.
var logLine = regexp.MustCompile(`^time="[^"]*" level=\w+ msg="(.*)"$`)

// lastLine is the last line of an engine's stderr that says something.
func lastLine(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	for _, line := range slices.Backward(lines) {
		if line = strings.TrimSpace(line); line != "" && !helpTrailer.MatchString(line) {
			if m := logLine.FindStringSubmatch(line); m != nil {
				line = strings.ReplaceAll(m[1], `\"`, `"`)
			}
			return printable(strings.TrimPrefix(strings.TrimPrefix(line, "Error: "), "docker: "), 400)
		}
	}
	return ""
}

// imageFacts are what an engine knows of an image.
type imageFacts struct {
	User            string
	Entrypoint, Cmd []string       // the program that is run, and its arguments if none are given
	Volumes         map[string]any // whose keys are folders that it wants to write to
	Digests         []string       // references by digest, such as docker.io/library/x@sha256:…
}

const imageFormat = `{"User":{{json .Config.User}},"Entrypoint":{{json .Config.Entrypoint}},"Cmd":{{json .Config.Cmd}},"Volumes":{{json .Config.Volumes}},"Digests":{{json .RepoDigests}}}`

// image looks an image up. It fails if the image is not there, or the engine
// cannot be asked.
func (e *engine) image(ctx context.Context, ref string) (imageFacts, error) {
	out, err := e.ask(ctx, "image", "inspect", "--format", imageFormat, ref)
	var facts imageFacts
	if err == nil {
		err = json.Unmarshal([]byte(out), &facts)
	}
	return facts, err
}

// isMissing reports whether an engine does not have an image, or a container.
func isMissing(err error) bool {
	var complaint *engineError
	return errors.As(err, &complaint) && missingPattern.MatchString(complaint.words)
}

// hasDependents reports whether podman has not removed a container because it
// holds the network of another one.
func hasDependents(err error) bool {
	var complaint *engineError
	return errors.As(err, &complaint) && strings.Contains(complaint.words, "dependent containers")
}

var missingPattern = regexp.MustCompile(`(?i)no such (image|object|container)|image not known|no container with`)

// pull pulls an image. progress gets each line that the engine prints.
func (e *engine) pull(ctx context.Context, ref string, progress func(line string)) error {
	cmd := e.command(ctx, "pull", ref)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	var words string
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := newLineReader(r, maxStderrLine)
		for {
			line, _, err := lines.next()
			if err != nil {
				return
			}
			if text := lastLine(string(line)); text != "" {
				words = text
				progress(text)
			}
		}
	}()
	err := cmd.Run()
	_ = w.Close()
	<-read
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &engineError{e, words, err}
}

// A bounded buffer drops what it has no room for. It has no method of a
// bytes.Buffer but these: io.Copy would read with ReadFrom, and without a bound.
type bounded struct{ kept bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxEngineOutput - b.kept.Len(); room > 0 {
		b.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (b *bounded) String() string { return b.kept.String() }

// engineVariable matches the variables of the gateway's environment that an
// engine's program is run with: where its service, its settings and its
// credentials are, and how it gets to registries.
var engineVariable = regexp.MustCompile(`^(PATH|HOME|LANG|USER|LOGNAME|TMPDIR|SSH_AUTH_SOCK|REGISTRY_AUTH_FILE|DBUS_SESSION_BUS_ADDRESS|` +
	`(DOCKER|CONTAINER|CONTAINERS|STORAGE|XDG|SSL_CERT)_.*|(?i:https?|no|all)_(?i:proxy))$`)

func engineEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return !engineVariable.MatchString(name)
	})
}

// steersPrograms matches further variables that change what the engine's
// program does, rather than the server that they are meant for.
var steersPrograms = regexp.MustCompile(`^(LD_|GO|NOTIFY_|LISTEN_|BUILDAH_|_CONTAINERS_|PODMAN_|LC_|TERM$|GLIBC_|MALLOC_)`)

// environmentArgs are the arguments that give a container its variables, none of
// whose values is among them: most are in the engine's own environment, env,
// and those that would steer the engine's program are in a file, which the
// program finds as its descriptor 3; "" for none.
func environmentArgs(vars map[string]string) (args, env []string, file string, err error) {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(vars)) { // the same command line each time
		value := vars[name]
		switch {
		case !engineVariable.MatchString(name) && !steersPrograms.MatchString(name):
			args = append(args, "--env", name)
			env = append(env, name+"="+value)
		case strings.ContainsAny(value, "\r\n"):
			return nil, nil, "", fmt.Errorf("environment variable %s: a value with a line break cannot be given to a container under this name", name)
		default:
			fmt.Fprintf(&lines, "%s=%s\n", name, value)
		}
	}
	if lines.Len() > maxEnvironmentFile {
		return nil, nil, "", fmt.Errorf("the environment variables PATH, HOME and others that the container engine reads itself are larger than %d bytes together", maxEnvironmentFile)
	}
	if lines.Len() > 0 {
		args = append(args, "--env-file", "/dev/fd/3")
	}
	return args, env, lines.String(), nil
}

// maxEnvironmentFile is what a pipe holds before anybody reads it.
const maxEnvironmentFile = 32 << 10
