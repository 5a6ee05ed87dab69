//go:build !unix

package control

import (
	"errors"
	"io/fs"
	"os"
)

func ownerOf(fs.FileInfo) (uid int, known bool) { return 0, false }

// lockFile fails: nothing would keep others out.
func lockFile(string) (*os.File, error) {
	return nil, errors.New("there are no private sockets on this system")
}
