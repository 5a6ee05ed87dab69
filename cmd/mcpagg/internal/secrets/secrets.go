// Package secrets fetches secret values from where they are kept.
//
// A [Source] is such a place: the environment ([Env]), a folder ([File]), a
// program ([Exec]), HashiCorp Vault ([NewVault]) or Azure Key Vault
// ([NewKeyVault]). A [Cache] in front of it is what the rest of the program asks:
//
//	kv := secrets.NewCache(source, secrets.Options{Name: "kv"})
//	token, err := kv.Get(ctx, "github")
//
// Values are fetched when they are first used, and again when they are older
// than [Options.TTL], so that a rotated secret arrives without a restart.
// No error holds a value or a credential, and what a source itself says of an
// error is one short line of printable text in it.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// A Source yields the values of secrets by name. It is safe for concurrent use.
type Source interface {
	// Get fetches a value. Its error is a refusal if the source is there but
	// does not give the secret; any other means that it could not be asked.
	Get(ctx context.Context, name string) (string, error)
}

// MaxValue bounds the value of a secret, in bytes.
const MaxValue = 64 << 10

// A refusedError is the answer of a source that is there, and has no such secret
// or does not give it to the gateway. What was known before counts no more.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

func refused(format string, args ...any) error {
	return &refusedError{fmt.Sprintf(format, args...)}
}

func isRefused(err error) bool {
	var r *refusedError
	return errors.As(err, &r)
}

// lacking is the error of a source for want of a credential of its own. Where
// that is refused, the source has not refused anything: it could not be asked.
func lacking(credential string, err error) error {
	return fmt.Errorf("%s: %v", credential, err)
}

// A busyError is the answer of a source that wants to be left alone for a while.
type busyError struct {
	text  string
	after time.Duration // 0 if it does not say
}

func (e *busyError) Error() string { return e.text }

// checkValue refuses what can be no secret.
func checkValue(value string) error {
	switch {
	case value == "":
		return refused("its value is empty; store another one")
	case len(value) > MaxValue:
		return refused("its value is larger than 64 KiB")
	case !utf8.ValidString(value):
		return refused("its value is not text in UTF-8")
	}
	return nil
}

// withoutLineEnd is text without the one line break that ends most files and
// the output of most programs.
func withoutLineEnd(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

// maxSaid bounds what is quoted of a source, in bytes.
const maxSaid = 200

// said is what a source says of an error, as one short printable line without
// the texts in hide.
func said(text string, hide ...string) string {
	for _, secret := range hide {
		if len(secret) >= 4 {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "") + "…"
	}
	return text
}

// quoting is ": " and what a source says, or "" if it says nothing.
func quoting(text string, hide ...string) string {
	if text = said(text, hide...); text == "" {
		return ""
	}
	return ": " + text
}
