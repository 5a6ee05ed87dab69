package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/policy/lock"
)

const (
	// maxShown bounds how much of a description is shown for review, in characters.
	maxShown = 4000
	// longDescription is one whose changes are not shown whole, in characters.
	longDescription = 100
)

// print shows what is to be reviewed of an upstream. Nothing in it is hidden, or
// commands the terminal.
func (r *upstreamReview) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", r.Upstream, r.summary())
	if r.Image != nil {
		fmt.Fprintf(w, "  ~ image %s -> %s\n", visible(cmp.Or(r.Image.Was, "none")), visible(cmp.Or(r.Image.Is, "none")))
	}
	if r.ImageError != "" {
		fmt.Fprintf(w, "  ! image: %s\n", lock.Visible(r.ImageError))
	}
	for _, t := range r.Tools {
		t.print(w)
	}
}

func (r *upstreamReview) summary() string {
	switch r.State {
	case stateReviewed:
		return "as reviewed, " + count(r.Same, "tool")
	case stateNew:
		return "not reviewed yet, " + count(len(r.Tools), "tool")
	case stateUnreachable:
		return "could not be reached, and keeps " + count(r.Same, "pin") + ": " + lock.Visible(r.Error)
	case stateUnconfigured:
		return "not configured any more, " + count(r.Same, "pin") + "; --prune removes them"
	}
	counts := map[string]int{}
	for _, t := range r.Tools {
		counts[t.State]++
	}
	var parts []string
	for _, state := range []string{stateNew, stateChanged, stateRenamed, stateGone} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return "not as reviewed: " + strings.Join(append(parts, fmt.Sprintf("%d the same", r.Same)), ", ")
}

// signs stand before tools.
var signs = map[string]string{stateNew: "+", stateChanged: "~", stateRenamed: "~", stateGone: "-", stateUnpinnable: "!"}

func (t toolReview) print(w io.Writer) {
	line := signs[t.State] + " " + lock.Visible(t.Tool)
	switch t.State {
	case stateRenamed:
		line += ", which was " + lock.Visible(t.From)
	case stateUnpinnable:
		line += " cannot be pinned: " + lock.Visible(t.Error)
	}
	fmt.Fprintf(w, "  %s\n", line)
	if t.State == stateNew {
		printDefinition(w, t.pin)
	}
	for _, c := range t.Changes {
		fmt.Fprintf(w, "      %s\n", c)
	}
	if t.described && utf8.RuneCountInString(t.pin.Description) > longDescription { // of which a change shows a part
		fmt.Fprintln(w, "      description as it is now:")
		printDescription(w, "        ", t.pin.Description)
	}
	for _, s := range t.Suspicious {
		fmt.Fprintf(w, "    ! %s\n", s)
	}
}

// printDefinition shows what models see of a tool.
func printDefinition(w io.Writer, p lock.Pin) {
	if p.Title != "" {
		fmt.Fprintf(w, "      title: %s\n", lock.Visible(p.Title))
	}
	printDescription(w, "      ", p.Description)
	for _, argument := range p.Arguments() {
		fmt.Fprintf(w, "      * %s\n", argument)
	}
	if hints := p.Hints(); len(hints) > 0 {
		fmt.Fprintf(w, "      %s\n", strings.Join(hints, ", "))
	}
}

// printDescription shows all of a description, unless it is very long.
func printDescription(w io.Writer, indent, description string) {
	n := utf8.RuneCountInString(description)
	if n > maxShown {
		description = string([]rune(description)[:maxShown])
	}
	for line := range strings.SplitSeq(description, "\n") {
		if line = lock.Visible(strings.TrimRight(line, "\r")); line != "" {
			fmt.Fprintf(w, "%s%s\n", indent, line)
		}
	}
	if n > maxShown {
		fmt.Fprintf(w, "    ! the description has %d more characters; read them in %s\n", n-maxShown, lock.Name)
	}
}

// printPinned says what was written.
func printPinned(w io.Writer, reviews []upstreamReview) {
	for _, r := range reviews {
		switch {
		case !r.Pinned:
		case r.State == stateUnconfigured:
			fmt.Fprintf(w, "%s: removed the pins of %s\n", lock.Name, r.Upstream)
		default:
			fmt.Fprintf(w, "%s: pinned %s of %s\n", lock.Name, count(len(r.now.Tools), "tool"), r.Upstream)
		}
	}
}
