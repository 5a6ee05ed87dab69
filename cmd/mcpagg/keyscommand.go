package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

func newKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "Make new keys for a running gateway",
		Example: `  mcpagg keys rotate -c gateway.hcl`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysRotateCommand())
	return cmd
}

func newKeysRotateCommand() *cobra.Command {
	var (
		f      runningFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new signing key and a new key for what is kept, at once",
		Long: `Make a new key to sign tokens with, and a new one to encrypt what is kept of who is
signed in, at once. The gateway does so by itself as often as store.rotate_keys
says.

Nobody has to sign in again: what the signing key before has signed counts until
the last of it has expired, and what is kept is encrypted anew in the background.
If the key before is known to somebody, end the sessions as well, with
'mcpagg sessions revoke --all': a token counts only as long as its session.`,
		Example: `  mcpagg keys rotate -c gateway.hcl
  mcpagg keys rotate --socket /run/mcpagg/mcpagg.sock --json`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, err := f.find(cmd)
			if err != nil {
				return err
			}
			result, err := g.rotateKeys(cmd.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), result)
			}
			return result.print(cmd.OutOrStdout())
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (g *runningGateway) rotateKeys(ctx context.Context) (result rotation, err error) {
	if _, err := g.status(ctx); err != nil { // it may be another gateway
		return result, err
	}
	err = g.ask(ctx, http.MethodPost, "/keys/rotate", nil, &result)
	return result, err
}

func (r rotation) print(out io.Writer) error {
	_, err := fmt.Fprintf(out, `New tokens are signed with a new key, and what is kept is being encrypted anew.
What the key before has signed counts until %s. Nobody has to sign in again.
`, r.Until.UTC().Format("2006-01-02 15:04:05 MST"))
	return err
}
