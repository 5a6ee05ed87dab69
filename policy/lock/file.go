package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of the file.
const (
	maxFile  = 64 << 20 // bytes
	maxTools = 100_000
	version  = 1
)

// fileText, upstreamText and pinText are the file as it is written.
type fileText struct {
	Version   int                     `json:"version"`
	Upstreams map[string]upstreamText `json:"upstreams"`
}

type upstreamText struct {
	Image string             `json:"image,omitempty"`
	Tools map[string]pinText `json:"tools"`
}

type pinText struct {
	SHA256       string         `json:"sha256,omitempty"` // of the rest
	Title        string         `json:"title,omitempty"`
	Description  string         `json:"description,omitempty"`
	Annotations  jsontext.Value `json:"annotations,omitempty"`
	InputSchema  jsontext.Value `json:"input_schema"`
	OutputSchema jsontext.Value `json:"output_schema,omitempty"`
}

// text is the pin as it is written, without its hash.
func (p Pin) text() pinText {
	return pinText{
		Title: p.Title, Description: p.Description, Annotations: jsontext.Value(p.Annotations),
		InputSchema: jsontext.Value(p.InputSchema), OutputSchema: jsontext.Value(p.OutputSchema),
	}
}

// Read reads the file. One that is not there is an error that is [fs.ErrNotExist].
// An error has the path and, where one can be told, the line.
func Read(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, fmt.Errorf("reading what was reviewed: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return File{}, fmt.Errorf("reading what was reviewed: %w", err)
	}
	file, err := Parse(text)
	if err != nil {
		return File{}, fmt.Errorf("%s:%w", path, err)
	}
	return file, nil
}

// Parse reads the text of a file. Whatever does not belong there is an error,
// which begins with the line. A pin whose text was changed by hand is one, too:
// nobody reviewed that.
func Parse(text []byte) (File, error) {
	if len(text) > maxFile {
		return File{}, fmt.Errorf("1: the file is larger than %d MiB", maxFile>>20)
	}
	var raw fileText
	if err := json.Unmarshal(text, &raw, json.RejectUnknownMembers(true)); err != nil {
		return File{}, fmt.Errorf("%d: %w; the file is written by: mcpagg lock", lineOf(text, err), explain(err))
	}
	if raw.Version != version {
		return File{}, fmt.Errorf("1: the file is of version %d, and this program knows version %d", raw.Version, version)
	}
	file := File{Upstreams: map[string]Upstream{}}
	tools := 0
	for _, label := range slices.Sorted(maps.Keys(raw.Upstreams)) {
		u := raw.Upstreams[label]
		if tools += len(u.Tools); tools > maxTools {
			return File{}, fmt.Errorf("1: the file has more than %d tools", maxTools)
		}
		pins := make(map[string]Pin, len(u.Tools))
		for _, name := range slices.Sorted(maps.Keys(u.Tools)) {
			var err error
			if pins[name], err = u.Tools[name].pin(); err != nil {
				return File{}, fmt.Errorf("%d: the tool %q of the upstream %q %w; take it out, and review it anew with: mcpagg lock",
					lineOfTool(text, label, name), Visible(name), Visible(label), err)
			}
		}
		file.Upstreams[label] = Upstream{Image: u.Image, Tools: pins}
	}
	return file, nil
}

// pin checks what was written.
func (t pinText) pin() (Pin, error) {
	p := Pin{Title: t.Title, Description: t.Description}
	err := errors.Join(
		canonical("annotations", t.Annotations, &p.Annotations),
		canonical("input_schema", t.InputSchema, &p.InputSchema),
		canonical("output_schema", t.OutputSchema, &p.OutputSchema),
	)
	switch {
	case err != nil:
		return Pin{}, fmt.Errorf("cannot be read: %w", err)
	case p.size() > maxPin:
		return Pin{}, fmt.Errorf("takes more than %d KiB", maxPin>>10)
	case p.Hash() != t.SHA256:
		return Pin{}, errors.New("is not what its sha256 says: the file was edited or merged by hand")
	}
	return p, nil
}

// lineOf is the line, from 1, where an error of decoding is.
func lineOf(text []byte, err error) int {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntax):
		return lineAt(text, syntax.ByteOffset)
	case errors.As(err, &semantic):
		return lineAt(text, semantic.ByteOffset)
	}
	return 1
}

func lineAt(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n"))
}

// lineOfTool is where a tool is in a file that was read.
func lineOfTool(text []byte, label, name string) int {
	at := jsontext.Pointer("").AppendToken("upstreams").AppendToken(label).AppendToken("tools").AppendToken(name)
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for d.StackPointer() != at {
		if _, err := d.ReadToken(); err != nil {
			return 1 // not reached
		}
	}
	return lineAt(text, d.InputOffset())
}

// Text is the file as it is written: sorted, and with short lines, so that a
// change of one tool shows as a change of a few lines.
func (f File) Text() []byte {
	raw := fileText{Version: version, Upstreams: map[string]upstreamText{}}
	for label, u := range f.Upstreams {
		tools := make(map[string]pinText, len(u.Tools))
		for name, p := range u.Tools {
			t := p.text()
			t.SHA256 = p.Hash()
			tools[name] = t
		}
		raw.Upstreams[label] = upstreamText{u.Image, tools}
	}
	text, err := json.Marshal(raw, json.Deterministic(true))
	if err != nil {
		panic("lock: " + err.Error()) // all of it was read from JSON
	}
	return layOut(text)
}

// updateTimeout bounds how long Update waits for another one.
const updateTimeout = 5 * time.Second

// Update changes the file, which need not be there, and replaces it at once:
// nobody ever reads half of it, and no two updates run at the same time. change
// gets what is in it now; if it fails, nothing is written. A new file can be read
// by everybody, and one that was there keeps its mode.
func Update(path string, change func(*File) error) error {
	target := path
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		target = resolved // a link to the file stays
	}
	next, err := claim(target + ".new")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := replace(target, next, change); err != nil {
		_ = next.Close() // it may be closed by now
		return errors.Join(err, os.Remove(next.Name()))
	}
	return nil
}

// replace puts the changed file in place of the other.
func replace(path string, next *os.File, change func(*File) error) error {
	file := File{Upstreams: map[string]Upstream{}}
	info, err := os.Stat(path)
	switch {
	case err == nil:
		if file, err = Read(path); err != nil {
			return err
		}
		if err := next.Chmod(info.Mode().Perm()); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := change(&file); err != nil {
		return err
	}
	_, err = next.Write(file.Text())
	if err := errors.Join(err, next.Sync(), next.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(next.Name(), path) // now another one may be claimed
}

// claim makes the file that will replace the other, which only one can at a time.
func claim(path string) (*os.File, error) {
	for deadline := time.Now().Add(updateTimeout); ; time.Sleep(10 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		switch {
		case err == nil || !errors.Is(err, fs.ErrExist):
			return f, err
		case time.Now().After(deadline):
			return nil, fmt.Errorf("somebody else is writing it; if nobody is, remove %s", path)
		}
	}
}
