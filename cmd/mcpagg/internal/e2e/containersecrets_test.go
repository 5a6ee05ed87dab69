//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestContainerSecrets looks for the values of secrets wherever somebody might
// see them, or keep them. They must be in the containers and nowhere else.
func TestContainerSecrets(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		value := "a secret " + rand.Text()
		const secrets = `env = { API_TOKEN = env("E2E_SECRET"), DOCKER_CONFIG = env("E2E_SECRET"), http_proxy = env("E2E_SECRET") }`
		up, tells, lost := e.probe("up", "stdio", secrets), e.probe("tells", "tell API_TOKEN", secrets), e.probe("lost", "stdio", secrets, `network = "nosuch"`)
		process := growing(t, "process")
		write := func(s sandbox, more string) {
			text := configuration([]upstream{up, tells, lost, process})
			s.write(t, "gateway.hcl", append(text, more...))
		}
		g := startContainerGatewayWith(t, func(s sandbox) { write(s, "") }, "E2E_SECRET="+value)
		g.awaitTools(t, "up", "process")
		c := modern(t, g.url)
		for _, name := range []string{"API_TOKEN", "DOCKER_CONFIG", "http_proxy"} {
			if got, want := text(t, c, "up_variable", object{"name": name}), fmt.Sprintf("%q true", value); got != want {
				t.Errorf("%s in the container is %s, want %s", name, got, want)
			}
		}
		g.await(t, `stderr upstream=tells line="probe: API_TOKEN is `)
		for label, want := range map[string]string{"tells": "the container exited with status 1: probe: API_TOKEN is ", "lost": "could not start the container"} {
			eventually(t, func() string {
				if got := g.status(t, label).LastError; !strings.Contains(got, want) {
					return fmt.Sprintf("the error of %s is %q", label, got)
				}
				return ""
			})
		}

		seen := map[string]string{}
		env := []string{"E2E_SECRET=" + value}
		for _, args := range [][]string{{"config", "show"}, {"config", "show", "--json"}, {"status", "--json"}, {"status"}, {"validate"}} {
			stdout, stderr, code := g.try(t, env, append([]string{os.Getenv(binaryEnv)}, args...)...)
			if code != 0 {
				t.Errorf("mcpagg %v exits with %d: %s", args, code, stderr)
			}
			seen[fmt.Sprintf("mcpagg %v", args)] = stdout + stderr
		}
		write(g.sandbox, "nonsense = env(\"E2E_SECRET\")\n")
		_, stderr, _ := g.try(t, env, os.Getenv(binaryEnv), "validate")
		seen["mcpagg validate of a bad file"] = stderr
		for _, p := range processes() {
			seen["the command line of "+fmt.Sprint(p.pid)] = strings.Join(p.args, " ")
		}
		stays := ""
		for _, name := range e.containersOf(t, g) {
			said, err := e.try("inspect", name)
			switch {
			case strings.HasPrefix(name, "mcpagg-up-") && err != nil:
				t.Error(err)
			case strings.HasPrefix(name, "mcpagg-up-"):
				stays = name
			}
			seen["inspect "+name] = said // nothing of one that has ended meanwhile, as "tells" does all the time
		}
		if stays == "" {
			t.Error("the container of up is not there")
		}
		_ = g.signal(t, syscall.SIGQUIT) // it ends with an error, after printing its goroutines
		seen["the gateway's log, and its last words"] = g.stderr.String()
		if !strings.Contains(seen["the gateway's log, and its last words"], "goroutine ") {
			t.Error("the gateway printed no goroutines")
		}
		e.clear(t, g)
		for _, dir := range []string{g.home, filepath.Join(os.Getenv(engineEnv), e.name)} {
			filesWith(t, dir, value, func(path string) { seen[path] = value })
		}
		for where, text := range seen {
			if strings.Contains(text, value) {
				t.Errorf("the secret stands in %s", where)
			}
		}
	})
}

// TestContainerRotation changes a secret of a running container, which is started
// anew within two minutes, while calls go on without a failure.
func TestContainerRotation(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, e *engine) {
		t.Parallel()
		up := e.probe("up", "stdio", `env = { API_TOKEN = "Bearer ${secret("files", "token")}" }`)
		g := startContainerGatewayWith(t, func(s sandbox) {
			s.write(t, "token", []byte("first-token-0123456789\n"))
			s.write(t, "gateway.hcl", append(configuration([]upstream{up}), "secrets \"file\" \"files\" {\n  dir = \".\"\n  ttl = \"1s\"\n}\n"...))
		})
		g.awaitTools(t, "up")
		c := modern(t, g.url)
		token := func() string { return text(t, c, "up_variable", object{"name": "API_TOKEN"}) }
		if got := token(); got != `"Bearer first-token-0123456789" true` {
			t.Errorf("the container was started with %s", got)
		}
		g.write(t, "token", []byte("second-token-0123456789\n"))
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
			got := token() // which fails the test if the call does
			if got == `"Bearer second-token-0123456789" true` {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the container still has %s", got)
			}
		}
		g.await(t, "a secret has changed")
		for _, value := range []string{"first-token", "second-token"} {
			if strings.Contains(g.stderr.String(), value) {
				t.Errorf("%s is in the log", value)
			}
		}
		if names := e.containersOf(t, g); len(names) != 1 {
			t.Errorf("the containers are %q, want one", names)
		}
	})
}

// filesWith finds the files in a folder that hold a text, but for those of
// images, and for networks, which look like files and cannot be read.
func filesWith(t *testing.T, dir, text string, found func(path string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err):
			return nil // other tests have removed it
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "overlay" || entry.Name() == "overlay2" || entry.Name() == "netns"):
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if bytes.Contains(data, []byte(text)) {
			found(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
