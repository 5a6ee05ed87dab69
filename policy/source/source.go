// Package source reads policies: files of Cedar text, with the annotations that
// mean something here, rewritten where they are in the form of ToolHive.
//
//	files, err := source.ReadDir("policies")
//	policies, warnings, err := source.Parse(files, source.Options{Upstreams: []string{"github"}})
//
// Whatever is wrong is said at once, as [Mistakes]: each with its place and what
// to do about it.
package source

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/cedar-policy/cedar-go"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// A File is the text of one policy file.
type File struct {
	Name string // as people know it, such as policies/github.cedar
	Text []byte
}

// A Policy is one policy as it is decided by. It never changes.
type Policy struct {
	ID           string // its @id, else FILE#N, the Nth of its file
	File         string
	Line, Column int
	Permit       bool
	AST          *ast.Policy   // rewritten
	Compiled     *cedar.Policy // of AST
	DenyMessage  string        // @deny_message, "" for none
	Observe      bool          // @observe: it is not in effect, and logged
	Obligations  Obligations   // of a permit
	Rewritten    []string      // what was rewritten, in words
}

// Options say what is known of the configuration.
type Options struct {
	Upstreams []string // labels; nil: they are not known, and any will do
	// Only is the upstream of tools that are named without one, "" for none.
	Only string
	// Types are entity types of the operator's own, Targets the attributes of the
	// context that bind blocks make.
	Types, Targets []string
	// Attributes are what the operator's entities have beyond the vocabulary where
	// they are of its types.
	Attributes   []string
	Groups, Apps []string // aliases
}

// Digest is the SHA-256 of files with their names, in hex. The order counts.
func Digest(files []File) string {
	h := sha256.New()
	for _, f := range files {
		for _, part := range [][]byte{[]byte(f.Name), f.Text} {
			var size [8]byte // so that no two lists of files are one text
			binary.BigEndian.PutUint64(size[:], uint64(len(part)))
			h.Write(size[:])
			h.Write(part)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
