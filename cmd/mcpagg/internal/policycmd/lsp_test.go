package policycmd_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An editor speaks with a program.
type editor struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

func (e *editor) send(message string) {
	e.t.Helper()
	if _, err := fmt.Fprintf(e.in, "Content-Length: %d\r\n\r\n%s", len(message), message); err != nil {
		e.t.Fatal(err)
	}
}

// until is the first message with all of the texts in it.
func (e *editor) until(texts ...string) string {
	e.t.Helper()
	for {
		header, err := textproto.NewReader(e.out).ReadMIMEHeader()
		if err != nil {
			e.t.Fatalf("waiting for %q: %v", texts, err)
		}
		n, err := strconv.Atoi(header.Get("Content-Length"))
		if err != nil {
			e.t.Fatal(err)
		}
		content := make([]byte, n)
		if _, err := io.ReadFull(e.out, content); err != nil {
			e.t.Fatal(err)
		}
		found := true
		for _, text := range texts {
			found = found && strings.Contains(string(content), text)
		}
		if found {
			return string(content)
		}
	}
}

// TestLanguageServer speaks with the real program, started as editors start it.
func TestLanguageServer(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "mcpagg")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/mcpagg/mcpagg/cmd/mcpagg").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	folder := filepath.Join(dir, "a folder")
	write := func(name, text string) {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const policy = `@id("a") permit(principal in Group::"platform", action == Action::"call_tool", resource == Tool::"github/create_issue");`
	write("gateway.hcl", "upstream \"github\" { command = [\"x\"] }\ngroup \"platform\" { id = \"1\" }\npolicy { dir = \"policies\" }\n")
	write("catalog.json", `{"version":1,"tools":[{"upstream":"github","original":"create_issue","published":"gh_create_issue","input_schema":{"type":"object","properties":{"repo":{"type":"string"}}}}]}`)
	write("policies/a.cedar", policy)

	cmd := exec.Command(program, "policy", "lsp", "--stdio")
	cmd.Dir, cmd.Stderr = dir, t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() }) // so that reading ends
	defer late.Stop()
	e := &editor{t: t, in: in, out: bufio.NewReader(out)}
	uri := "file://" + filepath.ToSlash(dir) + "/a%20folder"
	e.send(`{"jsonrpc":"2.0","id":"one","method":"initialize","params":{"rootUri":"` + uri + `","capabilities":{}}}`)
	e.until(`"id":"one"`, `"utf-16"`, `"name":"mcpagg"`)
	e.send(`{"jsonrpc":"2.0","method":"initialized","params":{}}`)
	file := uri + "/policies/a.cedar"
	e.send(`{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"` + file + `","version":1,"languageId":"cedar","text":` + quoted(strings.ReplaceAll(policy, "create", "craete")) + `}}}`)
	e.until(file, "unknown-tool", `did you mean Tool::\"github/create_issue\"?`)
	e.send(`{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"` + file + `","version":2},"contentChanges":[{"text":` + quoted(policy) + `}]}}`)
	e.until(file, `"version":2`, `"diagnostics":[]`)
	at := func(mark string) string {
		return fmt.Sprintf(`"params":{"textDocument":{"uri":%q},"position":{"line":0,"character":%d},"options":{}}}`, file, strings.Index(policy, mark)+1)
	}
	e.send(`{"jsonrpc":"2.0","id":2,"method":"textDocument/definition",` + at("platform"))
	e.until(`"id":2`, uri+"/gateway.hcl", `"line":1`)
	e.send(`{"jsonrpc":"2.0","id":3,"method":"textDocument/hover",` + at("github/"))
	e.until(`"id":3`, `gh\\_create\\_issue`, `properties`)
	e.send(`{"jsonrpc":"2.0","id":4,"method":"textDocument/completion",` + at("platform"))
	e.until(`"id":4`, `"label":"platform"`)
	e.send(`{"jsonrpc":"2.0","id":5,"method":"textDocument/formatting",` + at("permit"))
	e.until(`"id":5`, `@id(\"a\")\n`)

	// The tool is gone from the catalog.
	write("catalog.json", `{"version":1,"tools":[{"upstream":"github","original":"other_tool","published":"gh_other_tool"}]}`)
	e.until(file, "unknown-tool")
	e.send(`{"jsonrpc":"2.0","id":6,"method":"shutdown"}`)
	e.until(`"id":6`)
	e.send(`{"jsonrpc":"2.0","method":"exit"}`)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func quoted(s string) string {
	raw, _ := json.Marshal(s) // texts are JSON
	return string(raw)
}
