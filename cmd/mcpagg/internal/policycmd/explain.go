package policycmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// An explainCommand is what the flags of mcpagg policy explain say.
type explainCommand struct {
	flags                  workspace.Flags
	caller                 callerFlags
	tool, prompt, resource string
	input                  string
	now, ip                string
	calls                  int64
	labels                 []string
	json                   bool
	fromLog                string
	logs                   []string
}

func newExplainCommand(live workspace.Live) *cobra.Command {
	var e explainCommand
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say what somebody may do with a tool, and why",
		Long: `Say whether somebody may use a tool always, only under a condition, or never, in a
sentence and in Cedar.

With --input, it is about one call with these arguments: what each policy comes to, with
the values that it looks at, and what a denied call lacks.

The caller is a persona of the tests (--as), or one that policies speak of, such as
"anybody", "Group NAME" or "Role NAME"; or is made up with --group, --role and so on. What
is not said of the circumstances, such as the time or how the caller signed in, is part of
the condition.

` + workspace.Help,
		Example: `  mcpagg policy explain --as dev --tool github/create_issue
  mcpagg policy explain --group platform --tool github/create_issue --input '{"owner": "contoso", "repo": "web"}'
  mcpagg policy explain --as dev --mfa --tool github_merge --input @call.json --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.do(cmd, live) },
	}
	e.flags.Add(cmd)
	e.caller.add(cmd)
	f := cmd.Flags()
	f.StringVar(&e.tool, "tool", "", "tool that it is about, by published name or origin")
	f.StringVar(&e.prompt, "prompt", "", "prompt that it is about")
	f.StringVar(&e.resource, "resource", "", "resource that it is about, by URI or origin")
	f.StringVar(&e.input, "input", "", "arguments of one call: JSON, @FILE, or - for standard input")
	f.StringVar(&e.now, "now", "", "time of the call, such as 2026-11-23T12:00:00Z (default: now, with --input)")
	f.StringVar(&e.ip, "ip", "", "address that the call comes from")
	f.Int64Var(&e.calls, "calls", 0, "how many calls the caller has made before")
	f.StringArrayVar(&e.labels, "label", nil, "label that the caller has had (repeatable)")
	f.BoolVar(&e.json, "json", false, "print JSON")
	f.StringVar(&e.fromLog, "from-log", "", "request of the audit file, by the reference that the caller was told, or its time")
	f.StringArrayVar(&e.logs, "log", nil, "audit file that it is in (default: that of the configuration; repeatable)")
	cmd.MarkFlagsMutuallyExclusive("tool", "prompt", "resource", "from-log")
	cmd.MarkFlagsOneRequired("tool", "prompt", "resource", "from-log")
	return cmd
}

func (e *explainCommand) do(cmd *cobra.Command, live workspace.Live) error {
	w, err := e.flags.Load(cmd.Context(), workspace.Options{Live: live, Stderr: cmd.ErrOrStderr()})
	if err != nil {
		return err
	}
	if e.fromLog != "" {
		return e.past(cmd, w)
	}
	who, err := e.caller.persona(cmd, w)
	if err != nil {
		return err
	}
	about, err := e.object(w)
	if err != nil {
		return err
	}
	r, err := e.request(w, who, about)
	if err != nil {
		return err
	}
	p := &explained{w: w, who: who, request: r, paint: cli.Painter(cli.Coloured(cmd.OutOrStdout())), json: e.json}
	x := explain.New(w.Engine)
	if cmd.Flags().Changed("input") {
		if err := readArguments(cmd, e.input, r); err != nil {
			return err
		}
		v := x.Explain(r, nil)
		if note := unfit(w, r); note != "" {
			v.Notes = append(v.Notes, note)
		}
		return p.verdict(cmd.OutOrStdout(), v)
	}
	x = x.Knowing(w.Engine.Circumstances(r, e.known(cmd, who)...))
	a := x.Of(r.Principal, about)
	if a.Outcome != explain.Never {
		p.holding = x.Holding(r.Principal, about)
	}
	return p.answer(cmd.OutOrStdout(), a, x.Example(r), x.Others(r.Principal, about))
}

// object is what the flags name.
func (e *explainCommand) object(w *workspace.Workspace) (*policy.Object, error) {
	for _, of := range []struct{ flag, name, kind string }{{"--tool", e.tool, "tool"}, {"--prompt", e.prompt, "prompt"}, {"--resource", e.resource, "resource"}} {
		if of.name == "" {
			continue
		}
		var own []*policy.Object
		for _, o := range w.Objects {
			if w.Kind(o) == of.kind && slices.Contains([]string{o.Origin(), o.String(), w.Published(o)}, of.name) {
				own = append(own, o)
			}
		}
		if len(own) > 0 {
			return own[0], nil
		}
		o, err := w.Find(of.name)
		switch {
		case err == nil && (w.Kind(o) == of.kind || of.kind == "resource" && w.Kind(o) == "template"):
			return o, nil
		case err == nil:
			return nil, cli.UsageError("%s is a %s, and no %s", cli.Visible(of.name), w.Kind(o), of.kind)
		case of.kind == "resource" && strings.Contains(of.name, "/"):
			return unlisted(w, of.name, err)
		}
		return nil, err
	}
	return nil, cli.UsageError("say what it is about, with --tool, --prompt or --resource")
}

// unlisted is a resource that only its client names, UPSTREAM/URI.
func unlisted(w *workspace.Workspace, name string, otherwise error) (*policy.Object, error) {
	upstream, uri, _ := strings.Cut(name, "/")
	for _, o := range w.Objects {
		if o.Upstream() == upstream {
			return policy.UnlistedObject(policy.Resource{Upstream: upstream, URI: uri, Tags: tagsOf(o)}), nil
		}
	}
	return nil, otherwise
}

// tagsOf are those of an object's upstream.
func tagsOf(o *policy.Object) []string {
	var tags []string
	for above := range o.Entity().Parents.All() {
		if above.Type == "Tag" {
			tags = append(tags, string(above.ID))
		}
	}
	return tags
}

// request is one without arguments in the circumstances of the flags.
func (e *explainCommand) request(w *workspace.Workspace, who *persona.Persona, about *policy.Object) (*policy.Request, error) {
	r := &policy.Request{Object: about, Now: time.Now(), IP: who.IP, Session: policy.Session{Calls: e.calls, Labels: e.labels}}
	var err error
	if e.now != "" {
		if r.Now, err = time.Parse(time.RFC3339, e.now); err != nil {
			return nil, cli.UsageError("--now %q is no time such as 2026-11-23T12:00:00Z", cli.Visible(e.now))
		}
	}
	if e.ip != "" {
		if r.IP, err = netip.ParseAddr(e.ip); err != nil {
			return nil, cli.UsageError("--ip %q is no address such as 10.1.2.3", cli.Visible(e.ip))
		}
	}
	r.Principal = who.Resolve(w.Set.Groups).Principal()
	r.Principal.Auth = who.Auth(r.Now)
	return r, nil
}

// known are the circumstances that somebody said.
func (e *explainCommand) known(cmd *cobra.Command, who *persona.Persona) []string {
	var names []string
	if who.MFA || len(who.ACRs) > 0 || who.AuthAge != nil {
		names = append(names, "auth")
	}
	if e.now != "" {
		names = append(names, "now")
	}
	if e.ip != "" || who.IP.IsValid() {
		names = append(names, "ip")
	}
	if cmd.Flags().Changed("calls") || len(e.labels) > 0 {
		names = append(names, "session")
	}
	return names
}

// maxInput bounds arguments that are read, in bytes.
const maxInput = 4 << 20

// readArguments has the request have those of --input.
func readArguments(cmd *cobra.Command, input string, r *policy.Request) error {
	var from io.Reader = strings.NewReader(input)
	if path, ok := strings.CutPrefix(input, "@"); ok {
		file, err := os.Open(path)
		if err != nil {
			return cli.UsageError("--input: %w", err)
		}
		defer file.Close()
		from = file
	} else if input == "-" {
		from = cmd.InOrStdin()
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return fmt.Errorf("reading --input: %w", err)
	}
	if len(raw) > maxInput {
		return cli.UsageError("--input is larger than %d MiB", maxInput>>20)
	}
	if r.Arguments, err = typed.Decode(raw); err != nil {
		return cli.UsageError("--input is no JSON object such as {\"owner\": \"contoso\"}: %w", err)
	}
	r.Raw = bytes.TrimSpace(raw)
	return nil
}

// unfit says how the arguments are not as the tool's schema says, "" if they are.
func unfit(w *workspace.Workspace, r *policy.Request) string {
	t := w.Tool(r.Object)
	if t == nil {
		return ""
	}
	check := aggregator.ArgumentChecker(t.InputSchema)
	if check == nil {
		return ""
	}
	if err := check(r.Raw); err != nil {
		return "the arguments are not as the input schema says, and a gateway refuses such a call: " + err.Error()
	}
	return ""
}

// callerFlags say who calls.
type callerFlags struct {
	as                          string
	groups, roles, claims, acrs []string
	id, email, app              string
	guest, workload, mfa        bool
}

func (c *callerFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.as, "as", "", "persona of the tests who calls, anybody, 'Group NAME', 'Role NAME' …")
	f.StringArrayVar(&c.groups, "group", nil, "group that the caller is in (repeatable)")
	f.StringArrayVar(&c.roles, "role", nil, "role that the caller has (repeatable)")
	f.StringArrayVar(&c.claims, "claim", nil, "claim of the caller's token, NAME=VALUE; JSON, or else a text (repeatable)")
	f.StringArrayVar(&c.acrs, "acr", nil, "authentication context that the sign-in satisfies, such as c1 (repeatable)")
	f.StringVar(&c.id, "id", "", "id of the caller, as policies name it")
	f.StringVar(&c.email, "email", "", "email of the caller")
	f.StringVar(&c.app, "app", "", "label of the app block, or client id, of the client")
	f.BoolVar(&c.guest, "guest", false, "the caller is a guest of the tenant")
	f.BoolVar(&c.workload, "workload", false, "the caller is a program that nobody is behind")
	f.BoolVar(&c.mfa, "mfa", false, "the caller signed in with a second factor")
}

// persona is the caller that the flags say.
func (c *callerFlags) persona(cmd *cobra.Command, w *workspace.Workspace) (*persona.Persona, error) {
	p := &persona.Persona{Name: "somebody", ID: "somebody"}
	if c.as != "" {
		known, err := c.known(w)
		if err != nil {
			return nil, err
		}
		named := persona.Named(known, c.as)
		if named == nil {
			return nil, cli.UsageError("there is no persona %q; there are: %s", cli.Visible(c.as), cli.Visible(strings.Join(persona.Names(known), ", ")))
		}
		own := *named
		p = &own
	}
	p.Groups = slices.Concat(p.Groups, c.groups)
	p.Roles = slices.Concat(p.Roles, c.roles)
	p.ACRs = slices.Concat(p.ACRs, c.acrs)
	for _, of := range []struct {
		to   *string
		from string
	}{{&p.ID, c.id}, {&p.Email, c.email}, {&p.App, c.app}} {
		if of.from != "" {
			*of.to = of.from
		}
	}
	p.Guest, p.Workload = p.Guest || c.guest, p.Workload || c.workload
	if cmd.Flags().Changed("mfa") {
		p.MFA = c.mfa
	}
	return p, c.addClaims(p)
}

func (c *callerFlags) addClaims(p *persona.Persona) error {
	all := map[string]any{}
	for name, v := range p.Claims {
		all[name] = v
	}
	for _, claim := range c.claims {
		name, text, ok := strings.Cut(claim, "=")
		if !ok || name == "" {
			return cli.UsageError("--claim %q is not NAME=VALUE", cli.Visible(claim))
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			v = text
		}
		all[name] = v
	}
	p.Claims = all
	return nil
}

// known are the personas of the tests, and those that policies speak of.
func (c *callerFlags) known(w *workspace.Workspace) ([]*persona.Persona, error) {
	callers, err := callersOf(w, w.Policy.Policies)
	if err != nil {
		return nil, err
	}
	all := make([]*persona.Persona, len(callers))
	for i, one := range callers {
		all[i] = one.Persona
	}
	return all, nil
}
