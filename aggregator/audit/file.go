package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A file is an *os.File, or in tests one that fails.
type file interface {
	io.ReaderAt
	io.WriteCloser
	Sync() error
	Stat() (fs.FileInfo, error)
}

// openFile opens the file at a path to append to it. Links are refused: whoever may
// change one would decide which file the gateway writes to.
func openFile(path string) (file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("%w; make the folder, and let the gateway's user write to it", err)
	}
	if info, err := os.Lstat(path); err == nil {
		if err := check(path, info); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w; let the gateway's user read and write the file, and its folder", err)
	}
	if err := isAt(f, path); err != nil { // it was replaced meanwhile
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// check says what is wrong with what is at the path already.
func check(path string, info fs.FileInfo) error {
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		return fmt.Errorf("%s is a symbolic link; name the file that it leads to", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file; name one, or a place where there is none", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to %s, which has mode %#o: chmod go-w it", path, info.Mode().Perm())
	}
	return nil
}

// isAt reports whether the file is what is at the path, and why not.
func isAt(f file, path string) error {
	at, err := os.Lstat(path)
	if err != nil {
		return err
	}
	own, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(at, own) {
		return fmt.Errorf("%s is another file than before", path)
	}
	return nil
}

// A target is a file that lines are written to, and how.
type target struct {
	path string
	mode Arguments
	file file
	size int64 // as far as the writer knows
	torn bool  // the last line was not ended
}

// target opens a file.
func (l *Log) target(o Options) (*target, error) {
	f, err := l.files(o.Path)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	t := &target{path: o.Path, mode: cmp.Or(o.Arguments, Hashed), file: f}
	if err := t.look(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the audit log: %w", err), f.Close())
	}
	return t, nil
}

// look finds out how the file ends. It is torn if a gateway that had it open before
// died within a line.
func (t *target) look() error {
	info, err := t.file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	_, err = t.file.ReadAt(last, info.Size()-1)
	t.size, t.torn = info.Size(), last[0] != '\n'
	return err
}

func (t *target) write(text []byte) (n int, err error) {
	n, err = t.file.Write(text)
	t.size += int64(n)
	return n, err
}

// moved reports whether another file is at the path, or none, or it was made shorter:
// somebody keeps what was in it elsewhere.
func (t *target) moved() bool {
	if isAt(t.file, t.path) != nil {
		return true
	}
	info, err := t.file.Stat()
	return err != nil || info.Size() < t.size
}

// name is the target as lines of others have it.
func (t *target) name() string { return cut(fmt.Sprintf("%s (%s)", t.path, t.mode), 1024) }
