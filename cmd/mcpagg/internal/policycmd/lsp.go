package policycmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/lsp"
	"github.com/mcpagg/mcpagg/policy/source"
)

func newLSPCommand(live workspace.Live) *cobra.Command {
	l := &languageServer{live: live}
	cmd := &cobra.Command{
		Use:   "lsp",
		Short: "Serve editors: what is wrong with policies while they are written",
		Long: `Serve an editor with the Language Server Protocol, on standard input and output: it
shows what 'mcpagg policy check' finds while policies are written, completes the names of
tools, arguments, groups and annotations, shows the schemas of tools, finds the blocks of
groups and apps, and lays policies out as 'mcpagg policy fmt' does. Editors start it themselves, in the folder that they have
opened; docs/editors.md has the lines for VS Code, Neovim and Helix.

The configuration and the catalog are read again when they change.

` + workspace.Help,
		Example: `  mcpagg policy lsp
  mcpagg policy lsp -c gateway.hcl --catalog catalog.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := lsp.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), lsp.Options{
				Load: l.load, Stamp: l.stamp, Resolve: resolved, Version: cmd.Root().Version,
			})
			if err != nil && cmd.Context().Err() == nil {
				return err
			}
			return nil
		},
	}
	l.flags.Add(cmd)
	cmd.Flags().Bool("stdio", true, "serve on standard input and output; there is no other way, and some editors ask for it")
	return cmd
}

// A languageServer loads projects for editors.
type languageServer struct {
	flags workspace.Flags
	live  workspace.Live

	mu    sync.Mutex
	reads []string // files and folders that the project was loaded from; guarded by mu
}

// load loads the project in the folder that an editor has opened. Without tools, policies
// are checked even so.
func (l *languageServer) load(ctx context.Context, folder string) (*lsp.Project, error) {
	if info, err := os.Stat(folder); err == nil && info.IsDir() {
		if err := os.Chdir(folder); err != nil { // what the flags name is seen from there
			return nil, err
		}
	}
	var said bytes.Buffer
	options := workspace.Options{Live: l.live, Stderr: &said, WithMistakes: true, WithoutPolicies: true}
	w, err := l.flags.Load(ctx, options)
	problem := ""
	if err != nil {
		problem = err.Error()
		options.WithoutTools = true
		if w, err = l.flags.Load(ctx, options); err != nil {
			l.read(nil)
			return nil, inFull(err, said.String())
		}
	}
	l.read(w)
	return project(w, problem), nil
}

// inFull is an error with what was printed of it.
func inFull(err error, said string) error {
	if said = strings.TrimSpace(said); said == "" {
		return err
	}
	return errors.New(err.Error() + ":\n" + cli.Visible(said[:min(len(said), 2000)]))
}

// project is what there is to check against.
func project(w *workspace.Workspace, problem string) *lsp.Project {
	p := &lsp.Project{
		Input: checkInput(w, nil), Paths: map[string]string{}, Problem: problem,
		Schemas: map[string]json.RawMessage{}, Definitions: map[string]lsp.Definition{},
	}
	for _, o := range w.Objects {
		if t := w.Tool(o); t != nil {
			p.Schemas[o.String()] = t.InputSchema
		}
	}
	for alias, at := range w.Set.Aliases {
		p.Definitions[alias] = lsp.Definition{Path: resolved(at.Path), Line: at.Line}
	}
	for _, files := range [][]source.File{w.Set.Files, w.Set.Candidate} {
		if len(files) > 0 {
			p.Sets = append(p.Sets, files)
		}
		for _, f := range files {
			if path := w.Path(f.Name); exists(path) {
				p.Paths[f.Name] = resolved(path)
			}
		}
	}
	return p
}

// resolved is a path by which a file is known, however it is written.
func resolved(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// read keeps what a project was loaded from.
func (l *languageServer) read(w *workspace.Workspace) {
	reads := l.flags.Reads()
	if w != nil {
		for _, files := range [][]source.File{w.Set.Files, w.Set.Candidate} {
			for _, f := range files {
				reads = append(reads, filepath.Dir(w.Path(f.Name)))
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = reads
}

// stamp is the sizes and times of the files that the project was loaded from, and of what
// is beside them.
func (l *languageServer) stamp() string {
	l.mu.Lock()
	reads := append(l.flags.Reads(), l.reads...)
	l.mu.Unlock()
	var b strings.Builder
	seen := map[string]bool{}
	for _, path := range reads {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			path = filepath.Dir(path)
		}
		if !seen[path] {
			seen[path] = true
			stampFolder(&b, path)
		}
	}
	return b.String()
}

// maxStamped bounds how many files of a folder are looked at.
const maxStamped = 10_000

// stamped are the files that matter: not those of logs beside them, which change often.
func stamped(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains([]string{".cedar", ".hcl", ".json", ".yaml", ".yml"}, filepath.Ext(name))
}

func stampFolder(b *strings.Builder, path string) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, e := range entries[:min(len(entries), maxStamped)] {
		if info, err := e.Info(); err == nil && stamped(e.Name()) {
			fmt.Fprintln(b, path, e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
}
