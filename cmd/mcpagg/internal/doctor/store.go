package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// store looks at the folder of who is signed in, without changing anything.
func (x *examination) store(context.Context) []Finding {
	switch {
	case x.opts.Broker == nil:
		return nil
	case x.opts.Broker.Store == "":
		return []Finding{{Verdict: OK, Seen: "who is signed in is kept in memory only"}}
	}
	dir := x.opts.Broker.Store
	if f, ok := folder(dir); !ok {
		return []Finding{f}
	}
	if f, ok := keyFile(filepath.Join(dir, "store.key")); !ok {
		return []Finding{f}
	}
	switch used, err := locked(filepath.Join(dir, "store.lock")); {
	case err != nil:
		return []Finding{{Verdict: Warning, Seen: fmt.Sprintf("%s could not be looked at: %v", dir, withoutPath(err)), Remedy: "Run this as the user of the gateway."}}
	case used:
		return []Finding{{Verdict: OK, Seen: dir + " is closed to others, and a gateway that runs has it"}}
	}
	return []Finding{{Verdict: OK, Seen: dir + " is closed to others, and no gateway has it"}}
}

// folder says whether the folder can be the store's; not if it is not there yet,
// where there is no more to see.
func folder(dir string) (Finding, bool) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{Verdict: OK, Seen: dir + " is not there yet; the gateway makes it"}, false
	case err != nil:
		return Finding{Verdict: Warning, Seen: fmt.Sprintf("%s could not be looked at: %v", dir, withoutPath(err)), Remedy: "Run this as the user of the gateway."}, false
	case !info.IsDir():
		return Finding{Verdict: Problem, Seen: dir + " is no folder", Remedy: "Choose another one with store.dir."}, false
	case info.Mode().Perm()&0o077 != 0:
		return Finding{
			Verdict: Problem, Seen: fmt.Sprintf("others may look into %s (mode %04o), so the gateway does not start", dir, info.Mode().Perm()),
			Remedy: fmt.Sprintf("chmod 700 %s, or choose a folder inside it with store.dir.", dir),
		}, false
	}
	return Finding{}, true
}

// keyFile says whether others may read the key that the gateway has made, if it has.
func keyFile(path string) (Finding, bool) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return Finding{}, true
	}
	return Finding{
		Verdict: Problem, Seen: fmt.Sprintf("others may read %s (mode %04o), so the gateway does not start", path, info.Mode().Perm()),
		Remedy: fmt.Sprintf("chmod 600 %s. If somebody can have read it, rotate the keys and end all sessions: mcpagg keys rotate, mcpagg sessions revoke --all.", path),
	}, false
}

// withoutPath is an error of the file system without the path.
func withoutPath(err error) error {
	if about := (*fs.PathError)(nil); errors.As(err, &about) {
		return about.Err
	}
	return err
}
