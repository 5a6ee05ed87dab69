package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

func newFmtCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE…]",
		Short: "Format configuration files",
		Long: `Format configuration files in place, by default all *.hcl files in this folder,
and print the names of those that changed. Comments stay. "-" formats standard
input to standard output.

With --check, nothing is written: the names of the files that are not formatted
are printed, and the exit code is 1 if there are any.`,
		Example: `  mcpagg fmt
  mcpagg fmt --check conf.d/*.hcl
  mcpagg fmt - < gateway.hcl`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := formatter{check: check, in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
			return f.run(args)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "only say which files are not formatted")
	return cmd
}

// A formatter formats files and remembers what is to be said at the end.
type formatter struct {
	check    bool
	in       io.Reader
	out, err io.Writer

	invalid, unformatted int // files
}

func (f *formatter) run(paths []string) error {
	if len(paths) == 0 {
		var err error
		if paths, err = filepath.Glob("*.hcl"); err != nil || len(paths) == 0 {
			return usageError("there is no *.hcl file in this folder; name the files to format")
		}
	}
	for _, path := range paths {
		if err := f.file(path); err != nil {
			return err
		}
	}
	switch {
	case f.invalid > 0:
		return usageError("%s cannot be formatted", count(f.invalid, "file"))
	case f.check && f.unformatted > 0:
		return &exitError{Code: exitRunTime}
	}
	return nil
}

// file formats one file. Mistakes in it do not keep the next from being
// formatted.
func (f *formatter) file(path string) error {
	if strings.HasSuffix(path, ".json") {
		return usageError("%s is JSON; only *.hcl files are formatted", path)
	}
	src, err := f.read(path)
	if err != nil {
		return usageError("%w", err)
	}
	formatted, err := config.Format(path, src)
	var mistakes *config.Mistakes
	if errors.As(err, &mistakes) {
		if f.invalid++; f.invalid > 1 {
			fmt.Fprintln(f.err)
		}
		return mistakes.WriteText(f.err)
	}
	same := bytes.Equal(src, formatted)
	if !same {
		f.unformatted++
	}
	switch {
	case path == "-" && !f.check:
		_, err = f.out.Write(formatted)
		return err
	case same:
		return nil
	case !f.check:
		if err := cli.ReplaceFile(path, formatted); err != nil {
			return &exitError{Code: exitRunTime, Err: fmt.Errorf("writing %s: %w", path, err)}
		}
	}
	_, err = fmt.Fprintln(f.out, path)
	return err
}

func (f *formatter) read(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(f.in)
	}
	return os.ReadFile(path)
}
