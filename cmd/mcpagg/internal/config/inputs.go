package config

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"maps"
	"os"
	"slices"
)

// Inputs are the files that a configuration was read from, and what was in them
// then.
type Inputs struct {
	// Files are the configuration files, with their whole paths, in their order.
	Files []string

	paths  []string                     // as given to Load
	read   []string                     // by file()
	sums   map[string][sha256.Size]byte // by path, of those that could be read
	digest hash.Hash
}

func newInputs(paths []string) *Inputs {
	return &Inputs{paths: paths, sums: map[string][sha256.Size]byte{}, digest: sha256.New()}
}

// sawSource notes what is in a configuration file.
func (in *Inputs) sawSource(path string, text []byte, err error) {
	path = absolute(path)
	if slices.Contains(in.Files, path) {
		return
	}
	in.Files = append(in.Files, path)
	in.saw(path, text, err)
	in.digest.Write(text) // never fails
}

// sawRead notes what file() has read.
func (in *Inputs) sawRead(path string, text []byte, err error) {
	if !slices.Contains(in.read, path) {
		in.read = append(in.read, path)
	}
	in.saw(path, text, err)
}

func (in *Inputs) saw(path string, text []byte, err error) {
	if err == nil {
		in.sums[path] = sha256.Sum256(text)
	}
}

// Digest is the SHA-256 of the configuration files one after the other, in hex.
func (in *Inputs) Digest() string { return hex.EncodeToString(in.digest.Sum(nil)) }

// Equal reports whether the same files hold the same.
func (in *Inputs) Equal(other *Inputs) bool { return maps.Equal(in.sums, other.sums) }

// Now looks at the files again, at those that directories hold by now, and at
// those that file() read.
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
	for _, path := range in.read {
		text, err := readText(path)
		now.sawRead(path, []byte(text), err)
	}
	return now
}
