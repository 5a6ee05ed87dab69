package brake

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Kind is what a block is about.
type Kind string

// The kinds of blocks. A person or client is known by several names, some of which
// they choose themselves: that is good enough to take rights away.
const (
	Person   Kind = "person"   // by the principal, the subject in it, or the name
	Client   Kind = "client"   // by the client id, or the alias of an app block
	Tool     Kind = "tool"     // by the published name or label/original; "*" is any text
	Upstream Kind = "upstream" // by the label
)

// Kinds are all kinds of blocks.
func Kinds() []Kind { return []Kind{Person, Client, Tool, Upstream} }

const (
	// MaxReason bounds a reason, in characters.
	MaxReason = 200
	maxName   = 1000 // of what is blocked, and of who blocks, in bytes
)

// A Block says what is stopped.
type Block struct {
	Kind Kind   `json:"kind"`
	What string `json:"what"`
	// Until is when it is over; zero means when somebody unblocks.
	Until time.Time `json:"until,omitzero"`
	// Reason is told to whoever is stopped; "" for none.
	Reason string `json:"reason,omitempty"`
	// By is who has blocked, for operators; "" if not known.
	By string `json:"by,omitempty"`
	// Since is when they did; zero means now.
	Since time.Time `json:"since"`
}

// Message is what whoever is stopped is told.
func (b *Block) Message() string {
	text := "blocked by the operator"
	if b.Reason != "" {
		text += ": " + b.Reason
	}
	if b.Until.IsZero() {
		return text
	}
	layout := "2006-01-02 15:04 UTC"
	if time.Until(b.Until) < 20*time.Hour {
		layout = "15:04 UTC"
	}
	return text + "; until " + b.Until.UTC().Format(layout)
}

// Blocked is why a context has ended that Enter has made: see [context.Cause].
type Blocked struct{ *Block }

// Error is what whoever is stopped is told.
func (b *Blocked) Error() string { return b.Message() }

// over reports whether its time is over.
func (b *Block) over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// check is why there cannot be such a block, or nil.
func (b *Block) check(now time.Time) error {
	if err := CheckName(b.Kind, b.What); err != nil {
		return err
	}
	switch {
	case b.over(now):
		return errors.New("the time of the block is over before it begins")
	case utf8.RuneCountInString(b.Reason) > MaxReason:
		return fmt.Errorf("the reason has %d characters; it may have %d", utf8.RuneCountInString(b.Reason), MaxReason)
	case !oneLine(b.Reason):
		return errors.New("the reason is not one line of text")
	case len(b.By) > maxName || !oneLine(b.By):
		return errors.New("who blocks is not one line of text")
	}
	return nil
}

// CheckName is why a name cannot be blocked, or nil.
func CheckName(kind Kind, what string) error {
	switch {
	case kind != Person && kind != Client && kind != Tool && kind != Upstream:
		return fmt.Errorf("%q is neither person, client, tool nor upstream", kind)
	case what == "":
		return fmt.Errorf("which %s? The name is empty", kind)
	case len(what) > maxName:
		return fmt.Errorf("the name of the %s has %d bytes; it may have %d", kind, len(what), maxName)
	case !oneLine(what):
		return fmt.Errorf("the name of the %s is not one line of text", kind)
	case strings.Trim(what, "*/") == "":
		return fmt.Errorf("%q is every %s: stop the gateway, or block each upstream", what, kind)
	case kind != Tool && strings.Contains(what, "*"):
		return fmt.Errorf(`"*" stands for any text in the names of tools only; a %s is blocked by its whole name`, kind)
	}
	return nil
}

// oneLine reports whether a text can stand in a line of a log.
func oneLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) })
}
