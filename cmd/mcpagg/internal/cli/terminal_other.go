//go:build !unix

package cli

import "os"

// TerminalSize is the size of a terminal in characters, or false if the file is
// none, as here.
func TerminalSize(*os.File) (width, height int, ok bool) { return 0, 0, false }
