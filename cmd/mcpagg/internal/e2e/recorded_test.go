//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// recordedEnv makes the test binary serve the list in the file it names.
const recordedEnv = "MCPAGG_E2E_RECORDED"

// talkativeEnv makes it write its environment and all that it is sent to stderr.
const talkativeEnv = "MCPAGG_E2E_TALKATIVE"

// recordedPage is how many tools are in one page of the list.
const recordedPage = 10

// A recordedServer serves a recorded tools/list as it is, over stdio, in the
// legacy era. Tools answer with their own name and arguments. Two are special:
// "grow" adds a tool with the name in its argument "name"; "wait" never answers,
// and says on stderr when a call with such a name begins and is cancelled.
type recordedServer struct {
	tools   []json.RawMessage
	waiting map[string]string // name of each waiting call by request id
	out     io.Writer
}

// recorded is an upstream that serves the list in a file.
func recorded(t testing.TB, label, file string) upstream {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return upstream{label: label, command: []string{self}, env: map[string]string{recordedEnv: file}}
}

func serveRecorded(file string, in io.Reader, out io.Writer) error {
	tools, err := readCatalogue(file)
	if err != nil {
		return err
	}
	s := &recordedServer{tools, map[string]string{}, out}
	if os.Getenv(talkativeEnv) != "" {
		fmt.Fprintln(os.Stderr, strings.Join(os.Environ(), "\n"))
		in = io.TeeReader(in, os.Stderr)
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil // the client has left
		}
		var m struct {
			ID     json.RawMessage
			Method string
			Params json.RawMessage
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return err
		}
		if m.ID == nil {
			s.notified(m.Method, m.Params)
			continue
		}
		if err := s.answer(m.ID, m.Method, m.Params); err != nil {
			return err
		}
	}
}

// readCatalogue reads {"tools":[…]}. A definition is sent on one line, so the
// space between its tokens goes and all else stays.
func readCatalogue(file string) ([]json.RawMessage, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list struct{ Tools []json.RawMessage }
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i, raw := range list.Tools {
		var line bytes.Buffer
		if err := json.Compact(&line, raw); err != nil {
			return nil, err
		}
		list.Tools[i] = line.Bytes()
	}
	return list.Tools, nil
}

func (s *recordedServer) answer(id json.RawMessage, method string, params json.RawMessage) error {
	switch method {
	case "initialize":
		return s.send(object{"id": id, "result": object{
			"protocolVersion": legacyVersion,
			"capabilities":    object{"tools": object{"listChanged": true}},
			"serverInfo":      object{"name": "recorded", "version": "1"},
		}})
	case "ping":
		return s.send(object{"id": id, "result": object{}})
	case "tools/list":
		return s.send(object{"id": id, "result": s.page(params)})
	case "tools/call":
		return s.call(id, params)
	}
	return s.send(object{"id": id, "error": object{"code": -32601, "message": "no such method"}})
}

func (s *recordedServer) page(params json.RawMessage) object {
	var p struct{ Cursor string }
	_ = json.Unmarshal(params, &p) // absent params are the first page
	from, _ := strconv.Atoi(p.Cursor)
	to := min(from+recordedPage, len(s.tools))
	page := object{"tools": s.tools[from:to]}
	if to < len(s.tools) {
		page["nextCursor"] = strconv.Itoa(to)
	}
	return page
}

func (s *recordedServer) call(id, params json.RawMessage) error {
	var p struct {
		Name      string
		Arguments json.RawMessage
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return err
	}
	var a struct{ Name string }
	_ = json.Unmarshal(p.Arguments, &a) // other tools have other arguments
	switch p.Name {
	case "wait":
		s.waiting[string(id)] = a.Name
		fmt.Fprintln(os.Stderr, a.Name, "begins")
		return nil
	case "grow":
		s.tools = append(s.tools, definition(a.Name))
		if err := s.send(object{"method": "notifications/tools/list_changed"}); err != nil {
			return err
		}
	}
	text := p.Name + " " + string(p.Arguments)
	return s.send(object{"id": id, "result": object{"content": []object{{"type": "text", "text": text}}}})
}

