package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/importer"
)

// importFlags are the flags of mcpagg import.
type importFlags struct {
	out    string
	envOut string
	force  bool
	json   bool
}

func newImportCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import [FILE…]",
		Short: "Write a configuration with the servers of another program",
		Long: `Write a configuration with the MCP servers that another program has in its own
files. Their kind is seen by their content:

  Claude Code       .mcp.json, ~/.claude.json (also its projects)
  Claude Desktop    claude_desktop_config.json
  VS Code           mcp.json, settings.json
  OpenCode          opencode.json, opencode.jsonc
  others            any JSON with mcpServers
  ToolHive          what thv list --format json prints and thv export writes
  a setup of Caddy, sign-in proxies and ToolHive    its .env file

"-" is standard input. Without FILE, the places are looked at where the clients
keep their servers, and those that were found are named.

Nothing that may be a secret is written: it becomes env("NAME"), and the names
are listed. --env-out writes the values to a file of their own that only you can
read. Commands that run docker, podman or thv become container blocks, and
mcp-remote becomes a url. Whatever cannot be carried over is said, and stands in
the configuration as a comment.`,
		Example: `  mcpagg import                                    # from where clients keep their servers
  mcpagg import .mcp.json --env-out gateway.env    # the secrets, too
  thv list --all --format json | mcpagg import -
  mcpagg import .env -o conf.d/10-servers.hcl
  mcpagg import .vscode/mcp.json -o -              # only print it`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return importFiles(f, args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&f.out, "output", "o", "gateway.hcl", `the configuration to write, "-" for standard output`)
	cmd.Flags().StringVar(&f.envOut, "env-out", "", "also write the values of variables, secrets too, to this file, for yourself only")
	cmd.Flags().BoolVar(&f.force, "force", false, "overwrite the files if they exist")
	cmd.Flags().BoolVar(&f.json, "json", false, "print what was imported as JSON")
	return cmd
}

func importFiles(f importFlags, paths []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := f.check(paths); err != nil {
		return err
	}
	home, _ := os.UserHomeDir() // without one, "~" stays
	sources, err := readSources(paths, home, stdin, stderr)
	if err != nil {
		return err
	}
	result, err := importer.Import(sources, home)
	if err != nil {
		return usageError("%w", err)
	}
	if err := f.write(result, stdout); err != nil {
		return err
	}
	if f.json {
		return printJSON(stdout, importedJSON(f, result))
	}
	printNotes(stderr, result)
	if f.out == "-" {
		stdout = stderr
	}
	return f.print(stdout, result)
}

// check refuses what would overwrite something, before anything is read.
func (f importFlags) check(sources []string) error {
	if f.out != "-" && !strings.HasSuffix(f.out, ".hcl") {
		return usageError("the name of %s does not end in .hcl", f.out)
	}
	if f.out == "-" && f.json {
		return usageError("--json and -o - would both print to standard output")
	}
	if f.envOut != "" && (f.envOut == "-" || filepath.Clean(f.envOut) == filepath.Clean(f.out)) {
		return usageError("--env-out needs a file of its own")
	}
	for _, path := range []string{f.out, f.envOut} {
		info, err := os.Lstat(path)
		if path == "" || path == "-" || err != nil {
			continue
		}
		if !f.force {
			return usageError("%s exists already; --force overwrites it", path)
		}
		for _, source := range sources {
			if other, err := os.Stat(source); err == nil && os.SameFile(info, other) {
				return usageError("%s is what is to be imported", path)
			}
		}
	}
	return nil
}

// readSources reads the files to import. Without any, it looks where they usually
// are, and says what it found.
func readSources(paths []string, home string, stdin io.Reader, stderr io.Writer) ([]importer.Source, error) {
	if len(paths) == 0 {
		return findSources(home, stderr)
	}
	var sources []importer.Source
	for _, path := range paths {
		text, err := readSource(path, stdin)
		if err != nil {
			return nil, usageError("%w", err)
		}
		sources = append(sources, importer.Source{Path: path, Text: text})
	}
	return sources, nil
}

