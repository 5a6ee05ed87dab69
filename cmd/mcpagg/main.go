// Command mcpagg is one MCP server that stands for many. See mcpagg --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(root.ExecuteContext(ctx), stderr)
}

// report prints err and returns the exit code. An error that says nothing of
// its code is one of usage: cobra found it, before any command ran.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		fmt.Fprintf(stderr, "mcpagg: %v\n", err)
		return exitUsage
	}
	if exit.Err != nil {
		printError(stderr, exit.Err)
	}
	return exit.Code
}

// printError prints an error, whose text may be partly an upstream's.
func printError(stderr io.Writer, err error) {
	prefix := "mcpagg: "
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "%s%s\n", prefix, visible(strings.TrimRight(line, "\n")))
		prefix = ""
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "mcpagg",
		Short: "One MCP server that stands for many",
		Long: `mcpagg connects to every MCP server in its configuration file, merges their
tools, prompts and resources under unique names, and serves them to any MCP
client at one URL.`,
		Example: `  mcpagg init                     # write a first gateway.hcl
  mcpagg serve -c gateway.hcl     # start the gateway and print what to paste into a client
  mcpagg catalog -c gateway.hcl   # the tools it publishes
  mcpagg status -c gateway.hcl    # how a running gateway and its upstreams do`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w\nSee '%s --help'.", err, cmd.CommandPath())
	})
	root.AddCommand(
		newServeCommand(), newValidateCommand(), newFmtCommand(), newInitCommand(), newImportCommand(), newConfigCommand(),
		newCatalogCommand(), newPolicyCommand(), newLockCommand(), newCallCommand(), newImageCommand(), newStatusCommand(), newReloadCommand(),
		newSessionsCommand(), newKeysCommand(), newBlockCommand(), newUnblockCommand(), newDoctorCommand(),
		newDevCommand(), newRelayCommand(), newEnterCommand(), newVersionCommand(),
	)
	for _, cmd := range root.Commands() {
		setExitCodes(cmd)
	}
	return root
}

// onlyFlags refuses positional arguments of a command with a configuration,
// which people name without -c.
func onlyFlags(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected %q; a configuration is named with -c", args[0])
}

// setExitCodes gives the errors of a command and those below it their codes:
// wrong positional arguments are an error of usage, with a hint, and what goes
// wrong in the command itself is one of run time unless it says otherwise.
func setExitCodes(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError("%w\nSee '%s --help'.", err, cmd.CommandPath())
			}
			return nil
		}
	}
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := work(cmd, args)
			var exit *exitError
			if err == nil || errors.As(err, &exit) {
				return err
			}
			return &exitError{Code: exitRunTime, Err: err}
		}
	}
	for _, sub := range cmd.Commands() {
		setExitCodes(sub)
	}
}
