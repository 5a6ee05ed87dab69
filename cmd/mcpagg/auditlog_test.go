package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/control"
)

// An audited line is what tests look at of a line of the audit log.
type audited struct {
	Kind, Act, Who, What, Old, New, Mode, Error string
	Decision, Object, Reference                 string
	Reasons                                     []audit.Reason
	Looked                                      map[string]any
}

// auditLines are those of a file, which need not be there.
func auditLines(t *testing.T, path string) (all []audited) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(text)) {
		var line audited
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	return all
}

// TestAuditLog follows the audit log over reloads: it is opened once, goes on elsewhere
// where the configuration says so, and stays as it is where a reload is refused.
func TestAuditLog(t *testing.T) {
	synctest.Test(t, followAuditLog)
}

func followAuditLog(t *testing.T) {
	dir := t.TempDir()
	a := newAuditLog(slog.New(slog.DiscardHandler))
	one, other := filepath.Join(dir, "one.jsonl"), filepath.Join(dir, "other.jsonl")
	var first *audit.Log
	for _, step := range []struct {
		what    string
		want    []audit.Options
		refused bool   // the reload, by what comes after the audit log
		fails   string // why the audit log cannot be opened
		served  string // the path
	}{
		{"none", nil, false, "", ""},
		{"one, refused", []audit.Options{{Path: one}}, true, "", ""},
		{"one that cannot be", []audit.Options{{Path: dir}}, false, "is not a file", ""},
		{"one", []audit.Options{{Path: one}}, false, "", one},
		{"the same", []audit.Options{{Path: one}}, false, "", one},
		{"another that cannot be", []audit.Options{{Path: dir}}, false, "is not a file", one},
		{"another, refused", []audit.Options{{Path: other}}, true, "", one},
		{"another", []audit.Options{{Path: other}}, false, "", other},
		{"more of arguments", []audit.Options{{Path: other, Arguments: audit.Full}}, false, "", other},
		{"none any more", nil, false, "", ""},
		{"one again", []audit.Options{{Path: one}}, false, "", one},
	} {
		cfg := &config.Config{Audit: step.want}
		_, err := a.reload(func(context.Context, *config.Config) (aggregator.Changes, error) {
			if step.refused {
				return aggregator.Changes{}, errors.New("refused")
			}
			return aggregator.Changes{}, nil
		})(t.Context(), cfg)
		if (err != nil) != (step.refused || step.fails != "") || err != nil && step.fails != "" && !strings.Contains(err.Error(), step.fails) {
			t.Errorf("%s: %v", step.what, err)
		}
		a.act(audit.Record{Act: step.what})
		synctest.Wait()
		served := ""
		if s := a.status(); s != nil {
			served = s.Path
		}
		if served != step.served {
			t.Errorf("%s: %q is served, want %q", step.what, served, step.served)
		}
		if err != nil {
			continue
		}
		if (cfg.Gateway.Audit != nil) != (step.want != nil) {
			t.Errorf("%s: the gateway has %v", step.what, cfg.Gateway.Audit)
		}
		if first == nil {
			first = cfg.Gateway.Audit
		}
		if got := cfg.Gateway.Audit; got != nil && got != first {
			t.Errorf("%s: there is another log", step.what)
		}
	}
	a.close()
	a.act(audit.Record{Act: "too late"})
	for path, want := range map[string]string{
		one:   "opened; closed; opened; one; the same; another that cannot be; another, refused; closed; opened; one again; closed",
		other: "opened; another; closed; opened; more of arguments; closed",
	} {
		var got []string
		for _, line := range auditLines(t, path) {
			got = append(got, cmp.Or(line.Act, line.Kind))
		}
		if got := strings.Join(got, "; "); got != want {
			t.Errorf("lines %s, want %s", got, want)
		}
	}
}

