//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"testing"
	"time"
)

// binaryEnv names the mcpagg under test.
const binaryEnv = "MCPAGG_E2E_BINARY"

func TestMain(m *testing.M) {
	if os.Getenv(recordedEnv) != "" {
		os.Exit(exitCode(serveRecorded(os.Getenv(recordedEnv), os.Stdin, os.Stdout)))
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
		return m.Run()
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
	return runInNamespaces()
}

// build builds mcpagg, unless one is given, and returns how to remove it.
func build(ctx context.Context) (remove func(), err error) {
	if os.Getenv(binaryEnv) != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "mcpagg-e2e-")
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "mcpagg")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/mcpagg/mcpagg/cmd/mcpagg")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("building mcpagg: %w", err)
	}
	return func() { os.RemoveAll(dir) }, os.Setenv(binaryEnv, binary)
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}
