package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/store"
	"github.com/mcpagg/mcpagg/policy"
)

// doctorFlags are the flags of mcpagg doctor.
type doctorFlags struct {
	config           []string
	token, tokenFile string
	client           string
	json             bool
}

func newDoctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with how people sign in",
		Long: `Find out what is wrong with how people sign in, and what to do about it: the
configuration, the provider's metadata and keys, the clock, what a running gateway
serves at public_url, how the provider takes the gateway and its redirect URI or those
of clients, groups, the folder of who is signed in, and policies. With
--token or --token-file, what a token is, and why the gateway would refuse it. Nobody
has to sign in, and the gateway need not run.

The exit code is 0 if nothing is a problem, 1 if something is, and 2 for a mistake
in the configuration. A token is read from standard input or a file, never from an
argument, which other users of the machine can see; it is not printed.`,
		Example: `  mcpagg doctor -c gateway.hcl
  mcpagg doctor -c gateway.hcl --for claude
  mcpagg doctor -c gateway.hcl --token - < token.txt
  mcpagg doctor aadsts 50011
  mcpagg doctor snippet vscode -c gateway.hcl`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.examine(cmd) },
	}
	addConfigFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.token, "token", "", "- to look at a token from standard input")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with a token to look at")
	flags.StringVar(&f.client, "for", "", "client to look at: "+strings.Join(doctor.ClientNames(), ", "))
	flags.BoolVar(&f.json, "json", false, "print as JSON")
	cmd.MarkFlagsMutuallyExclusive("token", "token-file")
	cmd.AddCommand(newDoctorCodeCommand(), newDoctorSnippetCommand())
	return cmd
}

// examine looks at everything and prints what there is to say.
func (f *doctorFlags) examine(cmd *cobra.Command) error {
	var opts doctor.Options
	var err error
	if opts.Client, err = clientNamed(f.client); err != nil {
		return err
	}
	if opts.Token, err = f.readToken(cmd.InOrStdin()); err != nil {
		return err
	}
	cfg, err := loadConfig(f.config, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	cfg.UseSecrets(log, nil)
	defer cfg.CloseSecrets()
	report := &doctor.Report{Findings: []doctor.Finding{nobodySignsIn}}
	if signIn, ok := cfg.SignIn(nil, log); ok {
		opts.SignIn, opts.Warnings = signIn, cfg.Warnings
		forget, err := f.addBroker(cmd.Context(), cfg, &opts)
		if err != nil {
			return err
		}
		defer forget()
		report = doctor.Examine(cmd.Context(), opts)
	}
	report.Findings = append(report.Findings, policyFindings(cfg, opts.SignIn.Providers)...)
	if cfg.Policy != nil {
		report.Findings = append(report.Findings, doctorFindings(cmd.Context(), cfg)...)
	}
	if cmd.Context().Err() != nil {
		return &exitError{Code: exitRunTime, Err: errors.New("interrupted")}
	}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = screenOf(cmd.OutOrStdout()).showReport(report)
	}
	if err == nil && report.Count(doctor.Problem) > 0 {
		return &exitError{Code: exitRunTime}
	}
	return err
}

// addBroker has the doctor look at the gateway as an authorization server, if it is
// one, which keeps nothing here until forget.
func (f *doctorFlags) addBroker(ctx context.Context, cfg *config.Config, opts *doctor.Options) (forget func(), err error) {
	own, ok := cfg.Broker(nil, opts.SignIn.Log)
	if !ok {
		return func() {}, nil
	}
	kept := newKept(ctx, opts.SignIn.Log)
	state, settle, err := kept.open(ctx, &config.State{Store: store.Options{Memory: true}, Needed: true, Brokers: true})
	if err != nil {
		kept.close()
		return nil, err
	}
	settle(true)
	own.State = state
	opts.New = func(o oauth.Options) *oauth.SignIn { return broker.New(own, o, nil) }
	opts.Broker = &doctor.Broker{
		Credential: own.Credential, Callback: broker.CallbackPath, Request: own.Request, Parameters: own.Parameters, Documents: own.Documents,
	}
	if !cfg.State.Store.Memory {
		opts.Broker.Store = cfg.State.Store.Dir
	}
	return kept.close, nil
}

var nobodySignsIn = doctor.Finding{
	Check: "configuration", Verdict: doctor.Warning, Seen: "there is no auth block: nobody signs in, and everybody on this machine is the same caller",
	Remedy: "docs/sign-in.md says how people sign in; with Microsoft Entra, begin with docs/entra.md.",
}

// policyFindings say who decides what may be used, and whom that leaves with nothing.
// Examine has told what the policies themselves may have wrong.
func policyFindings(cfg *config.Config, providers []oauth.Provider) []doctor.Finding {
	if cfg.Policy == nil {
		return []doctor.Finding{{
			Check: "policies", Verdict: doctor.Warning, Seen: "there is no policy block: every tool may be called",
			Remedy: "docs/policies.md says how to write policies.",
		}}
	}
	said := policiesText(len(cfg.Policy.Policies), cfg.PolicyPlaces) + ", " + shortPolicies(cfg.Policy.Digest)
	if cfg.Policy.Observe {
		said += ", which are only observed"
	}
	findings := []doctor.Finding{{Check: "policies", Verdict: doctor.OK, Seen: said}}
	if cfg.Gateway.Policy.GroupsNeeded(&policy.Principal{GroupsWhy: "nobody said"}) == "" {
		return findings // they name no group
	}
	for _, p := range providers {
		if p.Entra != nil && p.Entra.Graph == nil {
			findings = append(findings, doctor.Finding{
				Check: "policies", Verdict: doctor.Warning,
				Seen:   "the policies name groups, and " + p.Name + " has no graph block: who is in more groups than a token lists may use nothing",
				Remedy: "Add a graph block, so that Microsoft Graph is asked for them; see docs/entra.md.",
			})
		}
	}
	return findings
}

func clientNamed(name string) (*doctor.Client, error) {
	if name == "" {
		return nil, nil
	}
	c := doctor.FindClient(name)
	if c == nil {
		return nil, usageError("there is no client %q; those that are known are %s", name, strings.Join(doctor.ClientNames(), ", "))
	}
	return c, nil
}

// mostToken bounds what is read of a token, in bytes.
const mostToken = 64 << 10

// readToken reads the token to look at, "" if there is none.
func (f *doctorFlags) readToken(stdin io.Reader) (string, error) {
	switch {
	case f.tokenFile == "" && f.token == "":
		return "", nil
	case f.token != "" && f.token != "-":
		return "", usageError("--token takes no token, which others could see: write --token - and give it on standard input, or --token-file FILE")
	case f.tokenFile != "":
		return readTokenFile(f.tokenFile)
	}
	return readToken(stdin)
}

// readTokenFile reads the token in a file.
func readTokenFile(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", usageError("--token-file: %w", err)
	}
	defer file.Close()
	return readToken(file)
}

// readToken reads a token, which may be written as in the header.
func readToken(from io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(from, mostToken))
	if err != nil {
		return "", usageError("reading the token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	if token == "" {
		return "", usageError("there is no token in what was given")
	}
	return token, nil
}
