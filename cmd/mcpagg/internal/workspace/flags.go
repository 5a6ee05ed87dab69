// Package workspace loads what commands about policies work on: the policies, and the
// tools that they are about.
//
//	var flags workspace.Flags
//	flags.Add(cmd)
//	…
//	w, err := flags.Load(ctx, workspace.Options{Live: live, Stderr: cmd.ErrOrStderr()})
//	for _, o := range w.Objects { … }
//
// Policies are those of a configuration, or stand alone in a folder. Tools are those of
// the upstreams, or were written to a catalog.json before; with that, nothing is
// contacted, and no secret has to be there.
package workspace

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy"
)

// Flags say what to load. The zero value means what is in the working directory.
type Flags struct {
	// Config are configuration files or folders; none means gateway.hcl, if it is there
	// and Policies is not given.
	Config []string
	// Catalog are files that mcpagg catalog pull wrote, or UPSTREAM=FILE with the result
	// of a tools/list. None means the upstreams of the configuration where that is given,
	// and else catalog.json, if it is there.
	Catalog []string
	// Policies is a folder of *.cedar files or one such file, instead of those of the
	// configuration; "" means policies where there is no configuration.
	Policies string
	// Timeout bounds how long connecting may take; 0 means a minute.
	Timeout time.Duration
}

// What is looked for in the working directory.
const (
	defaultConfig   = "gateway.hcl"
	defaultCatalog  = "catalog.json"
	defaultPolicies = "policies"
)

// Help is what the flags mean, for the help of commands.
const Help = `Policies and tools are those of the configuration (-c, or gateway.hcl in this folder).
With --catalog, the tools come from a file that 'mcpagg catalog pull' wrote: nothing is
contacted then, and no secret has to be there. A catalog.json in this folder is used
unless -c is given. Without a configuration, policies are those in the folder policies,
or in --policies.`

// Add gives a command the flags.
func (f *Flags) Add(cmd *cobra.Command) {
	f.AddPolicies(cmd)
	cmd.Flags().StringArrayVar(&f.Catalog, "catalog", nil, "file with tools, of 'mcpagg catalog pull', or UPSTREAM=FILE with a result of tools/list (repeatable)")
	cmd.Flags().DurationVar(&f.Timeout, "timeout", time.Minute, "longest time to connect to upstreams")
}

// AddPolicies gives a command that needs no tools the flags for policies.
func (f *Flags) AddPolicies(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.Config, "config", "c", nil, "configuration file or folder (repeatable); gateway.hcl if it is there")
	cmd.Flags().StringVar(&f.Policies, "policies", "", "folder of *.cedar files, or one of them, instead of those of the configuration")
}

// A Live lists what a configuration's upstreams offer at the moment.
type Live func(ctx context.Context, config []string, stderr io.Writer) (policy.Catalog, error)

// Options say how to load.
type Options struct {
	// Live lists tools where they do not come from a file.
	Live Live
	// Stderr gets what one should know of what was loaded.
	Stderr io.Writer
	// WithoutTools loads policies alone.
	WithoutTools bool
	// WithoutPolicies is fine with there being none.
	WithoutPolicies bool
	// WithMistakes loads policies that have mistakes, too: there is no Engine then.
	WithMistakes bool
}

// Command is how the flags were written, for hints at other commands.
func (f *Flags) Command() string {
	var b strings.Builder
	for _, c := range f.Config {
		b.WriteString(" -c " + Quoted(c))
	}
	for _, c := range f.Catalog {
		b.WriteString(" --catalog " + Quoted(c))
	}
	if f.Policies != "" {
		b.WriteString(" --policies " + Quoted(f.Policies))
	}
	return b.String()
}

// Quoted is an argument as a shell takes it.
func Quoted(s string) string {
	s = cli.Visible(s)
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Reads are the files and folders that Load reads first: others may be named in them.
func (f *Flags) Reads() []string {
	reads := slices.Concat(f.config(), f.catalog(), []string{cmp.Or(f.Policies, defaultPolicies), "."})
	for i, path := range reads {
		if _, file, ok := strings.Cut(path, "="); ok && !exists(path) {
			reads[i] = file
		}
	}
	return reads
}

// config is the configuration to read, nil for none.
func (f *Flags) config() []string {
	if f.Config == nil && f.Policies == "" && exists(defaultConfig) {
		return []string{defaultConfig}
	}
	return f.Config
}

// catalog is the files to read tools from, nil for none.
func (f *Flags) catalog() []string {
	if f.Catalog == nil && f.Config == nil && exists(defaultCatalog) {
		return []string{defaultCatalog}
	}
	return f.Catalog
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readCatalogs reads the files, each of which is a catalog or UPSTREAM=FILE.
func readCatalogs(args []string) (policy.Catalog, error) {
	var all []policy.Catalog
	for _, arg := range args {
		c, err := readCatalog(arg)
		if err != nil {
			return policy.Catalog{}, cli.UsageError("--catalog %s: %w", cli.Visible(arg), err)
		}
		all = append(all, c)
	}
	merged, err := policy.MergeCatalogs(all...)
	if err != nil {
		return merged, cli.UsageError("--catalog: %w", err)
	}
	return merged, nil
}

func readCatalog(arg string) (policy.Catalog, error) {
	upstream, path, ok := strings.Cut(arg, "=")
	if !ok || exists(arg) {
		upstream, path = "", arg
	}
	file, err := os.Open(path)
	if err != nil {
		return policy.Catalog{}, fmt.Errorf("%w; write it with: mcpagg catalog pull", err)
	}
	defer file.Close()
	if upstream != "" {
		return policy.ReadTools(file, upstream)
	}
	return policy.ReadCatalog(file)
}
