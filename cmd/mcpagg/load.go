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
	if err != nil {
		return nil, reportMistakes(err, stderr)
	}
	return cfg, usePolicies(cfg)
}

// reportMistakes prints why a configuration could not be read, if that takes more than
// the error that it returns.
func reportMistakes(err error, stderr io.Writer) error {
	var mistakes *config.Mistakes
	if errors.As(err, &mistakes) {
		_ = mistakes.WriteText(stderr) // the exit code tells the same
		return usageError("%s in the configuration", count(mistakes.Len(), "mistake"))
	}
	return &exitError{Code: exitUsage, Err: fmt.Errorf("reading the configuration: %w", err)}
}
