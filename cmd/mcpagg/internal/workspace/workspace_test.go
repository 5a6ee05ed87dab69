package workspace_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
)

const (
	tools = `{"version":1,"tools":[
{"upstream":"github","original":"create_issue","published":"gh_create_issue","input_schema":{"type":"object","properties":{"repo":{"type":"string"}}}},
{"upstream":"github","original":"list","published":"gh_list"},
{"upstream":"wiki","original":"list","published":"wiki_list"}],
"prompts":[{"upstream":"github","original":"review","published":"gh_review"}],
"resources":[{"upstream":"wiki","uri":"file:///a b.md","published":"wiki+file:///a%20b.md"}],
"templates":[{"upstream":"wiki","uri":"file:///{x}"}]}`
	gateway = `upstream "github" {
  url   = "https://github.invalid/mcp"
  token = env("GITHUB_TOKEN_THAT_IS_NOT_SET")
}
upstream "wiki" { url = env("WIKI_URL_THAT_IS_NOT_SET") }
group "platform" { id = "1" }
policy { dir = "policies" }
`
	everything = `permit(principal, action, resource);`
)

// in writes files into a new folder, and goes there.
func in(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// noUpstreams fails the test for who asks upstreams.
func noUpstreams(t *testing.T) workspace.Live {
	return func(context.Context, []string, io.Writer) (policy.Catalog, error) {
		t.Error("the upstreams were asked")
		return policy.Catalog{}, nil
	}
}

// TestOffline loads a configuration without what it needs of the environment.
func TestOffline(t *testing.T) {
	in(t, map[string]string{"conf/gateway.hcl": gateway, "conf/policies/a.cedar": everything, "tools.json": tools})
	f := workspace.Flags{Config: []string{"conf/gateway.hcl"}, Catalog: []string{"tools.json"}}
	var said bytes.Buffer
	w, err := f.Load(t.Context(), workspace.Options{Live: noUpstreams(t), Stderr: &said})
	if err != nil {
		t.Fatal(err)
	}
	if w.Engine == nil || len(w.Policy.Policies) != 1 || w.Engine.Digest() != w.Policy.Digest || w.Policy.Digest == "" {
		t.Errorf("the engine has %d policies, digest %q", len(w.Policy.Policies), w.Policy.Digest)
	}
	if got, want := w.Path("policies/a.cedar"), "conf/policies/a.cedar"; got != want {
		t.Errorf("the file is at %q, want %q", got, want)
	}
	if w.Set.Groups["platform"] != "1" || !slices.Equal(w.Set.Source.Upstreams, []string{"github", "wiki"}) {
		t.Errorf("policies can name %+v, %v", w.Set.Source, w.Set.Groups)
	}
	if len(w.Objects) != 6 || said.Len() > 0 {
		t.Errorf("%d objects; it said %q", len(w.Objects), said.String())
	}
}

// TestWithoutFlags takes what is in the working directory.
func TestWithoutFlags(t *testing.T) {
	live := func(_ context.Context, config []string, _ io.Writer) (policy.Catalog, error) {
		return policy.Catalog{Tools: []policy.Tool{{Upstream: "live", Original: strings.Join(config, " "), Published: "p"}}}, nil
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		flags workspace.Flags
		want  string // the first object
		error string
	}{
		{
			name: "configuration and catalog", want: `Tool::"github/create_issue"`,
			files: map[string]string{"gateway.hcl": gateway, "policies/a.cedar": everything, "catalog.json": tools},
		},
		{
			name: "configuration", want: `Tool::"live/gateway.hcl"`,
			files: map[string]string{"gateway.hcl": gateway, "policies/a.cedar": everything},
		},
		{
			name: "a configuration that is named", want: `Tool::"live/gateway.hcl"`,
			files: map[string]string{"gateway.hcl": gateway, "policies/a.cedar": everything, "catalog.json": tools},
			flags: workspace.Flags{Config: []string{"gateway.hcl"}},
		},
		{
			name: "policies and catalog", want: `Tool::"github/create_issue"`,
			files: map[string]string{"policies/a.cedar": everything, "catalog.json": tools},
		},
		{
			name: "one file of policies", want: `Tool::"github/create_issue"`,
			files: map[string]string{"a.txt": everything, "gateway.hcl": "broken", "catalog.json": tools},
			flags: workspace.Flags{Policies: "a.txt"},
		},
		{
			name: "what a server lists", want: `Tool::"wiki/get"`,
			files: map[string]string{"policies/a.cedar": everything, "t.json": `{"tools":[{"name":"get","inputSchema":{}}]}`},
			flags: workspace.Flags{Catalog: []string{"wiki=t.json"}},
		},
		{name: "nothing", error: "name a configuration with -c, or policies with --policies"},
		{name: "no tools", files: map[string]string{"policies/a.cedar": everything}, error: "mcpagg catalog pull"},
		{name: "no policies", files: map[string]string{"policies/a.txt": ""}, error: "there is no *.cedar file in policies"},
		{name: "an empty folder", files: map[string]string{"gateway.hcl": gateway}, error: "there is no *.cedar file in policies/; write a first policy with: mcpagg policy new"},
		{name: "no policy block", files: map[string]string{"gateway.hcl": `upstream "a" { command = ["x"] }`}, error: "there is no policy block in gateway.hcl"},
		{name: "no such catalog", files: map[string]string{"policies/a.cedar": everything}, flags: workspace.Flags{Catalog: []string{"x.json"}}, error: "mcpagg catalog pull"},
		{
			name: "a tool twice", files: map[string]string{"policies/a.cedar": everything, "a.json": tools},
			flags: workspace.Flags{Catalog: []string{"a.json", "a.json"}}, error: "is there twice",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, tt.files)
			w, err := tt.flags.Load(t.Context(), workspace.Options{Live: live, Stderr: t.Output()})
			switch {
			case tt.error != "":
				var exit *cli.ExitError
				if !errors.As(err, &exit) || exit.Code != cli.ExitUsage || !strings.Contains(err.Error(), tt.error) {
					t.Errorf("got %v, want %q", err, tt.error)
				}
			case err != nil:
				t.Error(err)
			case w.Objects[0].String() != tt.want:
				t.Errorf("got %s, want %s", w.Objects[0], tt.want)
			}
		})
	}
}

