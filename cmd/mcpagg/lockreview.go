package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/policy/lock"
	"github.com/mcpagg/mcpagg/upstream"
)

// The states of an upstream, or a tool, as against what was reviewed.
const (
	stateReviewed     = "reviewed"
	stateNew          = "new"
	stateChanged      = "changed"
	stateRenamed      = "renamed"
	stateGone         = "gone"
	stateUnpinnable   = "unpinnable"
	stateUnreachable  = "unreachable"
	stateUnconfigured = "unconfigured"
)

// An upstreamReview says how an upstream stands to what was reviewed of it.
type upstreamReview struct {
	Upstream string `json:"upstream"`
	State    string `json:"state"`           // reviewed, new, changed, unreachable or unconfigured
	Error    string `json:"error,omitempty"` // why it could not be reached
	// Image is how the digest of its image differs; null if it does not.
	Image      *lock.Change `json:"image,omitempty"`
	ImageError string       `json:"image_error,omitempty"` // why the digest is not known
	// Tools are those to be reviewed, Same is how many are as reviewed.
	Tools []toolReview `json:"tools"`
	Same  int          `json:"same"`
	// Pinned says that they are pinned by now, or the pins removed.
	Pinned bool `json:"pinned"`

	was, now lock.Upstream
	known    bool // the lock has it
}

// A toolReview is what is to be reviewed of one tool.
type toolReview struct {
	Tool    string        `json:"tool"`            // original name
	State   string        `json:"state"`           // new, changed, renamed, gone or unpinnable
	From    string        `json:"from,omitempty"`  // the name before, if it was renamed
	Error   string        `json:"error,omitempty"` // why it cannot be pinned
	Changes []lock.Change `json:"changes,omitempty"`
	// Suspicious is what people would not see in it.
	Suspicious []string `json:"suspicious,omitempty"`

	pin       lock.Pin
	described bool // its description is another one
}

// unconfigured is the review of an upstream that only the lock knows.
func unconfigured(label string, was lock.Upstream) upstreamReview {
	return upstreamReview{Upstream: label, State: stateUnconfigured, Tools: []toolReview{}, Same: len(was.Tools), was: was, known: true}
}

// differs reports whether there is something to pin.
func (r *upstreamReview) differs() bool {
	return r.State == stateNew || r.State == stateChanged
}

// compare compares an upstream's definitions with what was reviewed.
func (r *upstreamReview) compare(u aggregator.UpstreamStatus, definitions map[string]json.RawMessage, image string, imageError error) {
	r.Tools = []toolReview{}
	if u.State != upstream.Connected {
		r.State, r.Error, r.Same = stateUnreachable, u.LastError, len(r.was.Tools)
		return
	}
	r.now = lock.Upstream{Image: image, Tools: map[string]lock.Pin{}}
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		r.compareTool(name, definitions[name])
	}
	r.findGone()
	if imageError != nil {
		r.ImageError = imageError.Error()
	}
	if r.known && r.was.Image != image {
		r.Image = &lock.Change{What: "image", Was: r.was.Image, Is: image}
	}
	unpinnable := func(t toolReview) bool { return t.State == stateUnpinnable }
	switch {
	case !r.known:
		r.State = stateNew
	case r.Image == nil && !slices.ContainsFunc(r.Tools, func(t toolReview) bool { return !unpinnable(t) }):
		r.State = stateReviewed
	default:
		r.State = stateChanged
	}
}

func (r *upstreamReview) compareTool(name string, definition json.RawMessage) {
	t := toolReview{Tool: name, State: stateNew}
	now, err := lock.PinOf(definition)
	if err != nil {
		t.State, t.Error = stateUnpinnable, err.Error()
		r.Tools = append(r.Tools, t)
		return
	}
	r.now.Tools[name] = now
	was, known := r.was.Tools[name]
	if known && was.Equal(now) {
		r.Same++
		return
	}
	if known {
		t.State, t.Changes, t.described = stateChanged, was.Diff(now), was.Description != now.Description
	}
	t.pin, t.Suspicious = now, append(suspiciousName(name), now.Suspicious()...)
	r.Tools = append(r.Tools, t)
}

// suspiciousName says what of a tool's name people would not see. Letters beyond
// ASCII may look like others.
func suspiciousName(name string) []string {
	var notes []string
	for _, note := range lock.Suspicious(name) {
		notes = append(notes, "name: "+note)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		notes = append(notes, "name: characters beyond ASCII, which may look like others")
	}
	return notes
}

// findGone adds the tools that are not there any more, but for those that have
// another name now.
func (r *upstreamReview) findGone() {
	for _, name := range slices.Sorted(maps.Keys(r.was.Tools)) {
		if r.has(name) {
			continue
		}
		was := r.was.Tools[name]
		renamed := slices.IndexFunc(r.Tools, func(t toolReview) bool { return t.State == stateNew && t.pin.Equal(was) })
		if renamed >= 0 {
			r.Tools[renamed].State, r.Tools[renamed].From = stateRenamed, name
			continue
		}
		r.Tools = append(r.Tools, toolReview{Tool: name, State: stateGone})
	}
	slices.SortStableFunc(r.Tools, func(a, b toolReview) int { return strings.Compare(a.Tool, b.Tool) })
}

// has reports whether the upstream has a tool of that name.
func (r *upstreamReview) has(name string) bool {
	_, pinned := r.now.Tools[name]
	return pinned || slices.ContainsFunc(r.Tools, func(t toolReview) bool { return t.Tool == name })
}

// imageOf is the digest of the image that an upstream's container has run from just
// now, "" if it is in none.
func imageOf(ctx context.Context, u *aggregator.Upstream) (string, error) {
	if u.Container == nil {
		return "", nil
	}
	ref := u.Container.Image
	if !upstream.IsPinned(ref) {
		c := *u.Container
		c.Pull = upstream.PullNever // it is there, or the upstream is not
		var err error
		ref, err = upstream.NewContainers(0, slog.New(slog.DiscardHandler)).Pinned(ctx, &c, func(string) {})
		if err != nil {
			return "", err
		}
	}
	_, digest, _ := strings.Cut(ref, "@")
	return digest, nil
}
