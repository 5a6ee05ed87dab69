package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestVaultHidesSecretsInEveryForm(t *testing.T) {
	const token = `Quo"te\Sec<ret>&77`
	v := &vault{}
	watched := v.watch(func(context.Context) (string, error) { return token, nil })
	if _, err := watched(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.remember("Basic dXNlcjpwYXNz")
	for _, text := range []string{
		`auth=` + token + ` x`,
		`{"body":"Quo\"te\\Sec<ret>&77"}`,
		`{"body":"Quo\"te\\Sec\u003cret\u003e\u002677"}`,
		`?t=Quo%22te%5CSec%3Cret%3E%2677`,
		`cut off in auth=Quo"te\Sec<r`,
		`cut off in "auth=Quo"te\Sec…"`,
		`Authorization: Basic dXNlcjpwYXNz`,
		`dXNlcjpwYXNz`,
	} {
		if got := v.redact(text); !strings.Contains(got, hidden) || strings.Contains(got, "Sec") || strings.Contains(got, "dXNlcjpwYXNz") {
			t.Errorf("redact(%s) = %s", text, got)
		}
	}
	if got := v.redact("nothing to hide here"); got != "nothing to hide here" {
		t.Errorf("harmless text became %q", got)
	}
}

func TestVaultHidesSecretsThatHoldOthers(t *testing.T) {
	v := &vault{}
	v.remember("postgres")
	v.remember("postgres://app:hunter2@db/app")
	if got := v.redact("connecting to postgres://app:hunter2@db/app as app"); got != "connecting to [redacted] as app" {
		t.Errorf("redact returned %s", got)
	}
}

func TestVaultKeepsSecretsInUse(t *testing.T) {
	v := &vault{}
	for i := range 3 * maxSecrets {
		v.remember("sk-that-never-changes")
		v.remember(fmt.Sprintf("sk-that-rotates-%d", i))
		if got := v.redact("it says sk-that-never-changes again"); got != "it says [redacted] again" {
			t.Fatalf("after %d rotations redact returned %s", i, got)
		}
	}
	if len(v.values) > maxSecrets {
		t.Errorf("%d values are kept", len(v.values))
	}
}

func TestVaultHidesPartsOfSecrets(t *testing.T) {
	v := &vault{}
	watched := v.watch(func(ctx context.Context) (string, error) {
		Conceal(ctx, "hunter2-hunter2")
		return "postgres://app:hunter2-hunter2@db/app", nil
	})
	if _, err := watched(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := v.redact(`password "hunter2-hunter2" of app is wrong`); got != `password "[redacted]" of app is wrong` {
		t.Errorf("redact returned %s", got)
	}
	Conceal(t.Context(), "where nobody asked for a secret")
}

func TestVaultKeepsSecretsOutOfTheLog(t *testing.T) {
	v := &vault{}
	v.remember("SuperSecretToken")
	var out bytes.Buffer
	log := v.logger(slog.New(slog.NewTextHandler(&out, nil))).With("with", "SuperSecretToken").WithGroup("g")
	log.Info("said SuperSecretToken", "text", "SuperSecretToken", "err", errors.New("SuperSecretToken"), "n", 1)
	if got := out.String(); strings.Contains(got, "SuperSecretToken") || strings.Count(got, hidden) != 4 {
		t.Errorf("logged: %s", got)
	}
}

func TestVaultKeepsWhatAnErrorIs(t *testing.T) {
	v := &vault{}
	v.remember("SuperSecretToken")
	err := v.redacted(fmt.Errorf("SuperSecretToken: %w", errSessionGone))
	if !errors.Is(err, errSessionGone) || strings.Contains(err.Error(), "Secret") {
		t.Errorf("redacted: %v", err)
	}
}

func TestVaultIsBounded(t *testing.T) {
	v := &vault{}
	for i := range 10 * maxSecrets {
		v.remember(fmt.Sprintf("secret number %d", i))
	}
	if len(v.values) > maxSecrets {
		t.Errorf("%d values are remembered", len(v.values))
	}
}
