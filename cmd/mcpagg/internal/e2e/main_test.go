//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"testing"
	"time"
)

const (
	// binaryEnv names the mcpagg under test.
	binaryEnv = "MCPAGG_E2E_BINARY"

	// everythingServerEnv names the server that the conformance suites were
	// written with in mind.
	everythingServerEnv = "MCPAGG_E2E_EVERYTHING_SERVER"
)

func TestMain(m *testing.M) {
	if os.Getenv(recordedEnv) != "" {
		os.Exit(exitCode(serveRecorded(os.Getenv(recordedEnv), os.Stdin, os.Stdout)))
	}
	if user := os.Getenv(browserEnv); user != "" {
		os.Exit(exitCode(openInBrowser(user, os.Args[1])))
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	switch os.Getenv(roleEnv) {
	case roleProbe:
		return exitCode(setUpNamespaces())
	case roleTests:
		if err := setUpNamespaces(); err != nil {
			return exitCode(err)
		}
		code := m.Run()
		return max(code, exitCode(stopEngines()))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := install(ctx); err != nil {
		return exitCode(err)
	}
	remove, err := build(ctx)
	if err != nil {
		return exitCode(err)
	}
	defer remove()
	if err := probeNamespaces(); err != nil {
		fmt.Printf("e2e: no namespaces here (%v): clients run with this machine's network\n", err)
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "mcpagg-engines-")
	if err != nil {
		return exitCode(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(engineEnv, dir); err != nil {
		return exitCode(err)
	}
	return runInNamespaces()
}

// build builds mcpagg, the SDK's everything-server and what runs in containers,
// unless they are given, and returns how to remove them.
func build(ctx context.Context) (remove func(), err error) {
	dir, err := os.MkdirTemp("", "mcpagg-e2e-")
	if err != nil {
		return nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for env, program := range map[string]string{
		binaryEnv:           "github.com/mcpagg/mcpagg/cmd/mcpagg",
		everythingServerEnv: "github.com/modelcontextprotocol/go-sdk/conformance/everything-server",
		probeEnv:            "github.com/mcpagg/mcpagg/cmd/mcpagg/internal/e2e/testdata/probe",
	} {
		if os.Getenv(env) != "" {
			continue
		}
		if err := buildProgram(ctx, env, filepath.Join(dir, path.Base(program)), program); err != nil {
			remove()
			return nil, err
		}
	}
	return remove, nil
}

// buildProgram builds one program into a file and names it in the environment.
func buildProgram(ctx context.Context, env, file, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // an image from scratch has no libraries
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w", program, err)
	}
	return os.Setenv(env, file)
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}
