package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/aggregator/brake"
)

// blockFlags are the flags of mcpagg block and unblock.
type blockFlags struct {
	runningFlags
	lasts  string // as parseFor reads it; "" for no end
	reason string
	all    bool
	json   bool
}

func (f *blockFlags) add(cmd *cobra.Command) {
	f.runningFlags.add(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print as JSON")
}

func newBlockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "block person|client|tool|upstream X",
		Short: "Stop a person, client, tool or upstream at a running gateway, at once",
		Long: `Stop a person, client, tool or upstream at a running gateway, at once and whatever
the policies say: what begins is refused, and what is under way is cancelled. It
works without sign-in and policies, too, and outlives a restart of the gateway.

X need not be there now. A tool that is blocked is still listed. Who is stopped is
told so, with the reason: say nothing in it that they should not read.

Blocking the same once more replaces how long and why.`,
		Example: `  mcpagg block tool 'github/delete_*' --for 4h --reason "incident 4711"
  mcpagg block person "Ann Example"
  mcpagg block upstream postgres --for 30m --socket /run/mcpagg/mcpagg.sock
  mcpagg block list`,
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() }, // each kind has a command
	}
	for _, of := range blockKinds {
		cmd.AddCommand(of.command())
	}
	cmd.AddCommand(newBlockListCommand())
	return cmd
}

// A blockKind is the command that blocks one kind of things.
type blockKind struct {
	kind                       brake.Kind
	use, short, named, example string
}

var blockKinds = []blockKind{
	{
		brake.Person, "person NAME|ID", "Stop a person",
		`A person is named by the id by which policies know them, or by what the provider or
they themselves call them, as a whole. A name may be that of several people: all of
them are stopped. Without sign-in, everybody is anonymous.

Their sessions stay; 'mcpagg sessions revoke' ends those.`,
		`  mcpagg block person "Ann Example" --reason "incident 4711"
  mcpagg block person 6c1f6c8e-0000-0000-0000-000000000000/5f2b0c1d-0000-0000-0000-000000000001
  mcpagg block person anonymous --for 30m`,
	},
	{
		brake.Client, "client ID|LABEL", "Stop a client, whoever uses it",
		`A client is named by its client id, or by the label of its app block.`,
		`  mcpagg block client opencode --for 30m
  mcpagg block client 0b7a2f1c-0000-0000-0000-000000000000`,
	},
	{
		brake.Tool, "tool NAME", "Stop a tool",
		`A tool is named by LABEL/ORIGINAL, as policies name it, or by the published name.
In both, * is any text. It is still listed.`,
		`  mcpagg block tool github/delete_repository --for 4h
  mcpagg block tool 'github/delete_*' --reason "incident 4711"
  mcpagg block tool github_create_issue`,
	},
	{
		brake.Upstream, "upstream LABEL", "Stop an upstream",
		`An upstream is named by its label. Nothing of it can be used, and all of it is still
listed.`,
		`  mcpagg block upstream postgres --for 7d
  mcpagg block upstream postgres -c gateway.hcl --json`,
	},
}

func (of blockKind) command() *cobra.Command {
	var f blockFlags
	cmd := &cobra.Command{
		Use: of.use, Short: of.short, Example: of.example,
		Long: of.short + ` at a running gateway, at once: what begins is refused, and what is under way
is cancelled.

` + of.named + `

Blocking the same once more replaces how long and why.`,
		Args: func(cmd *cobra.Command, args []string) error {
			return oneName(cmd, append([]string{string(of.kind)}, args...))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := f.request(of.kind, args[0])
			if err != nil {
				return err
			}
			g, err := f.gateway(cmd)
			if err != nil {
				return err
			}
			result, err := g.block(cmd.Context(), asked)
			if err != nil {
				return err
			}
			return f.tell(cmd, result)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.lasts, "for", "", "how long, such as 30m, 4h or 7d; without it, until 'mcpagg unblock'")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why; whoever is stopped is told")
	return cmd
}

// oneName wants a kind and a name.
func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return errors.New("which person, client, tool or upstream? Name one thing, such as: person \"Ann Example\"")
	}
	return brake.CheckName(brake.Kind(args[0]), args[1])
}

func newBlockListCommand() *cobra.Command {
	var f blockFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show what is blocked at a running gateway",
		Example: `  mcpagg block list -c gateway.hcl
  mcpagg block list --json`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := f.gateway(cmd)
			if err != nil {
				return err
			}
			blocks, err := g.blocks(cmd.Context())
			switch {
			case err != nil:
				return err
			case f.json:
				return printJSON(cmd.OutOrStdout(), blocks)
			}
			return printBlocks(cmd.OutOrStdout(), blocks, time.Now())
		},
	}
	f.add(cmd)
	return cmd
}

