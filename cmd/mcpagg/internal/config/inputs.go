package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/suite"
)

// Inputs are the files that a configuration was read from, and what was in them
// then.
type Inputs struct {
	// Files are the configuration files, with their whole paths, in their order.
	Files []string

	paths  []string                     // as given to Load
	read   map[string]int               // other files and how much of each was read at most
	dirs   []string                     // of policies
	tests  []string                     // folders whose tests have to pass
	sums   map[string][sha256.Size]byte // by path, of those that could be read
	open   map[string]bool              // the paths of those that are no secrets
	digest hash.Hash
}

func newInputs(paths []string) *Inputs {
	return &Inputs{paths: paths, read: map[string]int{}, sums: map[string][sha256.Size]byte{}, open: map[string]bool{}, digest: sha256.New()}
}

// sawSource notes what is in a configuration file.
func (in *Inputs) sawSource(path string, text []byte, err error) {
	path = absolute(path)
	if slices.Contains(in.Files, path) {
		return
	}
	in.Files = append(in.Files, path)
	in.saw(path, text, err)
	in.open[path] = true
	in.digest.Write(text) // never fails
}

// readFile reads a file that the configuration names, of at most limit bytes.
func (in *Inputs) readFile(path string, limit int) (string, error) {
	in.read[path] = limit
	text, err := readText(path, limit)
	in.saw(path, []byte(text), err)
	return text, err
}

// readOpenFile is readFile for one that holds no secrets.
func (in *Inputs) readOpenFile(path string, limit int) (string, error) {
	in.open[path] = true
	return in.readFile(path, limit)
}

// readFolder reads the policies in a folder.
func (in *Inputs) readFolder(dir string) ([]source.File, error) {
	if !slices.Contains(in.dirs, dir) {
		in.dirs = append(in.dirs, dir)
	}
	files, err := source.ReadDir(dir)
	for _, f := range files {
		in.saw(f.Name, f.Text, nil)
		in.open[f.Name] = true
	}
	if err != nil {
		in.saw(dir, []byte(err.Error()), nil)
	}
	return files, err
}

// readTests reads the tests in a folder.
func (in *Inputs) readTests(dir string) ([]source.File, error) {
	in.tests = append(in.tests, dir)
	files, err := suite.Files(os.DirFS(dir), filepath.ToSlash(dir))
	for _, f := range files {
		in.saw(f.Name, f.Text, nil)
	}
	if err != nil {
		in.saw(dir+" tests", []byte(err.Error()), nil)
	}
	return files, err
}

func (in *Inputs) saw(path string, text []byte, err error) {
	if err == nil {
		in.sums[path] = sha256.Sum256(text)
	}
}

// Digest is the SHA-256 of the configuration files one after the other, in hex.
func (in *Inputs) Digest() string { return hex.EncodeToString(in.digest.Sum(nil)) }

// State is the SHA-256, in hex, of all files that decide something: those of the
// configuration, and of its policies and the lock with their names. Files with secrets
// are left out, which somebody might find out by it.
func (in *Inputs) State() string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(in.open)) {
		if sum, ok := in.sums[path]; ok {
			fmt.Fprintf(h, "%q %x\n", path, sum) // never fails
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Equal reports whether the same files hold the same.
func (in *Inputs) Equal(other *Inputs) bool { return maps.Equal(in.sums, other.sums) }

// Now looks at the files again, at those that directories hold by now, and at
// those that file() read and that policies are made of.
func (in *Inputs) Now() *Inputs {
	now := newInputs(in.paths)
	for _, path := range in.paths {
		files, err := sourcesIn(path)
		if err != nil { // not a directory
			files = []string{path}
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			now.sawSource(file, text, err)
		}
	}
	for path, limit := range in.read {
		_, _ = now.readFile(path, limit) // what cannot be read is noted as that
	}
	for _, dir := range in.dirs {
		_, _ = now.readFolder(dir)
	}
	for _, dir := range in.tests {
		_, _ = now.readTests(dir)
	}
	return now
}
