package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// File is a folder that holds each secret in a file of its own, as Kubernetes,
// Docker and systemd put them there. A name is a path in the folder, which
// cannot lead out of it, by a symbolic link neither. The line break that ends
// the file is not part of the value.
type File struct{ Dir string }

// Get implements [Source].
func (f File) Get(_ context.Context, name string) (string, error) {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return "", fmt.Errorf("the folder cannot be opened: %w", cause(err))
	}
	defer root.Close()
	// Opening a pipe would block without O_NONBLOCK.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", refused("there is no such file in the folder")
	case errors.Is(err, fs.ErrPermission):
		return "", refused("the gateway may not read the file")
	case isLeaving(err):
		return "", refused("it leads out of the folder; set dir to the folder it is in")
	case err != nil:
		return "", fmt.Errorf("the file cannot be opened: %w", cause(err))
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", refused("this is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxValue+3)) // and a line break, and one byte too many
	if err != nil {
		return "", fmt.Errorf("the file cannot be read: %w", cause(err))
	}
	return withoutLineEnd(string(text)), nil
}

// isLeaving reports whether a path leads out of the root that it was opened in.
// [os.Root] has no error of its own for that.
func isLeaving(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), "path escapes from parent")
}

// cause is err without the operation and path, which the message has already.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