func readSource(path string, stdin io.Reader) ([]byte, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		stdin = file
	}
	return io.ReadAll(io.LimitReader(stdin, importer.MaxBytes+1))
}

func findSources(home string, stderr io.Writer) ([]importer.Source, error) {
	var sources []importer.Source
	for _, path := range importer.Places(".", home) {
		text, err := readSource(path, nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		source := importer.Source{Path: path, Text: text}
		if err == nil {
			err = importer.Check(source)
		}
		if err != nil {
			fmt.Fprintf(stderr, "Found %s, and left it out: %v\n", path, err)
			continue
		}
		fmt.Fprintf(stderr, "Found %s\n", path)
		sources = append(sources, source)
	}
	if len(sources) == 0 {
		return nil, usageError("nothing was found where clients keep their servers; name the file to import")
	}
	return sources, nil
}

// write writes the files.
func (f importFlags) write(result *importer.Result, stdout io.Writer) error {
	if f.envOut != "" {
		if err := writeNew(f.envOut, importer.EnvFile(result.Variables), 0o600, f.force); err != nil {
			return &exitError{Code: exitRunTime, Err: err}
		}
	}
	if f.out == "-" {
		_, err := stdout.Write(result.HCL)
		return err
	}
	if err := writeNew(f.out, result.HCL, 0o644, f.force); err != nil {
		return &exitError{Code: exitRunTime, Err: err}
	}
	return nil
}

// writeNew writes a file that was not there, or takes the place of one.
func writeNew(path string, content []byte, mode fs.FileMode, force bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if force { // what is there may have another mode, or be a link
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

func importedJSON(f importFlags, result *importer.Result) any {
	type variable struct {
		importer.Variable
		Known bool `json:"known"` // the sources have its value
	}
	variables := []variable{}
	for _, v := range result.Variables {
		variables = append(variables, variable{v, v.Value != nil})
	}
	return struct {
		File      string              `json:"file"`
		EnvFile   string              `json:"env_file,omitempty"`
		Upstreams []importer.Upstream `json:"upstreams"`
		Variables []variable          `json:"variables"`
		Notes     []string            `json:"notes"`
	}{f.out, f.envOut, result.Upstreams, variables, result.Notes}
}

func printNotes(w io.Writer, result *importer.Result) {
	for _, note := range result.Notes {
		fmt.Fprintln(w, visible(note))
	}
	for _, u := range result.Upstreams {
		for _, note := range u.Notes {
			fmt.Fprintf(w, "%s: %s\n", u.Label, visible(note))
		}
	}
}

// print says what was written and what is to be done next.
func (f importFlags) print(w io.Writer, result *importer.Result) error {
	on, off := 0, 0
	for _, u := range result.Upstreams {
		if u.Off {
			off++
		} else {
			on++
		}
	}
	var b strings.Builder
	if f.out != "-" {
		fmt.Fprintf(&b, "Wrote %s: %s", f.out, count(on, "upstream"))
		if off > 0 {
			fmt.Fprintf(&b, ", and %d more as comments", off)
		}
		b.WriteString(".\n")
	}
	f.printVariables(&b, result)
	if f.out != "-" {
		fmt.Fprintf(&b, "\n  mcpagg validate -c %[1]s    check it\n  mcpagg serve -c %[1]s       start the gateway\n\n", f.out)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f importFlags) printVariables(b *strings.Builder, result *importer.Result) {
	missing, known := result.Missing(), result.Known()
	if len(known) > 0 && f.envOut != "" {
		fmt.Fprintf(b, "Wrote %s: %s. For the gateway: set -a; . %s; set +a\n", f.envOut, count(len(known), "variable"), sourced(f.envOut))
	} else if len(known) > 0 {
		fmt.Fprintf(b, "Set before it starts, or write with --env-out FILE: %s\n", strings.Join(known, ", "))
	}
	if len(missing) > 0 {
		fmt.Fprintf(b, "Set before it starts: %s\n", strings.Join(missing, ", "))
	}
}

// sourced is a path as the shell's "." takes it, which looks for bare names on
// PATH.
func sourced(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return "./" + filepath.ToSlash(path)
}
