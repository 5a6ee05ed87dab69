package policycmd

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/survey"
)

// A matrixCommand is what the flags of mcpagg policy matrix say.
type matrixCommand struct {
	flags   workspace.Flags
	callers callersFlags
	format  string
	out     string
	json    bool
}

var matrixFormats = []string{"text", "markdown", "csv", "html", "json"}

func newMatrixCommand(live workspace.Live) *cobra.Command {
	var c matrixCommand
	cmd := &cobra.Command{
		Use:   "matrix [TOOL…]",
		Short: "Draw who may use what",
		Long: `Draw a map of callers and tools, prompts and resources: what each may use always, under a
condition, or never. Names and patterns such as 'github/*' choose some of them.

As HTML it is one page that loads nothing: with filters, and with each condition in a
sentence and in Cedar. In text and Markdown, callers who may use the same share a column.

` + callersHelp + ` It is an enumeration, and no proof.

` + workspace.Help,
		Example: `  mcpagg policy matrix --format html -o matrix.html
  mcpagg policy matrix 'github/*' --as dev --group platform
  mcpagg policy matrix --format csv > matrix.csv`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.do(cmd, args, live) },
	}
	c.flags.Add(cmd)
	c.callers.add(cmd)
	f := cmd.Flags()
	f.StringVar(&c.format, "format", "", "text, markdown, csv, html or json (default: what the name of -o ends in, or else text)")
	f.StringVarP(&c.out, "output", "o", "", "file to write, instead of standard output")
	f.BoolVar(&c.json, "json", false, "print JSON, the same as --format json")
	return cmd
}

func (c *matrixCommand) do(cmd *cobra.Command, args []string, live workspace.Live) error {
	format, err := c.wanted()
	if err != nil {
		return err
	}
	w, err := c.flags.Load(cmd.Context(), workspace.Options{Live: live, Stderr: cmd.ErrOrStderr()})
	if err != nil {
		return err
	}
	m, err := c.ask(w, args)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	p := &matrix{m: m, w: w, width: 80}
	if c.out == "" {
		p.width, p.paint = cli.Width(cmd.OutOrStdout()), cli.Painter(cli.Coloured(cmd.OutOrStdout()))
	}
	if err := p.write(&b, format); err != nil {
		return err
	}
	if c.out == "" {
		_, err := b.WriteTo(cmd.OutOrStdout())
		return err
	}
	if err := os.WriteFile(c.out, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the matrix: %w", err)
	}
	return nil
}

// wanted is the format that the flags ask for.
func (c *matrixCommand) wanted() (string, error) {
	format := c.format
	switch {
	case c.json:
		format = "json"
	case format == "":
		format = "text"
		for suffix, of := range map[string]string{".html": "html", ".htm": "html", ".csv": "csv", ".md": "markdown", ".json": "json"} {
			if strings.HasSuffix(strings.ToLower(c.out), suffix) {
				format = of
			}
		}
	}
	if !slices.Contains(matrixFormats, format) {
		return "", cli.UsageError("--format %q is not one of %s", cli.Visible(format), strings.Join(matrixFormats, ", "))
	}
	return format, nil
}

func (c *matrixCommand) ask(w *workspace.Workspace, args []string) (*survey.Map, error) {
	rows, err := chooseRows(w, args)
	if err != nil {
		return nil, err
	}
	all, err := callersOf(w, w.Policy.Policies)
	if err != nil {
		return nil, err
	}
	callers, err := c.callers.choose(all)
	if err != nil {
		return nil, err
	}
	m, err := survey.Of(w.Engine, callers, rows, survey.Options{Groups: w.Set.Groups})
	if err != nil {
		return nil, cli.UsageError("%w", err)
	}
	return m, nil
}

// A matrix prints a map.
type matrix struct {
	m     *survey.Map
	w     *workspace.Workspace
	width int
	paint cli.Painter
}

func (p *matrix) write(w io.Writer, format string) error {
	switch format {
	case "html":
		return p.html(w)
	case "csv":
		return p.csv(w)
	case "json":
		return p.json(w)
	case "markdown":
		return p.sheet().markdown(w)
	}
	return p.sheet().text(w)
}

func (p *matrix) html(w io.Writer) error {
	page := survey.Page{Made: time.Now(), Digest: p.w.Set.Options.Digest, Path: p.w.Path}
	if note := observed(p.w.Engine); note != "" {
		page.Notes = append(page.Notes, note)
	}
	return p.m.WriteHTML(w, page)
}

// csv has a line for each row, and a column for each caller: always, never, or when what
// holds in Cedar.
func (p *matrix) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	head := []string{"upstream", "name", "kind", "published"}
	for _, c := range p.m.Callers {
		head = append(head, cellText(c.Name))
	}
	_ = out.Write(head) // Error below says what is wrong
	for i, r := range p.m.Rows {
		line := []string{cellText(r.Object.Upstream()), cellText(r.Name()), r.Kind, cellText(r.Published)}
		for c := range p.m.Callers {
			a := p.m.At(c, i)
			text := a.Outcome.String()
			if a.Outcome == explain.Sometimes {
				text = "when " + cli.Visible(a.Condition())
			}
			line = append(line, text)
		}
		_ = out.Write(line)
	}
	out.Flush()
	return out.Error()
}

// cellText is a text that no spreadsheet takes for a formula.
func cellText(text string) string {
	text = cli.Visible(text)
	if text != "" && strings.ContainsRune("=+-@\t", rune(text[0])) {
		return "'" + text
	}
	return text
}

func (p *matrix) json(w io.Writer) error {
	type entry struct {
		jsonRow
		Answers []int `json:"answers"` // for each caller, a place in answers
	}
	out := struct {
		Callers []jsonCaller `json:"callers"`
		Answers []jsonAnswer `json:"answers"`
		Objects []entry      `json:"objects"`
	}{[]jsonCaller{}, []jsonAnswer{}, []entry{}}
	for _, c := range p.m.Callers {
		out.Callers = append(out.Callers, callerJSON(c))
	}
	known := map[*explain.Answer]int{}
	for i, r := range p.m.Rows {
		one := entry{jsonRow: rowJSON(r)}
		for c := range p.m.Callers {
			a := p.m.At(c, i)
			at, ok := known[a]
			if !ok {
				at = len(out.Answers)
				known[a] = at
				out.Answers = append(out.Answers, answerJSON(p.w.Path, a))
			}
			one.Answers = append(one.Answers, at)
		}
		out.Objects = append(out.Objects, one)
	}
	return cli.PrintJSON(w, out)
}
