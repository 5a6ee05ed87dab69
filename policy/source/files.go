package source

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Bounds of what ReadDir reads.
const (
	maxFileSize = 4 << 20
	maxFiles    = 10_000
	maxTotal    = 64 << 20
	maxEntries  = 100_000 // names in all folders
	maxFolders  = 32      // in each other
)

// Read reads one file, whatever its name ends in, or what [ReadDir] reads of a folder.
func Read(path string) ([]File, error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return ReadDir(path)
	}
	d := dirReader{}
	if info.Mode().IsRegular() {
		d.file(path)
	} else {
		d.mistake(path, "this is neither a file nor a folder", "name one with policies")
	}
	return d.files, d.mistakes.asError()
}

// ReadDir reads the *.cedar files in a folder and those below it, sorted by name.
// Their names are dir and the path from there. Links are followed; files and
// folders whose names begin with a dot are left out, which editors and file systems
// make. Whatever is wrong is in the error, which is [Mistakes]; a folder without
// such files is not wrong.
func ReadDir(dir string) ([]File, error) {
	d := dirReader{}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.mistake(dir, "there is no such folder", "create it, or correct its name")
	case err != nil:
		d.failed(dir, err)
	case !info.IsDir():
		d.mistake(dir, "this is not a folder", "name the folder that holds the *.cedar files")
	default:
		d.folder(dir, []fs.FileInfo{info})
	}
	slices.SortStableFunc(d.mistakes, func(a, b Mistake) int { return cmp.Compare(a.File, b.File) })
	if err := d.mistakes.asError(); err != nil {
		return nil, err
	}
	slices.SortFunc(d.files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return d.files, nil
}

// A dirReader gathers files.
type dirReader struct {
	files          []File
	mistakes       Mistakes
	entries, total int
	full           bool // a bound is reached, of which a mistake tells
}

func (d *dirReader) mistake(name, text, remedy string) {
	d.mistakes = append(d.mistakes, Mistake{File: name, Text: text, Remedy: remedy})
}

// enough tells once that a bound is reached, and has the reader stop.
func (d *dirReader) enough(name, text, remedy string) {
	if !d.full {
		d.mistake(name, text, remedy)
	}
	d.full = true
}

// failed is a mistake of the file system.
func (d *dirReader) failed(name string, err error) {
	switch {
	case errors.Is(err, syscall.ELOOP):
		d.mistake(name, "this link leads to itself", "remove it")
	case errors.Is(err, fs.ErrNotExist):
		d.mistake(name, "this link leads nowhere", "remove it, or correct where it leads")
	case errors.Is(err, fs.ErrPermission):
		d.mistake(name, "reading this is not permitted", "let the user that the gateway runs as read it")
	default:
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err
		}
		d.mistake(name, "reading this: "+err.Error(), "")
	}
}

// folder reads what is in a folder. above are the folders that it is in, and itself.
func (d *dirReader) folder(name string, above []fs.FileInfo) {
	if len(above) > maxFolders {
		d.enough(name, fmt.Sprintf("folders are more than %d deep in each other", maxFolders), "move the policies further up")
		return
	}
	list, err := os.ReadDir(name)
	if err != nil {
		d.failed(name, err)
	}
	for _, entry := range list {
		if d.entries++; d.entries > maxEntries {
			d.enough(name, fmt.Sprintf("there are more than %d names in these folders", maxEntries), "keep policies in a folder of their own")
		}
		if d.full {
			return
		}
		if !strings.HasPrefix(entry.Name(), ".") {
			d.entry(filepath.Join(name, entry.Name()), entry, above)
		}
	}
}

// entry reads a file, or the folder that an entry is or leads to.
func (d *dirReader) entry(name string, entry fs.DirEntry, above []fs.FileInfo) {
	policy := strings.HasSuffix(name, ".cedar")
	if !policy && entry.Type().IsRegular() {
		return
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		if policy || errors.Is(err, syscall.ELOOP) { // else it is none of ours
			d.failed(name, err)
		}
	case info.IsDir():
		if slices.ContainsFunc(above, func(other fs.FileInfo) bool { return os.SameFile(info, other) }) {
			d.mistake(name, "this link leads to a folder that it is in", "remove it")
			return
		}
		d.folder(name, append(slices.Clip(above), info))
	case !policy:
	case !info.Mode().IsRegular():
		d.mistake(name, "this is not a file", "remove it")
	default:
		d.file(name)
	}
}

func (d *dirReader) file(name string) {
	f, err := os.Open(name)
	if err != nil {
		d.failed(name, err)
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		d.failed(name, err)
		return
	}
	if len(text) > maxFileSize {
		d.mistake(name, fmt.Sprintf("the file is larger than %d MiB", maxFileSize>>20), "split it")
		return
	}
	if len(d.files) == maxFiles {
		d.enough(name, fmt.Sprintf("with this file there are more than %d", maxFiles), "put several policies into one file")
		return
	}
	if d.total += len(text); d.total > maxTotal {
		d.enough(name, fmt.Sprintf("with this file there are more than %d MiB of policies", maxTotal>>20), "name groups, tags or upstreams instead of people and tools")
		return
	}
	d.files = append(d.files, File{Name: name, Text: text})
}
