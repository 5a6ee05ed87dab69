package policycmd

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/policy/explain"
	"github.com/mcpagg/mcpagg/policy/persona"
	"github.com/mcpagg/mcpagg/policy/replay"
)

// past explains a request of the audit file, as far as that tells it.
func (e *explainCommand) past(cmd *cobra.Command, w *workspace.Workspace) error {
	files, err := logsOf(e.logs, w, time.Time{})
	if err != nil {
		return err
	}
	record, err := replay.Find(files, e.fromLog)
	if err != nil {
		return cli.UsageError("%w", err)
	}
	object := replay.NewObjects(w.Objects).Of(record)
	if object == nil {
		return cli.UsageError("what %s is about is not in the catalog; write it anew with: mcpagg catalog pull", cli.Visible(record.Place()))
	}
	request, unknown := replay.RequestOf(record, object, w.Set.Groups)
	if request == nil {
		return cli.UsageError("%s does not tell who called", cli.Visible(record.Place()))
	}
	note := "of " + cli.Visible(record.Place()) + ", which does not tell: " + strings.Join(unknown, ", ") + "; it is taken as not there"
	v := explain.New(w.Engine).Explain(request, nil)
	v.Notes = append(v.Notes, note)
	if j := w.Engine.Judge().Of(replay.PastOf(record, object, w.Set.Groups)); !j.Certain() {
		v.Notes = append(v.Notes, "so this need not be what comes out: that depends on "+cli.Visible(strings.Join(j.Lacks, ", ")))
	}
	who := &persona.Persona{Name: record.Caller, ID: request.Principal.ID}
	p := &explained{w: w, who: who, request: request, paint: cli.Painter(cli.Coloured(cmd.OutOrStdout())), json: e.json}
	return p.verdict(cmd.OutOrStdout(), v)
}
