package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/mcpagg/mcpagg/upstream"
)

// An Image is that of one upstream's container, and where it stands.
type Image struct {
	Upstream  string
	Container *upstream.Container
	// File is the configuration file, Line the line in it, from 1, and Offset where
	// in it the reference begins, in bytes.
	File         string
	Line, Offset int

	at hcl.Range
}

// Images are those of all containers, in the order of their upstreams.
func (c *Config) Images() []Image {
	var images []Image
	for i := range c.file.Upstreams {
		if u := &c.file.Upstreams[i]; u.Container != nil {
			at := u.Container.Image.at
			images = append(images, Image{u.label, u.Container.options(&c.file.Containers), at.Filename, at.Start.Line, at.Start.Byte, at})
		}
	}
	return images
}

// tagComment is the rest of a line behind a pinned image, which says what it was
// pinned from.
var tagComment = regexp.MustCompile(`^[ \t]*# ([A-Za-z0-9][A-Za-z0-9._:/@+-]*)[ \t]*$`)

// PinnedFrom is the reference in the comment behind a pinned image, in the text
// of the file; "" for none.
func (i Image) PinnedFrom(text []byte) string {
	if i.at.End.Byte > len(text) {
		return ""
	}
	return i.tagIn(restOfLine(text[i.at.End.Byte:]))
}

// tagIn is the reference in the rest of a line behind the image; "" for none. A
// word that is no tag of the same repository is somebody's own.
func (i Image) tagIn(line []byte) string {
	m := tagComment.FindSubmatch(line)
	if m == nil || upstream.RepositoryOf(string(m[1])) != upstream.RepositoryOf(i.Container.Image) {
		return ""
	}
	return string(m[1])
}

// restOfLine is the text up to the end of its first line.
func restOfLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// Pin replaces the reference in the text of the file by one with a digest, and
// notes from in a comment behind it. It fails if the reference is not written
// there as it is.
func (i Image) Pin(text []byte, pinned, from string) ([]byte, error) {
	written := strconv.Quote(i.Container.Image)
	start, end := i.at.Start.Byte, i.at.End.Byte
	if end > len(text) || string(text[start:end]) != written {
		return nil, fmt.Errorf("%s:%d: the image is not written out here; write %q in its place", i.File, i.Line, pinned)
	}
	line := restOfLine(text[end:])
	replacement := strconv.Quote(pinned)
	if i.tagIn(line) != "" {
		end += len(line)
		line = nil
	}
	if len(bytes.TrimSpace(line)) == 0 && !strings.HasSuffix(i.File, ".json") {
		replacement += " # " + from
	}
	return append(append(bytes.Clone(text[:start]), replacement...), text[end:]...), nil
}
