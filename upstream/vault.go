package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	// maxSecrets bounds the values a vault remembers; rotation adds new ones.
	maxSecrets = 256
	// minSecret is the length below which a value, such as "1" and "true", is
	// no secret: hiding it would garble the text.
	minSecret = 8
)

// A vault remembers the values of an upstream's secrets, so that nothing that
// is printed about the upstream shows one, whatever the server echoes and
// wherever. It is safe for concurrent use.
type vault struct {
	mu     sync.Mutex
	values []string // in every form in which they may be echoed, the latest last; guarded by mu
}

// watch remembers what s yields.
func (v *vault) watch(s Secret) Secret {
	if s == nil {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		value, err := s(context.WithValue(ctx, concealing{}, v))
		if err == nil {
			v.remember(value)
		}
		return value, err
	}
}

// Conceal makes sure that a part of a secret's value, which alone is secret, is
// not printed either, such as the password in a URL. A Secret calls it with the
// context that it was asked with.
func Conceal(ctx context.Context, part string) {
	if v, ok := ctx.Value(concealing{}).(*vault); ok {
		v.remember(part)
	}
}

type concealing struct{}

func (v *vault) watchAll(secrets map[string]Secret) map[string]Secret {
	watched := make(map[string]Secret, len(secrets))
	for name, s := range secrets {
		watched[name] = s
		if !strings.EqualFold(name, "Host") {
			watched[name] = v.watch(s)
		}
	}
	return watched
}

func (v *vault) remember(value string) {
	for _, part := range []string{value, value[strings.IndexByte(value, ' ')+1:]} { // also without "Basic "
		if len(part) < minSecret {
			continue
		}
		quoted := string(rawjson.String(part))
		html := string(rawjson.HTMLString(part))
		for _, form := range []string{part, quoted[1 : len(quoted)-1], html[1 : len(html)-1], url.QueryEscape(part), url.PathEscape(part)} {
			v.add(form)
		}
	}
}

func (v *vault) add(form string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if i := slices.Index(v.values, form); i >= 0 { // it is in use, so others are forgotten first
		v.values = slices.Delete(v.values, i, i+1)
	}
	if len(v.values) >= maxSecrets {
		v.values = v.values[1:]
	}
	v.values = append(v.values, form)
}

const hidden = "[redacted]"

// redact hides the secrets in text, and what is left of one where the text was
// cut off inside it.
func (v *vault) redact(text string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	// The longest first: "postgres" may be the value of one variable and stand in
	// another's, whose password would be left.
	values := slices.SortedStableFunc(slices.Values(v.values), func(a, b string) int { return len(b) - len(a) })
	for _, value := range values {
		text = strings.ReplaceAll(text, value, hidden)
		lower := strings.ToLower(value) // host names are echoed so
		text = strings.ReplaceAll(text, lower, hidden)
	}
	body := strings.TrimRight(text, "…\"'`)]} ")
	for _, value := range values {
		for n := min(len(value)-1, len(body)); n >= 4; n-- {
			if strings.HasSuffix(body, value[:n]) {
				return body[:len(body)-n] + hidden + text[len(body):]
			}
		}
	}
	return text
}

// redacted is err with the secrets in its text hidden.
func (v *vault) redacted(err error) error {
	if text := v.redact(err.Error()); text != err.Error() {
		return &redactedError{text, err}
	}
	return err
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }

// logger is log without the secrets, whatever is logged.
func (v *vault) logger(log *slog.Logger) *slog.Logger {
	return slog.New(&redactingHandler{log.Handler(), v})
}

type redactingHandler struct {
	slog.Handler
	vault *vault
}

func (h *redactingHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.vault.redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.clean(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h *redactingHandler) clean(a slog.Attr) slog.Attr {
	switch value := a.Value.Resolve(); value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, h.vault.redact(value.String()))
	case slog.KindAny:
		if err, ok := value.Any().(error); ok {
			return slog.Any(a.Key, h.vault.redacted(err))
		}
	}
	return a
}

func (h *redactingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.clean(a)
	}
	return &redactingHandler{h.Handler.WithAttrs(clean), h.vault}
}

func (h *redactingHandler) WithGroup(name string) slog.Handler {
	return &redactingHandler{h.Handler.WithGroup(name), h.vault}
}
