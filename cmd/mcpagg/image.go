package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/upstream"
)

func newImageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "image",
		Short:   "Manage the images that upstreams run in",
		Example: "  mcpagg image pin -c gateway.hcl",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImagePinCommand())
	return cmd
}

func newImagePinCommand() *cobra.Command {
	var p pinner
	cmd := &cobra.Command{
		Use:   "pin [UPSTREAM…]",
		Short: "Replace the tags of images by digests",
		Long: `Replace the tags of images by the digests that they stand for now, in the
configuration files, so that the same image is run from then on whatever becomes
of the tag. The tag stays in a comment behind it. Images that are not there are
pulled.

With --update, those that are pinned already are pinned anew, to what the tag in
the comment stands for by now. With --check, nothing is pulled or written: the
exit code is 1 if an image is not pinned.`,
		Example: `  mcpagg image pin -c gateway.hcl
  mcpagg image pin -c gateway.hcl --update github
  mcpagg image pin -c conf.d --check --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.out, p.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return p.run(cmd.Context(), args)
		},
	}
	addConfigFlag(cmd, &p.paths)
	cmd.Flags().BoolVar(&p.update, "update", false, "pin anew what is pinned already")
	cmd.Flags().BoolVar(&p.check, "check", false, "only say which images are not pinned")
	cmd.Flags().BoolVar(&p.json, "json", false, "print as JSON")
	return cmd
}

// A pinner pins images in configuration files.
type pinner struct {
	paths               []string
	update, check, json bool
	out, err            io.Writer
}

// A pin is what became of one image.
type pin struct {
	Upstream string `json:"upstream"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Image    string `json:"image"`
	Pinned   string `json:"pinned,omitempty"` // the reference by digest
	Changed  bool   `json:"changed"`
	Error    string `json:"error,omitempty"`
}

func (p *pinner) run(ctx context.Context, upstreams []string) error {
	cfg, err := loadConfig(p.paths, p.err)
	if err != nil {
		return err
	}
	images, err := chosen(cfg.Images(), upstreams)
	if err != nil {
		return err
	}
	containers := upstream.NewContainers(0, slog.New(slog.DiscardHandler))
	pins := make([]pin, len(images))
	failed := 0
	// From the last one on, so that the places of the others stay true.
	for i, image := range slices.Backward(images) {
		pins[i] = p.pin(ctx, containers, image)
		if pins[i].Error != "" {
			failed++
		}
	}
	if err := p.print(pins); err != nil {
		return err
	}
	switch {
	case failed == 0:
		return nil
	case p.check:
		return &exitError{Code: exitRunTime, Err: fmt.Errorf("%s not pinned; pin with: mcpagg image pin", count(failed, "image"))}
	}
	return &exitError{Code: exitRunTime, Err: fmt.Errorf("%s could not be pinned", count(failed, "image"))}
}

// chosen are the images of the upstreams that are named, of all if none is, each
// place in a file once.
func chosen(images []config.Image, upstreams []string) ([]config.Image, error) {
	for _, name := range upstreams {
		if !slices.ContainsFunc(images, func(i config.Image) bool { return i.Upstream == name }) {
			return nil, usageError("there is no upstream %q with a container in the configuration", name)
		}
	}
	images = slices.DeleteFunc(images, func(i config.Image) bool {
		return len(upstreams) > 0 && !slices.Contains(upstreams, i.Upstream)
	})
	slices.SortStableFunc(images, func(a, b config.Image) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Offset-b.Offset)
	})
	return slices.CompactFunc(images, func(a, b config.Image) bool {
		return a.File == b.File && a.Offset == b.Offset
	}), nil
}

func (p *pinner) pin(ctx context.Context, containers *upstream.Containers, image config.Image) pin {
	result := pin{Upstream: image.Upstream, File: image.File, Line: image.Line, Image: image.Container.Image}
	var err error
	switch pinned := upstream.IsPinned(result.Image); {
	case pinned && !p.update:
		result.Pinned = result.Image
	case p.check && !pinned:
		err = fmt.Errorf("not pinned")
	default:
		result.Pinned, result.Changed, err = p.rewrite(ctx, containers, image)
	}
	if err != nil {
		result.Error = err.Error()
	}
	return result
}

// rewrite pins an image in its file.
func (p *pinner) rewrite(ctx context.Context, containers *upstream.Containers, image config.Image) (pinned string, changed bool, err error) {
	text, err := os.ReadFile(image.File)
	if err != nil {
		return "", false, err
	}
	c := *image.Container
	if upstream.IsPinned(c.Image) {
		if c.Image = image.PinnedFrom(text); c.Image == "" {
			return "", false, fmt.Errorf("there is no comment behind the image that says which tag it was pinned from; write one: # %s:TAG", upstream.RepositoryOf(image.Container.Image))
		}
	}
	if c.Pull == upstream.PullNever {
		c.Pull = upstream.PullMissing // asking for it here is not running it
	}
	if p.update {
		c.Pull = upstream.PullAlways
	}
	if pinned, err = containers.Pinned(ctx, &c, p.progress(c.Image)); err != nil || pinned == image.Container.Image {
		return pinned, false, err
	}
	if text, err = os.ReadFile(image.File); err != nil { // to pull may have taken minutes
		return pinned, false, err
	}
	if text, err = image.Pin(text, pinned, c.Image); err != nil {
		return pinned, false, err
	}
	return pinned, true, cli.ReplaceFile(image.File, text)
}

// progress prints what the engine says, now and then.
func (p *pinner) progress(image string) func(string) {
	var last time.Time
	return func(line string) {
		if time.Since(last) >= time.Second {
			fmt.Fprintf(p.err, "%s: %s\n", image, visible(line))
			last = time.Now()
		}
	}
}

func (p *pinner) print(pins []pin) error {
	if p.json {
		return printJSON(p.out, pins)
	}
	for _, pin := range pins {
		switch {
		case pin.Error != "":
			fmt.Fprintf(p.out, "%s: %s: %s\n", pin.Upstream, pin.Image, visible(pin.Error))
		case pin.Changed:
			fmt.Fprintf(p.out, "%s: %s -> %s\n", pin.Upstream, pin.Image, pin.Pinned)
		default:
			fmt.Fprintf(p.out, "%s: %s is pinned\n", pin.Upstream, pin.Image)
		}
	}
	if len(pins) == 0 {
		fmt.Fprintln(p.out, "No upstream runs in a container.")
	}
	return nil
}
