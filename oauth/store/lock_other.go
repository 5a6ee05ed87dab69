//go:build !unix

package store

import (
	"errors"
	"io/fs"
	"os"
)

func ownerOf(fs.FileInfo) (uid int, known bool) { return 0, false }

// lockFolder fails: nothing would keep a second gateway out.
func lockFolder(string) (*os.File, error) {
	return nil, errors.New("there is no store on this system; keep everything in memory")
}