func newUnblockCommand() *cobra.Command {
	var f blockFlags
	cmd := &cobra.Command{
		Use:   "unblock person|client|tool|upstream X",
		Short: "Let go of what was blocked at a running gateway",
		Long: `Let go of what was blocked at a running gateway. X is as 'mcpagg block list' prints it,
or for a tool its other name, of LABEL/ORIGINAL and the published one. What policies
forbid stays forbidden.

The exit code is 1 if it was not blocked.`,
		Example: `  mcpagg unblock tool 'github/delete_*'
  mcpagg unblock person "Ann Example" --json
  mcpagg unblock --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.all && len(args) == 0 {
				return nil
			}
			if f.all {
				return errors.New("--all goes with nothing else that says what")
			}
			return oneName(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			asked := blockRequest{All: f.all}
			if !f.all {
				asked.Kind, asked.What = brake.Kind(args[0]), args[1]
			}
			g, err := f.gateway(cmd)
			if err != nil {
				return err
			}
			result, err := g.unblock(cmd.Context(), asked)
			if err != nil {
				return err
			}
			return f.tellUnblocked(cmd, result)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "everything that is blocked")
	return cmd
}

// request is what the arguments ask for.
func (f *blockFlags) request(kind brake.Kind, what string) (blockRequest, error) {
	b := blockRequest{Kind: kind, What: what, Reason: f.reason}
	if n := utf8.RuneCountInString(f.reason); n > brake.MaxReason {
		return b, usageError("--reason has %d characters; it may have %d", n, brake.MaxReason)
	}
	if f.lasts == "" {
		return b, nil
	}
	d, err := parseFor(f.lasts)
	if err != nil {
		return b, usageError("--for %q is not how long, from a second to ten years, such as 30m, 4h or 7d", f.lasts)
	}
	b.Seconds = int64(d / time.Second)
	return b, nil
}

// parseFor reads a time in whole seconds, in days as well.
func parseFor(text string) (d time.Duration, err error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		if n > int(maxBlock/(24*time.Hour)) {
			return 0, errors.New("too long")
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		d, err = time.ParseDuration(text)
	}
	if err == nil && (d < time.Second || d > maxBlock) {
		err = errors.New("too short or too long")
	}
	return d, err
}

// gateway is the one that is meant, and runs.
func (f *blockFlags) gateway(cmd *cobra.Command) (*runningGateway, error) {
	g, err := f.find(cmd)
	if err != nil {
		return nil, err
	}
	_, err = g.status(cmd.Context()) // it may be another gateway
	return g, err
}

// tell prints what came of blocking.
func (f *blockFlags) tell(cmd *cobra.Command, result blockResult) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), result)
	}
	fmt.Fprint(cmd.OutOrStdout(), result.text())
	if result.NotKept != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", visible(result.NotKept))
	}
	return nil
}

// text is what was done, in words.
func (r blockResult) text() string {
	b := r.Block
	text := fmt.Sprintf("Blocked the %s %s until ", b.Kind, visible(b.What))
	if b.Until.IsZero() {
		text += "somebody unblocks it."
	} else {
		text += untilText(b.Until) + "."
	}
	switch {
	case r.Matches == "":
	case r.Matches == everybody:
		text += "\nThat is everybody: nobody signs in at this gateway."
	case strings.HasPrefix(r.Matches, "no "):
		text += fmt.Sprintf("\nNothing matches now: the gateway knows %s of that name.", r.Matches)
	case strings.HasPrefix(r.Matches, "1 "):
		text += fmt.Sprintf("\n%s matches now.", r.Matches)
	default:
		text += fmt.Sprintf("\n%s match now.", r.Matches)
	}
	return text + "\n"
}

// tellUnblocked prints what came of unblocking.
func (f *blockFlags) tellUnblocked(cmd *cobra.Command, result unblockResult) error {
	if f.json {
		if err := printJSON(cmd.OutOrStdout(), result); err != nil {
			return err
		}
	}
	switch {
	case result.Unblocked == 0 && !f.all:
		return errors.New("that is not blocked; 'mcpagg block list' prints what is")
	case f.json:
	case result.Unblocked == 0:
		fmt.Fprintln(cmd.OutOrStdout(), "Nothing is blocked.")
	default:
		fmt.Fprintf(cmd.OutOrStdout(), "Unblocked %s.\n", count(result.Unblocked, "block"))
	}
	return nil
}

func (g *runningGateway) blocks(ctx context.Context) (blocks []brake.Block, err error) {
	err = g.ask(ctx, http.MethodGet, "/blocks", nil, &blocks)
	return blocks, err
}

func (g *runningGateway) block(ctx context.Context, asked blockRequest) (result blockResult, err error) {
	err = g.ask(ctx, http.MethodPost, "/block", asked, &result)
	return result, err
}

func (g *runningGateway) unblock(ctx context.Context, asked blockRequest) (result unblockResult, err error) {
	err = g.ask(ctx, http.MethodPost, "/unblock", asked, &result)
	return result, err
}

// printBlocks prints a line for each block.
func printBlocks(out io.Writer, blocks []brake.Block, now time.Time) error {
	if len(blocks) == 0 {
		_, err := fmt.Fprintln(out, "Nothing is blocked.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tBLOCKED\tSINCE\tENDS\tBY\tREASON")
	for _, b := range blocks {
		fmt.Fprintf(w, "%s\t%s\t%s ago\t%s\t%s\t%s\n", b.Kind, visible(b.What), ago(b.Since, now), endsText(b.Until, now), visible(b.By), visible(cmp.Or(b.Reason, "-")))
	}
	return w.Flush()
}

// endsText is in how much time a block ends.
func endsText(until, now time.Time) string {
	if until.IsZero() {
		return "never"
	}
	return "in " + ago(now, until)
}
