package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Workspace is what commands about policies work on. It must not be changed.
type Workspace struct {
	// Set says what the policies are, and what they can name. Without a configuration,
	// that is what the tools tell.
	Set *config.PolicySet
	// Policy are Set.Options with the policies. There are none where there are Mistakes.
	Policy policy.Options
	// Mistakes and Warnings are about the policies, in the order of the files.
	Mistakes source.Mistakes
	Warnings []source.Mistake
	// Engine decides by the policies; nil where there are mistakes.
	Engine *policy.Engine
	// Catalog is what policies are about, and Objects what is made of it: tools, prompts,
	// resources and templates, each sorted as the catalog is.
	Catalog policy.Catalog
	Objects []*policy.Object
	// ConfigPaths are what the configuration was read from, nil for none.
	ConfigPaths []string

	byName map[string][]int           // places in Objects by what people call them
	listed map[*policy.Object]listing // what the catalog says of objects
}

// Path is where a file of policies is, as seen from the working directory.
func (w *Workspace) Path(name string) string {
	if path, ok := w.Set.Paths[name]; ok {
		return path
	}
	return name
}

// Load loads what the flags say. Mistakes in policies are an error with the code for a
// failed check, unless they are asked for.
func (f *Flags) Load(ctx context.Context, o Options) (*Workspace, error) {
	w := &Workspace{ConfigPaths: f.config()}
	if err := w.loadSet(f, o); err != nil {
		return nil, err
	}
	if !o.WithoutTools {
		if err := w.loadCatalog(ctx, f, o); err != nil {
			return nil, err
		}
	}
	if err := w.parse(); err != nil {
		return nil, err
	}
	if len(w.Mistakes) > 0 && !o.WithMistakes {
		return nil, &cli.ExitError{Code: cli.ExitCheck, Err: fmt.Errorf("%s in the policies; to see them: mcpagg policy check%s",
			cli.Count(len(w.Mistakes), "mistake"), f.Command())}
	}
	return w, nil
}

// loadSet reads the policies, and what they can name.
func (w *Workspace) loadSet(f *Flags, o Options) error {
	var err error
	if w.ConfigPaths != nil {
		if w.Set, err = readConfig(w.ConfigPaths, o.Stderr); err != nil {
			return err
		}
	}
	path := f.Policies
	switch {
	case path != "":
	case w.Set != nil && (len(w.Set.Files) > 0 || o.WithoutPolicies):
		return nil
	case w.Set != nil && !w.Set.Absent:
		return cli.UsageError("there is no *.cedar file in %s; write a first policy with: mcpagg policy new%s", strings.Join(w.Set.Places, ", "), f.Command())
	case w.Set != nil:
		return cli.UsageError("there is no policy block in %s; name policies with --policies, or write the block: policy { dir = \"policies\" }",
			strings.Join(w.ConfigPaths, ", "))
	case exists(defaultPolicies):
		path = defaultPolicies
	case o.WithoutPolicies:
		w.Set = &config.PolicySet{}
		return nil
	default:
		return cli.UsageError("there is neither %s nor a folder %s here; name a configuration with -c, or policies with --policies", defaultConfig, defaultPolicies)
	}
	return w.replace(path, o)
}

// replace takes the policies at the path instead of those of the configuration.
func (w *Workspace) replace(path string, o Options) error {
	files, err := source.Read(path)
	switch {
	case err != nil:
		return cli.UsageError("%w", err)
	case len(files) == 0 && !o.WithoutPolicies:
		return cli.UsageError("there is no *.cedar file in %s", cli.Visible(path))
	}
	if w.Set == nil {
		w.Set = &config.PolicySet{}
	}
	w.Set.Files, w.Set.Candidate, w.Set.Paths, w.Set.Places = files, nil, nil, []string{path}
	w.Set.Options.Digest, w.Set.Options.CandidateDigest = source.Digest(files), ""
	return nil
}

// readConfig reads what a configuration says of policies, or prints what is wrong with
// it.
func readConfig(paths []string, stderr io.Writer) (*config.PolicySet, error) {
	set, err := config.LoadPolicies(paths, os.LookupEnv)
	var mistakes *config.Mistakes
	if errors.As(err, &mistakes) {
		_ = mistakes.WriteText(stderr) // the exit code tells the same
		return nil, cli.UsageError("%s in the configuration", cli.Count(mistakes.Len(), "mistake"))
	}
	return set, err
}

// loadCatalog reads the tools, or asks the upstreams for them.
func (w *Workspace) loadCatalog(ctx context.Context, f *Flags, o Options) (err error) {
	files := f.catalog()
	switch {
	case files != nil:
		w.Catalog, err = readCatalogs(files)
	case w.ConfigPaths != nil && o.Live != nil:
		ctx, cancel := context.WithTimeout(ctx, cmp.Or(f.Timeout, time.Minute))
		defer cancel()
		w.Catalog, err = o.Live(ctx, w.ConfigPaths, o.Stderr)
	default:
		err = cli.UsageError("there are no tools to work with: name a configuration with -c, or write a %s with 'mcpagg catalog pull' and name it with --catalog", defaultCatalog)
	}
	if err != nil {
		return err
	}
	w.index()
	w.reconcile(files, o.Stderr)
	return nil
}

// reconcile has policies name the upstreams that there are, and says where a file and
// the configuration do not agree about them.
func (w *Workspace) reconcile(files []string, stderr io.Writer) {
	var listed []string
	for _, o := range w.Objects {
		if !slices.Contains(listed, o.Upstream()) {
			listed = append(listed, o.Upstream())
		}
	}
	s := &w.Set.Source
	if s.Upstreams == nil {
		s.Upstreams = append([]string{}, listed...)
		if len(listed) == 1 && s.Only == "" {
			s.Only = listed[0]
		}
		return
	}
	for _, label := range s.Upstreams {
		if files != nil && !slices.Contains(listed, label) && stderr != nil {
			fmt.Fprintf(stderr, "warning: %s has nothing of upstream %q; write it anew with: mcpagg catalog pull\n", cli.Visible(strings.Join(files, ", ")), label)
		}
	}
}

// parse makes policies of the files.
func (w *Workspace) parse() error {
	w.Policy = w.Set.Options
	w.Policy.Policies = w.parseFiles(w.Set.Files)
	if w.Set.Candidate != nil {
		w.Policy.Candidate = w.parseFiles(w.Set.Candidate)
	}
	if len(w.Mistakes) > 0 {
		w.Policy.Policies, w.Policy.Candidate = nil, nil
		return nil
	}
	engine, err := policy.New(w.Policy)
	if err != nil {
		return cli.UsageError("%w", err)
	}
	w.Engine = engine
	return nil
}

func (w *Workspace) parseFiles(files []source.File) []*source.Policy {
	policies, warnings, err := source.Parse(files, w.Set.Source)
	w.Warnings = append(w.Warnings, warnings...)
	var mistakes source.Mistakes
	if errors.As(err, &mistakes) {
		w.Mistakes = append(w.Mistakes, mistakes...)
	}
	return policies
}
