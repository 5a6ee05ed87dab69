package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// probeSize is what has to fit on the disk before the store is used.
const probeSize = 1 << 20

// makeFolder makes the folder if it is not there, and refuses one that others may
// look into.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskError(dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return diskError(dir, err)
	}
	if uid, known := ownerOf(info); known && uid != os.Getuid() {
		return fmt.Errorf("the store's folder %s belongs to the user with id %d, and the gateway runs as %d: chown %[3]d %[1]s, or choose another folder", dir, uid, os.Getuid())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others may look into the store's folder %s (mode %04o): chmod 700 %[1]s, or choose a folder inside it", dir, info.Mode().Perm())
	}
	return nil
}

// probe reports whether the folder can be written to now.
func probe(dir string) error {
	path := filepath.Join(dir, "store.probe")
	defer os.Remove(path)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeSynced(path, make([]byte, probeSize))
}

// diskError says what to do when the folder cannot be used.
func diskError(dir string, err error) error {
	remedy := "make it a folder that the gateway can write to"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("there is no space for the store in %s: free at least %d MiB there: %w", dir, probeSize>>20, err)
	case errors.Is(err, syscall.EROFS):
		remedy = "mount it so that it can be written to, or choose another folder"
	case errors.Is(err, fs.ErrPermission):
		remedy = fmt.Sprintf("have it belong to the user with id %d, with mode 700, or choose another folder", os.Getuid())
	}
	return fmt.Errorf("the store cannot be written to %s: %s: %w", dir, remedy, err)
}
