package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/policy/lock"
)

// lockFile is the whole path of the mcpagg.lock beside the first configuration file.
func (d *decoder) lockFile() string {
	if len(d.inputs.Files) == 0 {
		return ""
	}
	return filepath.Join(filepath.Dir(d.inputs.Files[0]), lock.Name)
}

// lockLimit bounds the file, in bytes.
const lockLimit = 64 << 20

// reviewed reads what was reviewed of the tools; it is empty where nothing was.
func (d *decoder) reviewed() lock.File {
	path := d.lockFile()
	text, err := d.inputs.readOpenFile(path, lockLimit)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		return lock.File{}
	}
	if err != nil {
		d.mistake(nil, "Unreadable "+lock.Name, "%s: %v.", path, err)
		return lock.File{}
	}
	file, err := lock.Parse([]byte(text))
	if err != nil {
		at := d.lockRange(text, err)
		_, said, _ := strings.Cut(err.Error(), ": ")
		d.mistake(&at, "Invalid "+lock.Name, "%s", sentence(said))
	}
	return file
}

// lockRange is the line that an error of the lock file begins with, without its
// indentation.
func (d *decoder) lockRange(text string, err error) hcl.Range {
	shown := filepath.Join(filepath.Dir(d.mistakes.order[0]), lock.Name)
	d.mistakes.addFile(shown, []byte(text))
	number, _, _ := strings.Cut(err.Error(), ":")
	at, _ := strconv.Atoi(number)
	line, before := d.mistakes.line(shown, max(at, 1))
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	start := hcl.Pos{Line: max(at, 1), Column: 1 + indent, Byte: before + indent}
	end := hcl.Pos{Line: start.Line, Column: 1 + len([]rune(line)), Byte: before + len(line)}
	return hcl.Range{Filename: shown, Start: start, End: end}
}

// pin tells each upstream what was reviewed of its tools.
func pin(upstreams []aggregator.Upstream, reviewed lock.File) {
	for i := range upstreams {
		upstreams[i].Pins = reviewed.Upstreams[upstreams[i].Name].Tools
	}
}
