package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/oauth"
)

// A blockRequest says what to block, or to unblock.
type blockRequest struct {
	Kind brake.Kind `json:"kind,omitempty"`
	What string     `json:"what,omitempty"`
	// Seconds is for how long to block; 0 means until somebody unblocks.
	Seconds int64  `json:"seconds,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// All unblocks everything.
	All bool `json:"all,omitempty"`
}

// readBlockRequest answers for one that is none.
func readBlockRequest(w http.ResponseWriter, r *http.Request) (b blockRequest, ok bool) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	err := d.Decode(&b)
	switch {
	case err != nil:
	case b.All && b.Kind == "" && b.What == "":
		return b, true
	case b.All:
		err = errors.New("all goes with nothing else")
	default:
		err = brake.CheckName(b.Kind, b.What)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, refusal{err.Error()})
	}
	return b, err == nil
}

// block is what is asked for, by whoever asks.
func (b *blockRequest) block(by string) brake.Block {
	one := brake.Block{Kind: b.Kind, What: b.What, Reason: b.Reason, By: by, Since: time.Now()}
	if b.Seconds > 0 {
		one.Until = one.Since.Add(time.Duration(b.Seconds) * time.Second)
	}
	return one
}

// A blockResult is what came of blocking.
type blockResult struct {
	Block brake.Block `json:"block"`
	// NotKept is why it ends with the gateway, "" if it does not.
	NotKept string `json:"not_kept,omitempty"`
	// Matches is what it stops that the gateway knows now, in words; "" if that is
	// not known.
	Matches string `json:"matches,omitempty"`
}

func (o *operated) block(w http.ResponseWriter, r *http.Request) {
	asked, ok := readBlockRequest(w, r)
	if !ok {
		return
	}
	if asked.All || asked.Seconds < 0 || asked.Seconds > int64(maxBlock/time.Second) {
		writeJSON(w, http.StatusBadRequest, refusal{"a block is of one thing, and for ten years at most"})
		return
	}
	ctx := context.WithoutCancel(r.Context()) // what has begun is done whole
	one, before := asked.block(who(r)), o.blocked(asked.Kind, asked.What)
	err := o.signIns.kept.brake.Block(ctx, one)
	if err == nil { // once it is in force: the store may have to be made
		if cause := o.signIns.kept.keepBlocks(ctx); cause != nil {
			err = fmt.Errorf("%w: %w", brake.ErrNotKept, cause)
		}
	}
	record := audit.Record{Act: "block", Who: one.By, What: nameOf(one), Old: termsOf(before...), New: termsOf(one)}
	if err != nil && !errors.Is(err, brake.ErrNotKept) {
		record.New, record.Error = record.Old, err.Error()
		o.audit.act(record)
		writeJSON(w, http.StatusConflict, refusal{err.Error()})
		return
	}
	o.audit.act(record)
	one.Until, one.Since = one.Until.UTC(), one.Since.UTC()
	writeJSON(w, http.StatusOK, blockResult{Block: one, NotKept: textOf(err), Matches: o.matches(&one)})
}

// maxBlock is the longest time of a block that has one.
const maxBlock = 10 * 365 * 24 * time.Hour

// An unblockResult is what came of unblocking.
type unblockResult struct {
	Unblocked int `json:"unblocked"`
}

func (o *operated) unblock(w http.ResponseWriter, r *http.Request) {
	asked, ok := readBlockRequest(w, r)
	if !ok {
		return
	}
	before := o.blocked(asked.Kind, asked.What)
	if len(before) == 0 && asked.Kind == brake.Tool {
		if other := o.otherName(asked.What); other != "" {
			asked.What, before = other, o.blocked(asked.Kind, other)
		}
	}
	n, err := o.signIns.kept.brake.Unblock(context.WithoutCancel(r.Context()), asked.Kind, asked.What)
	if n > 0 || err != nil {
		what := "everything"
		if !asked.All {
			what = nameOf(brake.Block{Kind: asked.Kind, What: asked.What})
		}
		o.audit.act(audit.Record{Act: "unblock", Who: who(r), What: what, Old: termsOf(before...), New: count(n, "block") + " gone", Error: textOf(err)})
	}
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, refusal{err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, unblockResult{n})
}

// otherName is the published name of a tool that is called by its origin, or the other
// way round; "" if the gateway knows no such tool.
func (o *operated) otherName(tool string) string {
	for _, t := range o.gateway.Catalog().Tools() {
		switch origin := t.Upstream + "/" + t.Original; tool {
		case origin:
			return t.Name
		case t.Name:
			return origin
		}
	}
	return ""
}

func (o *operated) listBlocks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, o.signIns.kept.brake.Blocks())
}

// blocked are the blocks of exactly that name; "" means any.
func (o *operated) blocked(kind brake.Kind, what string) []brake.Block {
	return slices.DeleteFunc(o.signIns.kept.brake.Blocks(), func(b brake.Block) bool {
		return kind != "" && b.Kind != kind || what != "" && b.What != what
	})
}

func nameOf(b brake.Block) string { return string(b.Kind) + " " + b.What }

// termsOf says how long blocks are for, and why; "" for none. More than one have
// their names with them.
func termsOf(blocks ...brake.Block) string {
	var all []string
	for _, b := range blocks {
		text := "until " + untilText(b.Until)
		if len(blocks) > 1 {
			text = nameOf(b) + " " + text
		}
		if b.Reason != "" {
			text += ": " + b.Reason
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// untilText is when a block ends.
func untilText(until time.Time) string {
	if until.IsZero() {
		return "unblocked"
	}
	return until.UTC().Format("2006-01-02 15:04:05 MST")
}

// everybody is what a block of anonymous matches where nobody signs in.
const everybody = "everybody"

// matches says what a block stops of what the gateway knows now, "" if that cannot be
// known.
func (o *operated) matches(b *brake.Block) string {
	var what string
	var known []brake.Subject
	switch {
	case b.Kind == brake.Tool:
		what = "tool"
		for _, t := range o.gateway.Catalog().Tools() {
			known = append(known, brake.Subject{Tool: t.Upstream + "/" + t.Original, Published: t.Name})
		}
	case b.Kind == brake.Upstream:
		what = "upstream"
		for _, u := range o.gateway.Upstreams() {
			known = append(known, brake.Subject{Upstream: u.Name})
		}
	case o.signIns.broker() != nil:
		what = "session"
		cfg := o.reloads.served()
		for _, s := range o.signIns.broker().Sessions() {
			known = append(known, brake.Subject{Person: s.Person, Name: s.Name, Client: s.Client, ClientAlias: cfg.ClientAlias(s.Client)})
		}
	case o.signsIn():
		return ""
	case b.Kind == brake.Person && b.Matches(brake.Subject{Person: oauth.Anonymous.ID}):
		return everybody
	default:
		return "no " + string(b.Kind)
	}
	n := 0
	for _, s := range known {
		if b.Matches(s) {
			n++
		}
	}
	if n == 0 {
		return "no " + what
	}
	return count(n, what)
}

// signsIn reports whether people sign in at the gateway.
func (o *operated) signsIn() bool {
	_, ok := o.reloads.served().SignIn(nil, slog.New(slog.DiscardHandler))
	return ok
}