func (s *recordedServer) notified(method string, params json.RawMessage) {
	var p struct{ RequestID json.RawMessage }
	if method == "notifications/cancelled" && json.Unmarshal(params, &p) == nil {
		fmt.Fprintln(os.Stderr, s.waiting[string(p.RequestID)], "is cancelled")
		delete(s.waiting, string(p.RequestID))
	}
}

func (s *recordedServer) send(m object) error {
	m["jsonrpc"] = "2.0"
	_, err := s.out.Write(append(encode(m), '\n'))
	return err
}

// definition is a tool with the string argument "name".
func definition(name string) json.RawMessage {
	return encode(object{"name": name, "description": "The tool " + name + ".", "inputSchema": object{
		"type": "object", "properties": object{"name": object{"type": "string"}},
	}})
}

// growing is an upstream whose list grows, and whose calls can wait.
func growing(t testing.TB, label string) upstream {
	t.Helper()
	list := encode(object{"tools": []json.RawMessage{definition("grow"), definition("wait")}})
	return recorded(t, label, newSandbox(t).write(t, "growing.json", list))
}

// testRecorded publishes recorded lists, each as an upstream of one gateway.
func testRecorded(t *testing.T, files map[string]string) {
	original := map[string][]tool{}
	var upstreams []upstream
	for label, file := range files {
		original[label] = recordedTools(t, file)
		upstreams = append(upstreams, recorded(t, label, file))
	}
	g := startGateway(t, upstreams...)
	g.awaitTools(t, slices.Collect(maps.Keys(files))...)
	for _, door := range g.doors(t) {
		list, err := listTools(t.Context(), door)
		if err != nil {
			t.Fatalf("%s: %v", door.era, err)
		}
		for label, tools := range original {
			checkPublished(t, label, tools, list)
		}
		checkArguments(t, door, "odd_numbers")
	}
}

// checkArguments calls a tool with arguments that decoding would change.
func checkArguments(t *testing.T, c client, name string) {
	t.Helper()
	const arguments = `{"z":[1.0,1e3,-0,0.10],"n":9007199254740993,"a":"<&> \u003c \ud83d\ude00 é","":null}`
	got, err := callTool(t.Context(), c, name, json.RawMessage(arguments))
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ Content []struct{ Text string } }
	if err := json.Unmarshal(got, &result); err != nil || len(result.Content) != 1 {
		t.Fatalf("%v in %s", err, got)
	}
	if _, came, _ := strings.Cut(result.Content[0].Text, " "); came != arguments {
		t.Errorf("arguments changed on their way\ngot  %s\nwant %s", came, arguments)
	}
}

func recordedTools(t testing.TB, file string) []tool {
	t.Helper()
	raws, err := readCatalogue(file)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]tool, len(raws))
	for i, raw := range raws {
		if list[i], err = newTool(raw); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return list
}

// recordedFiles are the lists of this folder, of MCPAGG_CATALOGUES and those
// given, by the label they get.
func recordedFiles(t testing.TB, live map[string][]tool) map[string]string {
	t.Helper()
	files := map[string]string{"odd": absolute(t, "testdata/odd.json")}
	s := newSandbox(t)
	for label, tools := range live {
		files["live-"+label] = s.write(t, label+".json", encode(object{"tools": definitions(tools)}))
	}
	dir := os.Getenv("MCPAGG_CATALOGUES")
	if dir == "" {
		return files
	}
	more, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(more) == 0 {
		t.Fatalf("no catalogues in %s: %v", dir, err)
	}
	for _, file := range more {
		files["file-"+strings.TrimSuffix(filepath.Base(file), ".json")] = absolute(t, file)
	}
	return files
}

func absolute(t testing.TB, file string) string {
	t.Helper()
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
