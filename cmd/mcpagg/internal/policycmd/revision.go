package policycmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/policy/source"
)

// Bounds of what is read of a revision. They are those of folders.
const (
	maxRevisionFile  = 4 << 20
	maxRevisionFiles = 10_000
	maxRevisionTotal = 64 << 20
	maxTree          = 64 << 20 // bytes of a list of names
	gitTimeout       = time.Minute
)

// A revision is what somebody wrote to name policies in git: main, or main:policies.
type revision struct {
	text   string
	commit string
	path   string // "" where none is named
}

// parseRevision takes REVISION or REVISION:PATH. What looks like a flag is no revision:
// git is never given one.
func parseRevision(text string) (revision, error) {
	r := revision{text: text}
	r.commit, r.path, _ = strings.Cut(text, ":")
	switch {
	case strings.HasPrefix(text, "-"):
		return r, cli.UsageError("%q is no revision: those of git do not begin with -", cli.Visible(text))
	case r.commit == "":
		return r, cli.UsageError("%q names no revision; write one before the colon, such as main:policies", cli.Visible(text))
	case strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return r, cli.UsageError("%q is no revision", cli.Visible(text))
	}
	return r, nil
}

// A repository runs git in a folder. Nothing in the repository is changed.
type repository struct{ folder string }

// errNoPath says that a revision has nothing at a path.
var errNoPath = errors.New("there is no such path in the revision")

// read is the policies of a revision, at its path or else in the repository's folder.
// Their names are that of the folder and the path from there.
func (g repository) read(ctx context.Context, r revision, name string) ([]source.File, error) {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	if _, err := g.run(ctx, nil, maxTree, "rev-parse", "--git-dir"); err != nil {
		return nil, g.outside(r, err)
	}
	commit, err := g.run(ctx, nil, maxTree, "rev-parse", "--verify", "--quiet", r.commit+"^{commit}")
	if err != nil {
		return nil, cli.UsageError("%q is neither a file, a folder nor a revision of git", cli.Visible(r.text))
	}
	at := r.path
	if at == "" && !strings.Contains(r.text, ":") {
		at = "./"
	}
	object, err := g.run(ctx, nil, maxTree, "rev-parse", "--verify", "--quiet", strings.TrimSpace(string(commit))+":"+at)
	if err != nil {
		return nil, errNoPath
	}
	return g.object(ctx, strings.TrimSpace(string(object)), name)
}

// outside says why git can read nothing here.
func (g repository) outside(r revision, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return cli.UsageError("%q is neither a file nor a folder, and to read a revision git has to be installed", cli.Visible(r.text))
	}
	where := "this folder"
	if g.folder != "" {
		where = cli.Visible(g.folder)
	}
	return cli.UsageError("%q is neither a file nor a folder, and it can be no revision, since git knows no repository for %s: %w", cli.Visible(r.text), where, err)
}

// object is the policies in a tree, or the one file that it is.
func (g repository) object(ctx context.Context, id, name string) ([]source.File, error) {
	sort, err := g.run(ctx, nil, maxTree, "cat-file", "-t", id)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(string(sort)) == "blob" {
		return g.blobs(ctx, []entry{{id, name}})
	}
	listed, err := g.run(ctx, nil, maxTree, "ls-tree", "-r", "-z", "-l", "--full-tree", id)
	if err != nil {
		return nil, err
	}
	entries, err := policyEntries(string(listed), name)
	if err != nil {
		return nil, err
	}
	return g.blobs(ctx, entries)
}

// An entry is a file of policies in a tree.
type entry struct{ id, name string }

// policyEntries are those of a list of git ls-tree, sorted by name. As in folders, what
// begins with a dot is left out; a link would lead to what is not looked at.
func policyEntries(listed, folder string) ([]entry, error) {
	var all []entry
	total := 0
	for line := range strings.SplitSeq(listed, "\x00") {
		about, name, ok := strings.Cut(line, "\t")
		fields := strings.Fields(about)
		if !ok || len(fields) != 4 || hidden(name) {
			continue
		}
		if mode := fields[0]; mode == "120000" || mode == "160000" {
			return nil, cli.UsageError("%s is a link or a module in the revision, which is not followed; check it out, and name the folder", cli.Visible(path.Join(folder, name)))
		}
		if !strings.HasSuffix(name, ".cedar") {
			continue
		}
		size, _ := strconv.Atoi(fields[3])
		total += size
		all = append(all, entry{fields[2], path.Join(folder, name)})
		if size > maxRevisionFile || total > maxRevisionTotal || len(all) > maxRevisionFiles {
			return nil, cli.UsageError("with %s, the policies of the revision are more than %d MiB or %d files", cli.Visible(name), maxRevisionTotal>>20, maxRevisionFiles)
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func hidden(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return strings.HasPrefix(part, ".") })
}

// blobs are the texts of files.
func (g repository) blobs(ctx context.Context, entries []entry) ([]source.File, error) {
	var ids strings.Builder
	for _, e := range entries {
		ids.WriteString(e.id + "\n")
	}
	out, err := g.run(ctx, strings.NewReader(ids.String()), maxRevisionTotal+maxTree, "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(bytes.NewReader(out))
	files := make([]source.File, 0, len(entries))
	for _, e := range entries {
		text, err := blob(r)
		if err != nil {
			return nil, fmt.Errorf("reading %s of the revision: %w", cli.Visible(e.name), err)
		}
		files = append(files, source.File{Name: e.name, Text: text})
	}
	return files, nil
}

// blob is the next of what git cat-file --batch printed.
func blob(r *bufio.Reader) ([]byte, error) {
	head, err := r.ReadString('\n')
	fields := strings.Fields(head)
	if err != nil || len(fields) != 3 || fields[1] != "blob" {
		return nil, fmt.Errorf("git says %q", cli.Visible(strings.TrimSpace(head)))
	}
	size, err := strconv.Atoi(fields[2])
	if err != nil || size < 0 || size > maxRevisionFile {
		return nil, fmt.Errorf("it is larger than %d MiB", maxRevisionFile>>20)
	}
	text := make([]byte, size+1) // and the end of its line
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	return text[:size], nil
}

// run is what a git command prints, at most so many bytes.
func (g repository) run(ctx context.Context, in io.Reader, most int, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = g.folder, in
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	out, errs := &boundedBuffer{most: most}, &boundedBuffer{most: 1 << 10}
	cmd.Stdout, cmd.Stderr = out, errs
	switch err := cmd.Run(); {
	case out.full:
		return nil, fmt.Errorf("git %s printed more than %d MiB", args[0], most>>20)
	case err != nil && errs.Len() > 0:
		return nil, errors.New(cli.Visible(strings.TrimSpace(errs.String())))
	case err != nil:
		return nil, fmt.Errorf("running git %s: %w", args[0], err)
	}
	return out.Bytes(), nil
}

// A boundedBuffer keeps the beginning of what is written, and takes the rest.
type boundedBuffer struct {
	bytes.Buffer
	most int
	full bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if room := b.most - b.Len(); room < len(p) {
		b.full = true
		b.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
