package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/doctor"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

func newDoctorCodeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "aadsts CODE",
		Short: "Explain an error code of Microsoft Entra",
		Long: `Explain an error code of Microsoft Entra: what has happened, and what to do about
it. CODE is its number, with or without AADSTS in front, or a text that has it.`,
		Example: `  mcpagg doctor aadsts 50011
  mcpagg doctor aadsts "AADSTS50011: The redirect URI …"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			code, err := codeIn(args[0])
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), explained{code.Number, code.Error, code.OnPage, code.Meaning, code.Remedy})
			}
			return screenOf(cmd.OutOrStdout()).showCode(code)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// An explained code is one of Entra as it is printed.
type explained struct {
	Code    int    `json:"code"`
	Error   string `json:"oauth_error,omitempty"`
	OnPage  bool   `json:"on_page"`
	Meaning string `json:"meaning"`
	Remedy  string `json:"remedy"`
}

// codeIn finds the code that somebody asks for.
func codeIn(text string) (entra.Code, error) {
	numbers := entra.CodesIn(text)
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		numbers = []int{n}
	}
	if len(numbers) == 0 {
		return entra.Code{}, usageError("there is no code such as 50011 or AADSTS50011 in that")
	}
	for _, n := range numbers {
		if code, ok := entra.Explain(n); ok {
			return code, nil
		}
	}
	return entra.Code{}, fmt.Errorf("AADSTS%d is not one of those that concern a gateway; Microsoft explains it at https://login.microsoftonline.com/error?code=%[1]d", numbers[0])
}

func (sc *screen) showCode(c entra.Code) error {
	seen := "the gateway and the client, as " + c.Error
	switch {
	case c.OnPage && c.Error == "":
		seen = "the person alone, on a page of Entra's"
	case c.OnPage:
		seen = "the person, on a page of Entra's, or the client, as " + c.Error
	}
	lines := append([]string{c.Name(), ""}, sc.field("what it means", c.Meaning)...)
	lines = append(append(lines, sc.field("what to do", c.Remedy)...), sc.field("seen by", seen)...)
	_, err := io.WriteString(sc.out, strings.Join(lines, "\n")+"\n")
	return err
}

func newDoctorSnippetCommand() *cobra.Command {
	var paths []string
	var endpoint string
	cmd := &cobra.Command{
		Use:   "snippet [CLIENT]",
		Short: "Print what to paste into a client",
		Long: `Print what to paste into a client, and the redirect URIs that it has, which in the
mode entra-compat have to be registered with Entra. Without CLIENT, those of all are
printed. It is one of
` + strings.Join(doctor.ClientNames(), ", ") + `.`,
		Example: `  mcpagg doctor snippet claude -c gateway.hcl
  mcpagg doctor snippet --url https://mcp.contoso.com/mcp`,
		ValidArgs: doctor.ClientNames(),
		Args:      cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := clientNamed(strings.Join(args, "")); err != nil {
				return err
			}
			if endpoint == "" {
				cfg, err := loadConfig(paths, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				endpoint = publicURL(cfg, cfg.Server.Listen).JoinPath("mcp").String()
			}
			for i, c := range slices.Clone(doctor.Clients) {
				if len(args) > 0 && c.Name != args[0] {
					continue
				}
				if len(args) == 0 && i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := printSnippet(cmd.OutOrStdout(), &c, endpoint); err != nil {
					return err
				}
			}
			return nil
		},
	}
	addConfigFlag(cmd, &paths)
	cmd.Flags().StringVar(&endpoint, "url", "", "MCP endpoint, instead of that of a configuration")
	cmd.MarkFlagsMutuallyExclusive("config", "url")
	return cmd
}

func printSnippet(w io.Writer, c *doctor.Client, endpoint string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s:\n\n", c.Title, c.Where)
	for line := range strings.Lines(c.Snippet(endpoint)) {
		b.WriteString(strings.TrimRight("  "+line, " \n") + "\n")
	}
	fmt.Fprintf(&b, "\nsign in        %s\n", c.Next)
	name := "redirect URI"
	for _, uri := range c.Redirects {
		fmt.Fprintf(&b, "%-15s%s\n", name, uri)
		name = ""
	}
	if also := c.Also(endpoint); also != "" {
		fmt.Fprintf(&b, "%15s%s in some versions\n", "", also)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
