//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// TerminalSize is the size of a terminal in characters, or false if the file is
// none.
func TerminalSize(file *os.File) (width, height int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	return int(size.Col), int(size.Row), true
}
