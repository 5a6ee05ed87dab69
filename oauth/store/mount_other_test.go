//go:build unix && !linux

package store_test

import (
	"errors"
	"os/exec"
	"testing"
)

func canMount(*testing.T) bool { return false }

func ownMounts(*exec.Cmd) {}

func mountMemory(string, int) error { return errors.ErrUnsupported }

func mountReadOnly(string) error { return errors.ErrUnsupported }
