package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
)

// TestWorkflowRunsCommandsThatThereAre parses every command line of mcpagg in the
// workflow for GitHub Actions.
func TestWorkflowRunsCommandsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../../examples/policy-check.yml")
	if err != nil {
		t.Fatal(err)
	}
	workflow, err := yaml.Unmarshal(text, cty.DynamicPseudoType)
	if err != nil {
		t.Fatal(err)
	}
	lines := mcpaggLines(workflow.GetAttr("jobs").GetAttr("policies").GetAttr("steps"))
	if len(lines) != 4 {
		t.Errorf("there are %d command lines, want 4: %q", len(lines), lines)
	}
	for _, line := range lines {
		if err := parses(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if parses("mcpagg policy nothing") == nil || parses("mcpagg policy --nothing") == nil || parses("mcpagg catalog pull x") == nil {
		t.Error("anything parses")
	}
}

// mcpaggLines are those in the steps that run mcpagg.
func mcpaggLines(steps cty.Value) []string {
	var lines []string
	for _, step := range steps.AsValueSlice() {
		if !step.Type().HasAttribute("run") {
			continue
		}
		for line := range strings.Lines(step.GetAttr("run").AsString()) {
			if strings.HasPrefix(line, "mcpagg ") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	return lines
}

// parses reports why the program would not run a command line.
func parses(line string) error {
	line, _, _ = strings.Cut(line, " > ")
	args := strings.Fields(strings.ReplaceAll(line, `"`, ""))[1:]
	root := newRootCommand()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err
	}
	if err := cmd.ValidateFlagGroups(); err != nil {
		return err
	}
	return positional(cmd)
}

func positional(cmd *cobra.Command) error {
	if cmd.Args == nil {
		return nil
	}
	return cmd.Args(cmd, cmd.Flags().Args())
}
