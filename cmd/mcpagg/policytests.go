package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/policy/suite"
)

// loadTested reads a configuration that a gateway can serve: required tests pass.
func loadTested(paths []string, stderr io.Writer) (*config.Config, error) {
	cfg, err := loadConfig(paths, stderr)
	if err != nil {
		return nil, err
	}
	return cfg, testPolicies(cfg)
}

// testPolicies runs the tests that the configuration requires, and names those that fail.
func testPolicies(cfg *config.Config) error {
	t := cfg.PolicyTests
	if t == nil {
		return nil
	}
	if t.Err != nil {
		return usageError("policy.require_tests: %w", t.Err)
	}
	tests, err := suite.ParseFiles(t.Files)
	if err != nil {
		return usageError("policy.require_tests: the tests cannot be read:\n%w", err)
	}
	if len(tests.Tests) == 0 {
		return usageError("policy.require_tests: there is no test in %s; to see how one is written: mcpagg policy test", strings.Join(cfg.PolicyPlaces, ", "))
	}
	report, err := tests.Run(suite.Options{
		Policy: *cfg.Policy, Catalog: t.Catalog, Groups: t.Groups,
		CheckArguments: aggregator.ArgumentChecker, ExtraArguments: t.ExtraArguments,
	})
	if err != nil {
		return usageError("policy.require_tests: %w", err)
	}
	failed := report.Failed()
	if len(failed) == 0 {
		return nil
	}
	return usageError("policy.require_tests: %d of %s of the policies fail: %s; to see why: mcpagg policy test",
		len(failed), count(len(tests.Tests), "test"), failedNames(failed))
}

// mostFailed bounds how many names of tests are told.
const mostFailed = 5

// failedNames are the names of some tests, with their places.
func failedNames(failed []suite.Result) string {
	var names []string
	for i, r := range failed {
		if i == mostFailed {
			names = append(names, fmt.Sprintf("and %d more", len(failed)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s (%s:%d)", strconv.Quote(r.Test.Name), r.Test.File(), r.Test.Line()))
	}
	return strings.Join(names, ", ")
}
