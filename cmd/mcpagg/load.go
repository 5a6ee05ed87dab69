package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// loadConfig reads the configuration, or prints all that is wrong with it.
func loadConfig(paths []string, stderr io.Writer) (*config.Config, error) {
	cfg, err := config.Load(paths, os.LookupEnv)
	var mistakes *config.Mistakes
	if errors.As(err, &mistakes) {
		_ = mistakes.WriteText(stderr) // the exit code tells the same
		return nil, usageError("%s in the configuration", count(mistakes.Len(), "mistake"))
	}
	if err != nil {
		return nil, &exitError{Code: exitUsage, Err: fmt.Errorf("reading the configuration: %w", err)}
	}
	return cfg, usePolicies(cfg)
}
