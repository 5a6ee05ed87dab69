// Package cli is what all commands of mcpagg share: how they end, and how they print.
//
// A command returns an error. An [ExitError] says with which code the program ends,
// and [UsageError] makes one for wrong usage or configuration:
//
//	if len(names) == 0 {
//		return cli.UsageError("there is no tool in %s", path)
//	}
//	if asJSON {
//		return cli.PrintJSON(cmd.OutOrStdout(), names)
//	}
package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes. 0 is fine.
const (
	ExitRunTime = 1 // failed at run time
	ExitUsage   = 2 // wrong usage or configuration
	ExitCheck   = 3 // policies have mistakes
	ExitTests   = 4 // tests of policies fail
)

// An ExitError ends the program with a code of its own. A nil Err says that
// everything has been printed already.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// UsageError is one of wrong usage or configuration. The format is that of
// [fmt.Errorf].
func UsageError(format string, args ...any) error {
	return &ExitError{ExitUsage, fmt.Errorf(format, args...)}
}

// AddConfigFlag gives a command the flag that names its configuration.
func AddConfigFlag(cmd *cobra.Command, paths *[]string) {
	cmd.Flags().StringArrayVarP(paths, "config", "c", []string{"gateway.hcl"}, "configuration file or folder (repeatable)")
}
