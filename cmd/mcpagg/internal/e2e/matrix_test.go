//go:build e2e

package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	// matrixEnv names a file into which what became of each client is written.
	matrixEnv = "MCPAGG_MATRIX"

	matrixPage  = "../../../../docs/clients.md"
	matrixBegin = "<!-- matrix:begin -->\n"
	matrixEnd   = "<!-- matrix:end -->\n"
)

var update = flag.Bool("update", false, "write what the clients did into docs/clients.md")

// A step is one thing that a client has to do.
type step string

const (
	stepSignIn  step = "sign in"
	stepUse     step = "list and call"
	stepRefresh step = "refresh"
	stepRefused step = "ask again"
	stepAgain   step = "sign in again"
)

var steps = []step{stepSignIn, stepUse, stepRefresh, stepRefused, stepAgain}

// A matrix is what became of every client in every mode.
type matrix struct {
	mu   sync.Mutex
	rows []*row // guarded by mu
}

// A row is what became of one client in one mode. One goroutine has it at a time.
type row struct {
	Client, Mode string
	Done         []step
	Refused      string // how it asks to sign in again
	Asks         asks
}

// asks is what a client asks the provider for when somebody signs in.
type asks struct {
	Redirect string // with PORT instead of the port
	Scope    string
	Prompt   string
	Resource bool   // whether it says which resource
	Client   string // where its id comes from, in words
}

func (m *matrix) row(client, mode string) *row {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &row{Client: client, Mode: mode}
	m.rows = append(m.rows, r)
	return r
}

func (r *row) done(s step) { r.Done = append(r.Done, s) }

// note takes down what the client asked for. It has asked for the same twice.
func (r *row) note(t testing.TB, entries []journalEntry) {
	t.Helper()
	if len(entries) == 0 {
		t.Error("nobody knows what the client has asked for")
		return
	}
	e := entries[0]
	u, err := url.Parse(e.Redirect)
	if err != nil {
		t.Error(err)
		return
	}
	u.Host = u.Hostname() + ":PORT"
	r.Asks = asks{u.String(), e.Scope, e.Prompt, e.Resource != "", sourceOf(e.Client)}
}

// sourceOf says where a client's id comes from.
func sourceOf(id string) string {
	switch {
	case strings.HasPrefix(id, "https://"):
		return "its metadata document"
	case id == fixedID:
		return "the configuration"
	}
	return "registration"
}

// String says what works, as a cell of the table.
func (r *row) String() string {
	if len(r.Done) == len(steps) {
		return "everything"
	}
	if len(r.Done) == 0 {
		return "nothing"
	}
	var list []string
	for _, s := range r.Done {
		list = append(list, string(s))
	}
	return strings.Join(list, ", ")
}

// client returns the rows of a client in the order of the modes, or nil if it
// has not been through all of them in this run.
func (m *matrix) client(name string) []*row {
	var list []*row
	for _, mode := range signInModes {
		i := slices.IndexFunc(m.rows, func(r *row) bool { return r.Client == name && r.Mode == mode.name })
		if i < 0 {
			return nil
		}
		list = append(list, m.rows[i])
	}
	return list
}

// lines are what the page has to say. Clients that were left out of this run are
// left out.
func (m *matrix) lines() []string {
	lines := []string{
		"What clients did in `make e2e`. Everything is to sign in, list the tools and call one, refresh an access",
		"token that has ended, ask to sign in again where a refresh is refused, and do so. With `broker`, where a",
		"page asks whether to let the client in, each refresh was sent twice at once, and got the same token",
		"twice; and instead of refusing a refresh, `mcpagg sessions revoke` ended the sign-in between two calls.",
		"",
	}
	lines = append(lines, m.outcomes()...)
	lines = append(lines, "", "What they asked for when somebody signed in; the port of a redirect URI is often another one each time:", "")
	return append(lines, m.requests()...)
}

// outcomes is the table of what became of each client.
func (m *matrix) outcomes() []string {
	header, rule := "| client |", "|---|"
	for _, mode := range signInModes {
		header, rule = header+" "+mode.title+" |", rule+"---|"
	}
	lines := []string{header + " where it has to sign in again |", rule + "---|"}
	for _, c := range signInClients {
		rows := m.client(c.name)
		if rows == nil {
			continue
		}
		line := "| " + c.name + " |"
		for _, r := range rows {
			line += " " + r.String() + " |"
		}
		lines = append(lines, line+" "+once(rows, func(r *row) string { return r.Refused })+" |")
	}
	return lines
}

// requests is the table of what each client asked for. Scopes and prompt are those
// of the last mode, in which no gateway stands before the provider, and where the
// client id comes from is that of the first.
func (m *matrix) requests() []string {
	lines := []string{
		"| client | client id, with `broker` | redirect URI | `scope`, where it is to be `mcp:use` | `prompt` |", "|---|---|---|---|---|",
	}
	for _, c := range signInClients {
		rows := m.client(c.name)
		if rows == nil {
			continue
		}
		redirect := "that of the program"
		if c.ownRedirects {
			redirect = once(rows, func(r *row) string { return code(r.Asks.Redirect) })
		}
		first, last := rows[0].Asks, rows[len(rows)-1].Asks
		lines = append(lines, fmt.Sprintf("| %s | from %s | %s | %s | %s |", c.name, first.Client, redirect, code(last.Scope), code(last.Prompt)))
	}
	return lines
}

func code(text string) string {
	if text == "" {
		return "none"
	}
	return "`" + text + "`"
}

// once joins what rows say, without saying anything twice.
func once(rows []*row, say func(*row) string) string {
	var list []string
	for _, r := range rows {
		if text := say(r); text != "" && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, "; ")
}

// check compares the matrix with the page, or writes it there.
func (m *matrix) check(t *testing.T) {
	t.Helper()
	m.publish(t)
	page, err := os.ReadFile(matrixPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := bytes.Cut(page, []byte(matrixBegin))
	table, after, ends := bytes.Cut(rest, []byte(matrixEnd))
	if !begins || !ends {
		t.Fatalf("%s has no %s and %s", matrixPage, strings.TrimSpace(matrixBegin), strings.TrimSpace(matrixEnd))
	}
	lines := m.lines()
	if *update {
		whole := slices.Concat(before, []byte(matrixBegin), []byte(strings.Join(lines, "\n")+"\n"), []byte(matrixEnd), after)
		if err := os.WriteFile(matrixPage, whole, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	written := strings.Split(string(table), "\n")
	for _, line := range lines {
		if !slices.Contains(written, line) {
			t.Errorf("docs/clients.md has no line\n%s\nIf that is what clients do now, make matrix writes it there.", line)
		}
	}
}

// publish writes the matrix for other programs.
func (m *matrix) publish(t *testing.T) {
	t.Helper()
	file := os.Getenv(matrixEnv)
	if file == "" {
		return
	}
	if err := os.WriteFile(file, encode(m.rows), 0o644); err != nil {
		t.Error(err)
	}
}
