//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// probeEnv names the program of the image [probeImage].
	probeEnv = "MCPAGG_E2E_PROBE"

	// engineEnv names the folder in which the engines keep everything. It is
	// there even if the tests are killed, so that it is removed by the process
	// that has started them.
	engineEnv = "MCPAGG_E2E_ENGINES"
)

// installEngines installs what runs containers.
func installEngines(ctx context.Context) error {
	if err := debian(ctx, []string{"podman", "runc", "conmon", "/usr/lib/cni/bridge", "iptables"},
		"podman", "runc", "conmon", "containernetworking-plugins", "iptables"); err != nil {
		return err
	}
	return debian(ctx, []string{"dockerd", "docker"}, "docker.io")
}

// An engine is one that runs containers, with storage of its own.
type engine struct {
	name string
	env  []string // where its service and its storage are
	stop func() error
}

// podmanSettings are what podman needs on a host without CAP_SYS_RESOURCE, and
// with cgroups of both versions, with which crun does not work.
const podmanSettings = `
[containers]
default_ulimits = ["nofile=1024:20000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = %[1]q
`

const podmanStorage = `
[storage]
driver = "overlay"
graphroot = %q
runroot = %q
`

// insecureRegistry lets podman speak HTTP to registries on this machine, as
// docker does.
const insecureRegistry = `
[[registry]]
location = "127.0.0.1"
insecure = true
`

// startEngines starts both engines, with the images that the tests run, once.
var startEngines = sync.OnceValues(func() (engines []*engine, err error) {
	dir := os.Getenv(engineEnv)
	starts := []func(string) (*engine, error){setUpPodman, startDocker}
	engines = make([]*engine, len(starts))
	errs := make([]error, len(starts))
	var wg sync.WaitGroup
	for i, start := range starts {
		wg.Go(func() {
			if engines[i], errs[i] = start(dir); errs[i] == nil {
				errs[i] = engines[i].buildImages()
			}
		})
	}
	wg.Wait()
	return engines, errors.Join(errs...)
})

// enginesStarted says whether stopEngines has anything to do.
var enginesStarted bool

// eachEngine runs a test with both engines.
func eachEngine(t *testing.T, test func(*testing.T, *engine)) {
	t.Helper()
	if os.Getenv(engineEnv) == "" {
		t.Fatal("containers are tested in namespaces, for which the tests must run as root")
	}
	enginesStarted = true
	engines, err := startEngines()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

// stopEngines ends what startEngines has started. It fails if tests left
// containers behind.
func stopEngines() error {
	if !enginesStarted {
		return nil
	}
	engines, _ := startEngines()
	var errs []error
	for _, e := range engines {
		if e == nil {
			continue
		}
		left, err := e.containers()
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s still has containers: %v", e.name, left)
			_ = e.remove(left...)
		}
		errs = append(errs, err, e.stop())
	}
	return errors.Join(errs...)
}

func setUpPodman(dir string) (*engine, error) {
	dir = filepath.Join(dir, "podman")
	e := &engine{name: "podman", stop: func() error { return nil }}
	for _, file := range []struct{ variable, name, text string }{
		{"CONTAINERS_CONF", "containers.conf", fmt.Sprintf(podmanSettings, filepath.Join(dir, "tmp"))},
		{"CONTAINERS_STORAGE_CONF", "storage.conf", fmt.Sprintf(podmanStorage, filepath.Join(dir, "root"), filepath.Join(dir, "run"))},
		{"CONTAINERS_REGISTRIES_CONF", "registries.conf", insecureRegistry},
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, file.name)
		if err := os.WriteFile(path, []byte(file.text), 0o644); err != nil {
			return nil, err
		}
		e.env = append(e.env, file.variable+"="+path)
	}
	_, err := e.try("info")
	return e, err
}

