package upstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A socketFolder is where the sockets of one container are. Its lock tells
// others whether the process that made it is still there.
type socketFolder struct {
	dir     string // for this user alone
	sockets string // in dir: what the container is shown
	lock    *os.File
}

// makeSocketFolder makes a folder in base, which is made if need be; "" means
// one among the temporary files. What processes that have ended have left there
// is removed. It waits for others who do the same, until ctx ends.
func makeSocketFolder(ctx context.Context, base string) (*socketFolder, error) {
	if base == "" {
		base = filepath.Join(os.TempDir(), "mcpagg-"+strconv.Itoa(os.Geteuid()))
	}
	if err := makePrivate(base); err != nil {
		return nil, err
	}
	// Nobody makes a folder, or takes one for left, at the same time.
	turn, err := takeTurn(ctx, filepath.Join(base, "lock"))
	if err != nil {
		return nil, err
	}
	defer turn.Close()
	removeLeftFolders(base)
	dir, err := os.MkdirTemp(base, "")
	if err != nil {
		return nil, err
	}
	f := &socketFolder{dir: dir, sockets: filepath.Join(dir, "s")}
	f.lock, err = flock(filepath.Join(dir, "lock"), syscall.LOCK_EX)
	if err == nil {
		err = os.Mkdir(f.sockets, 0o700)
	}
	if err == nil {
		err = os.Chmod(f.sockets, 0o777) // for the container's user; others do not get as far
	}
	if err != nil {
		f.remove()
		return nil, err
	}
	return f, nil
}

// makePrivate makes a folder, and checks that it is this user's alone.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || stat == nil || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s must be a directory of the gateway's user that nobody else may enter (chmod 700)", dir)
	}
	return nil
}

func (f *socketFolder) path(socket string) string { return filepath.Join(f.sockets, socket) }

func (f *socketFolder) remove() {
	_ = os.RemoveAll(f.dir)
	if f.lock != nil {
		_ = f.lock.Close()
	}
}

// removeLeftFolders removes the folders in base that nobody has locked.
func removeLeftFolders(base string) {
	entries, _ := os.ReadDir(base)
	for _, entry := range entries {
		dir := filepath.Join(base, entry.Name())
		if !entry.IsDir() {
			continue
		}
		lock, err := flock(filepath.Join(dir, "lock"), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		_ = os.RemoveAll(dir)
		if lock != nil {
			_ = lock.Close()
		}
	}
}

// takeTurn locks a file, for which it waits until ctx ends. flock(2) would wait
// for longer, such as for a process that is frozen.
func takeTurn(ctx context.Context, path string) (*os.File, error) {
	for {
		turn, err := flock(path, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return turn, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-time.After(turnPoll):
		}
	}
}

const turnPoll = 10 * time.Millisecond

// flock locks a file, which is made if need be, until it is closed or the
// process has ended.
func flock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return f, nil
}
