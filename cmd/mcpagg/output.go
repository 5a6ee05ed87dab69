package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
)

// What all commands share is in package cli; these are its names here.

const (
	exitRunTime = cli.ExitRunTime
	exitUsage   = cli.ExitUsage
)

type exitError = cli.ExitError

func usageError(format string, args ...any) error { return cli.UsageError(format, args...) }

func addConfigFlag(cmd *cobra.Command, paths *[]string) { cli.AddConfigFlag(cmd, paths) }

func visible(text string) string { return cli.Visible(text) }

func visibleText(text string) string { return cli.VisibleText(text) }

func printJSON(w io.Writer, v any) error { return cli.PrintJSON(w, v) }

func count(n int, what string) string { return cli.Count(n, what) }

func onTerminal(stream any) bool { return cli.OnTerminal(stream) }

func terminalSize(file *os.File) (width, height int, ok bool) { return cli.TerminalSize(file) }