// TestPoliciesInsteadOfThoseOfTheConfiguration can name what the configuration has.
func TestPoliciesInsteadOfThoseOfTheConfiguration(t *testing.T) {
	in(t, map[string]string{"gateway.hcl": gateway, "policies/a.cedar": everything, "next/b.cedar": everything, "catalog.json": tools})
	w, err := (&workspace.Flags{Config: []string{"gateway.hcl"}, Policies: "next"}).Load(t.Context(), workspace.Options{WithoutTools: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Policy.Policies) != 1 || w.Policy.Policies[0].File != "next/b.cedar" || !slices.Equal(w.Set.Source.Groups, []string{"platform"}) {
		t.Errorf("policies %+v, which can name %+v", w.Policy.Policies, w.Set.Source)
	}
}

// TestMistakes are for check to show, and end other commands.
func TestMistakes(t *testing.T) {
	in(t, map[string]string{"gateway.hcl": gateway, "policies/a.cedar": `permit(principal, action, resource == Tool::"githib/x"); permit(`, "catalog.json": tools})
	var f workspace.Flags
	_, err := f.Load(t.Context(), workspace.Options{Live: noUpstreams(t)})
	var exit *cli.ExitError
	if !errors.As(err, &exit) || exit.Code != cli.ExitCheck || !strings.Contains(err.Error(), "mcpagg policy check") {
		t.Errorf("got %v", err)
	}
	w, err := f.Load(t.Context(), workspace.Options{Live: noUpstreams(t), WithMistakes: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Mistakes) == 0 || w.Engine != nil || len(w.Set.Files) != 1 || len(w.Objects) != 6 {
		t.Errorf("got mistakes %v, engine %v, files %v", w.Mistakes, w.Engine, w.Set.Files)
	}
}

// TestGaps says which upstreams a file lacks.
func TestGaps(t *testing.T) {
	in(t, map[string]string{"gateway.hcl": gateway, "policies/a.cedar": everything, "catalog.json": `{"tools":[{"upstream":"wiki","original":"x","published":"x"}]}`})
	var said bytes.Buffer
	if _, err := (&workspace.Flags{}).Load(t.Context(), workspace.Options{Stderr: &said}); err != nil {
		t.Fatal(err)
	}
	if got, want := said.String(), "warning: catalog.json has nothing of upstream \"github\"; write it anew with: mcpagg catalog pull\n"; got != want {
		t.Errorf("it said %q, want %q", got, want)
	}
}

func TestFind(t *testing.T) {
	in(t, map[string]string{"policies/a.cedar": everything, "catalog.json": tools})
	w, err := (&workspace.Flags{}).Load(t.Context(), workspace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"gh_create_issue":               `Tool::"github/create_issue"`,
		"github/create_issue":           `Tool::"github/create_issue"`,
		`Tool::"github/create_issue"`:   `Tool::"github/create_issue"`,
		"create_issue":                  `Tool::"github/create_issue"`,
		"review":                        `Prompt::"github/review"`,
		"wiki+file:///a%20b.md":         `Resource::"wiki/file:///a b.md"`,
		"wiki/file:///{x}":              `Resource::"wiki/file:///{x}"`,
		"gh_craete_issue":               `there is nothing called "gh_craete_issue"; did you mean github/create_issue?`,
		"list":                          `"list" can be github/list or wiki/list; write which one`,
		"entirely\x1b[2J else":          `there is nothing called "entirely�[2J else"; see what there is with: mcpagg catalog`,
		strings.Repeat("create", 10000): `; see what there is with: mcpagg catalog`,
	} {
		o, err := w.Find(name)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = o.String()
		}
		if !strings.HasSuffix(got, want) {
			t.Errorf("%.40q is %.200s, want %s", name, got, want)
		}
	}
	o, _ := w.Find("create_issue")
	if w.Published(o) != "gh_create_issue" || w.Kind(o) != "tool" || !strings.Contains(string(w.Tool(o).InputSchema), "repo") {
		t.Errorf("%s is the %s %s", o, w.Kind(o), w.Published(o))
	}
}

func TestMatch(t *testing.T) {
	in(t, map[string]string{"policies/a.cedar": everything, "catalog.json": tools})
	w, err := (&workspace.Flags{}).Load(t.Context(), workspace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for patterns, want := range map[string]string{
		"*list":               `Tool::"github/list" Tool::"wiki/list"`,
		"wiki/* github/list":  `Tool::"github/list" Tool::"wiki/list" Resource::"wiki/file:///a b.md" Resource::"wiki/file:///{x}"`,
		"gh_* create_issue":   `Tool::"github/create_issue" Tool::"github/list" Prompt::"github/review"`,
		"github/* nothing/*":  `nothing is called "nothing/*"; see what there is with: mcpagg catalog`,
		"gh_lists":            `there is nothing called "gh_lists"; did you mean github/list?`,
		"*a*a*a*a*a*a*a*a*a*": `nothing is called "*a*a*a*a*a*a*a*a*a*"; see what there is with: mcpagg catalog`,
	} {
		objects, err := w.Match(strings.Fields(patterns))
		var got []string
		for _, o := range objects {
			got = append(got, o.String())
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s matches %s, want %s", patterns, got, want)
		}
	}
}