// TestActs has what operators do to a gateway written down, with who they are.
func TestActs(t *testing.T) {
	o := idle(t, "notes")
	o.reloads.swap = o.audit.reload(func(context.Context, *config.Config) (aggregator.Changes, error) { return aggregator.Changes{}, nil })
	socket := filepath.Join(t.TempDir(), "run", "mcpagg.sock")
	ln, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: controlHandler(o), ConnContext: control.WithPeer}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	ctx, stop := context.WithCancel(t.Context())
	reloads := make(chan struct{})
	go func() {
		defer close(reloads)
		o.reloads.run(ctx)
	}()
	client, path := control.Client(socket), o.audit.status().Path
	for _, ask := range []struct{ path, body string }{
		{"/sessions/revoke", `{"person": "Ann Example", "client": "OpenCode"}`},
		{"/sessions/revoke", `{"ids": ["x", "y"]}`},
		{"/sessions/revoke", `{"all": true}`},
		{"/sessions/revoke", `{}`}, // is no act
		{"/keys/rotate", ``},
		{"/reload", ``},
	} {
		resp, err := client.Post(control.URL+ask.path, "application/json", strings.NewReader(ask.body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	key := o.signIns.broker().Status().KeyID
	client.CloseIdleConnections()
	server.Close()
	<-served
	stop()
	<-reloads
	o.audit.close()
	all := auditLines(t, path)
	var acts []string
	for _, line := range all {
		if line.Kind != "act" {
			continue
		}
		if want := fmt.Sprintf("uid %d", os.Geteuid()); line.Who != want {
			t.Errorf("%s: %q did it, want %q", line.Act, line.Who, want)
		}
		acts = append(acts, line.Act+": "+line.What)
		switch line.Act {
		case "rotate_keys":
			if line.Old == "" || line.Old == line.New || line.New != key {
				t.Errorf("keys from %q to %q, want to %q", line.Old, line.New, key)
			}
		case "revoke":
			if line.New != "0 sessions ended" {
				t.Errorf("of sessions: %q", line.New)
			}
		case "reload":
			if len(line.Old) != 64 || line.Old != line.New || line.Error != "" {
				t.Errorf("a reload from %q to %q", line.Old, line.New)
			}
		}
	}
	want := []string{
		"start: mcpagg " + programVersion(), "revoke: person Ann Example, client OpenCode", "revoke: ids x y", "revoke: all",
		"rotate_keys: keys", "reload: configuration, which has no audit block any more",
	}
	if diff := gocmp.Diff(want, acts); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
}

// TestAuditedGateway calls a gateway, reloads and ends it, and then finds all of it in
// its audit log.
func TestAuditedGateway(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	const policies = "policy {\n  inline = \"%s\"\n}\n"
	const permit = "@id(\\\"all\\\") permit(principal, action, resource);"
	const forbid = permit + "@id(\\\"no-x\\\") forbid(principal, action, resource) when { context.input.text == \\\"x\\\" };"
	const block = "audit \"file\" \"main\" {\n  path = \"log/audit.jsonl\"\n}\n"
	h.write(t, "gateway.hcl", block+fmt.Sprintf(policies, permit)+notesBlock)
	g := h.start(t)
	g.awaitStates(t, "notes connected")
	if got := g.note(t); got != "Noted as number 1." {
		t.Errorf("a note gives %q", got)
	}
	h.write(t, "gateway.hcl", block+fmt.Sprintf(policies, forbid)+notesBlock)
	if _, stderr, code := h.run(t, "reload"); code != 0 {
		t.Fatal(stderr)
	}
	denied := g.note(t)
	if s := g.status(t).Audit; s == nil || s.Lost != 0 || s.LastError != "" {
		t.Errorf("status %+v", s)
	}
	if _, body := g.get(t, "/metrics"); !strings.Contains(body, "mcpagg_decisions_total{decision=\"deny\"} 1") || !strings.Contains(body, "mcpagg_audit_writable 1") {
		t.Errorf("the metrics do not tell")
	}
	if err := g.signal(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	all := auditLines(t, filepath.Join(h.dir, "log", "audit.jsonl"))
	var got []string
	for _, line := range all {
		got = append(got, strings.TrimSpace(strings.Join([]string{line.Kind, cmp.Or(line.Act, line.Decision), line.Object}, " ")))
	}
	want := []string{"opened", "act start", "decision allow add", "act reload", "act policies", "decision deny add", "closed"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("lines (-want +got):\n%s", diff)
	}
	if deny := all[5]; len(deny.Reasons) != 1 || deny.Reasons[0].ID != "no-x" || !strings.Contains(denied, deny.Reference) || deny.Looked["context.input.text"] != "x" {
		t.Errorf("%+v, and the client was told %q", deny, denied)
	}
	reload, changed := all[3], all[4]
	if who := fmt.Sprintf("uid %d", os.Geteuid()); reload.Who != who || changed.Who != who || reload.New == reload.Old || changed.New == changed.Old || reload.Old != all[1].New {
		t.Errorf("a reload is %+v and %+v", reload, changed)
	}
}

// A gateway whose audit log cannot be opened does not start.
func TestAuditLogCannotBeOpened(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(t, "gateway.hcl", "audit \"file\" \"main\" {\n  path = \".\"\n}\n"+notesBlock)
	if _, stderr, code := h.run(t, "serve", "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "is not a file; name one") {
		t.Errorf("exits with %d: %s", code, stderr)
	}
}
