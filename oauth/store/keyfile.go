package store

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// readKeyFile returns the key in a file that only we may read.
func readKeyFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the key of the store: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("the key of the store: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("others may read %s, the key of the store (mode %04o): chmod 600 %[1]s, and replace the key if others can have read it", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", fmt.Errorf("the key of the store: %w", err)
	}
	if len(bytes.TrimSpace(text)) < minSecret {
		return "", fmt.Errorf("there is no key in %s: put it back from a backup, or move the folder %s away to begin anew: everybody has to sign in again then", path, filepath.Dir(path))
	}
	return string(text), nil
}

// makeKeyFile writes 32 random bytes in base64 into a file, which is there whole
// or not at all.
func makeKeyFile(path string) (string, error) {
	secret := make([]byte, keySize)
	rand.Read(secret)
	text := base64.StdEncoding.EncodeToString(secret)
	if err := writeFile(path, []byte(text+"\n")); err != nil {
		return "", fmt.Errorf("writing the key of the store: %w", err)
	}
	return text, nil
}

// writeFile makes a file of mode 0600 that is on the disk when it returns.
func writeFile(path string, data []byte) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSynced(temporary, data); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