// startDocker starts dockerd, whose bridge and rules are the namespace's own.
func startDocker(dir string) (*engine, error) {
	dir = filepath.Join(dir, "docker")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	settings := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(settings, []byte("{}"), 0o644); err != nil { // not this machine's
		return nil, err
	}
	socket := "unix://" + filepath.Join(dir, "docker.sock")
	cmd := exec.Command("dockerd", "--config-file", settings, "--host", socket,
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	e := &engine{name: "docker", env: []string{"DOCKER_HOST=" + socket}}
	e.stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return cmd.Wait()
	}
	for range 100 {
		if _, err = e.try("version"); err == nil {
			return e, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	return e, fmt.Errorf("dockerd does not come up: %w\n%s", err, excerpt(string(text), 30))
}

// command runs the engine's program, in an environment such as the gateway's.
func (e *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.name, args...)
	cmd.Env = append(os.Environ(), e.env...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// try runs the engine's program to its end and returns what it prints.
func (e *engine) try(args ...string) (string, error) { return e.tryWith(nil, args...) }

func (e *engine) tryWith(stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := e.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", e.name, strings.Join(args, " "), err, excerpt(stderr.String(), 10))
	}
	return stdout.String(), nil
}

// run is try for what must succeed.
func (e *engine) run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := e.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// containers are the names of all containers, or those that filters select,
// whether they run or not.
func (e *engine) containers(filters ...string) ([]string, error) {
	args := []string{"ps", "--all", "--format", "{{.Names}}"}
	for _, f := range filters {
		args = append(args, "--filter", f)
	}
	out, err := e.try(args...)
	return strings.Fields(out), err
}

// remove removes containers at once.
func (e *engine) remove(names ...string) error {
	args := []string{"rm", "--force"}
	if e.name == "podman" {
		args = append(args, "--time", "0")
	}
	_, err := e.try(append(args, names...)...)
	return err
}

// The images of the tests, which are in no registry.
const (
	probeImage = "localhost/probe:1" // [probeEnv], as user 65534
	nodeImage  = "localhost/node:1"  // Node.js, and npm servers in /app
)

func (e *engine) buildImages() error {
	err := e.importImage(probeImage, `["/probe"]`, func(w *tar.Writer) error { return addFile(w, os.Getenv(probeEnv), "probe") })
	if err != nil {
		return err
	}
	return e.importImage(nodeImage, `["/usr/bin/node"]`, nodeFiles)
}

// importImage makes an image of files.
func (e *engine) importImage(name, entrypoint string, files func(*tar.Writer) error) error {
	r, w := io.Pipe()
	defer r.Close()
	go func() {
		t := tar.NewWriter(w)
		// A folder that docker would make is writable for root only, and so is
		// then what is mounted there.
		err := t.WriteHeader(&tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir})
		err = errors.Join(err, files(t))
		w.CloseWithError(errors.Join(err, t.Close())) // nil is EOF
	}()
	_, err := e.tryWith(r, "import", "--change", "ENTRYPOINT "+entrypoint, "--change", "USER 65534:65534", "--change", "WORKDIR /tmp", "-", name)
	return err
}

// nodeFiles are Node.js with its libraries, and three servers with all that
// they import.
func nodeFiles(w *tar.Writer) error {
	program := filepath.Join(nodeBin, "node")
	if err := addFile(w, program, "usr/bin/node"); err != nil {
		return err
	}
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", program, err)
	}
	for _, word := range strings.Fields(string(out)) {
		if !strings.HasPrefix(word, "/") {
			continue
		}
		if err := addFile(w, word, strings.TrimPrefix(word, "/")); err != nil {
			return err
		}
	}
	var modules []string
	for _, name := range []string{"server-everything", "server-filesystem", "server-memory"} {
		if modules, err = withImports(modules, filepath.Join(servers.dir(), "node_modules/@modelcontextprotocol", name)); err != nil {
			return err
		}
	}
	for _, module := range modules {
		if err := addTree(w, servers.dir(), module, "app"); err != nil {
			return err
		}
	}
	return nil
}

// withImports adds a module of npm to a list, and those that it imports.
func withImports(modules []string, module string) ([]string, error) {
	if slices.Contains(modules, module) {
		return modules, nil
	}
	modules = append(modules, module)
	dependencies, err := importsOf(module)
	if err != nil {
		return nil, err
	}
	for _, name := range dependencies {
		found, err := findModule(module, name)
		if err != nil {
			return nil, err
		}
		if modules, err = withImports(modules, found); err != nil {
			return nil, err
		}
	}
	return modules, nil
}

// findModule finds what a module imports under a name, as Node.js does.
func findModule(module, name string) (string, error) {
	for dir := module; dir != "/"; dir = filepath.Dir(dir) {
		found := filepath.Join(dir, "node_modules", name)
		if _, err := os.Stat(found); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s imports %s, which is not installed", module, name)
}

// addTree adds a folder without the modules within it, which are listed
// themselves if they are needed.
func addTree(w *tar.Writer, root, dir, under string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "node_modules":
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return addFile(w, path, filepath.Join(under, rel))
	})
}

// addFile adds a file that all may read and run.
func addFile(w *tar.Writer, file, as string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: as, Mode: 0o755, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
