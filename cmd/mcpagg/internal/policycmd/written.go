package policycmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/format"
)

// policyText is a policy as it stands in a file.
func policyText(tree *ast.Policy) string {
	return laidOutText(string(ast.Compile(tree).MarshalCedar()))
}

// laidOutText is a policy as mcpagg policy fmt lays it out. One that cannot be read is
// left as it is, for people to see what is wrong.
func laidOutText(policy string) string {
	made, err := format.Source("policy", []byte(policy))
	if err != nil {
		return policy + "\n"
	}
	return string(made)
}

// A newFile is one that a command writes.
type newFile struct {
	path string
	text []byte
}

// writeNew writes files that must not be there yet, all or none.
func writeNew(files []newFile) error {
	for _, f := range files {
		if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
			return cli.UsageError("%s is there already, and nothing is overwritten: take another name", cli.Visible(f.path))
		}
	}
	for i, f := range files {
		if err := writeOne(f); err != nil {
			for _, written := range files[:i] {
				_ = os.Remove(written.path) // what else failed is said
			}
			return err
		}
	}
	return nil
}

func writeOne(f newFile) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(f.text)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(f.path) // half a file would pass for a whole one
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	return nil
}

// freeID is an id like the wanted one that nothing has, and takes it.
func freeID(wanted string, taken map[string]bool) string {
	id := wanted
	for n := 2; taken[id]; n++ {
		id = fmt.Sprintf("%s-%d", wanted, n)
	}
	taken[id] = true
	return id
}

// slug is a text as part of an id or a file's name: small letters, digits and dashes.
func slug(text string) string {
	const longest = 60
	var b bytes.Buffer
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && b.Bytes()[b.Len()-1] != '-':
			b.WriteByte('-')
		}
		if b.Len() == longest {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}
