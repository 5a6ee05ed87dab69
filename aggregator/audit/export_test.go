package audit

import (
	"os"
	"reflect"
	"strings"
)

// MaxQueued bounds the records that wait.
const MaxQueued = maxQueued

// A File is what a log writes to.
type File = file

// OpenWith opens a log whose files are replaced by others.
func OpenWith(o Options, replace func(*os.File) File) (*Log, error) {
	return open(o, func(path string) (file, error) {
		f, err := openFile(path)
		if err != nil {
			return nil, err
		}
		return replace(f.(*os.File)), nil
	})
}

// Members are the names of the members of a line, in their order.
func Members() (names []string) {
	for f := range reflect.TypeFor[line]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
