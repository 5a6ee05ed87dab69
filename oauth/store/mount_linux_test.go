package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func init() {
	children["mount"] = func(dir string) error { return mountMemory(dir, 1<<20) }
}

// canMount reports whether a process of ours can have mounts of its own. In some
// containers nobody can.
func canMount(t *testing.T) bool {
	cmd := child(t, "mount", t.TempDir())
	ownMounts(cmd)
	return cmd.Run() == nil
}

// ownMounts gives a process mounts that end with it; to somebody who is not root, in
// a user namespace in which it is.
func ownMounts(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
}

// mountMemory mounts a disk in memory, in a process with mounts of its own.
func mountMemory(dir string, bytes int) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts to ourselves: %w", err)
	}
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", bytes))
}

// mountReadOnly has a folder be one that nobody can write to.
func mountReadOnly(dir string) error {
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
}
