//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// A brokerGateway has people sign in at Entra. It can be killed, and started again
// where it was.
type brokerGateway struct {
	sandbox
	*gateway            // that runs now, or ran last
	t        testing.TB // all of the test, beyond which it does not run
	base     string
	host     string // and port that it listens at
	entra    *entraProvider
	config   signInConfig
	recorder *recorder
}

const brokerUser = "alice@contoso.example"

// startBroker runs one with further attributes of the server block.
func startBroker(t testing.TB, server string) *brokerGateway {
	t.Helper()
	b := newBroker(t, server)
	b.start(t)
	return b
}

// newBroker is startBroker, but for that it runs.
func newBroker(t testing.TB, server string) *brokerGateway {
	t.Helper()
	b := &brokerGateway{
		t: t, sandbox: newSandbox(t), entra: startEntra(t), recorder: startRecorder(t),
		host: fmt.Sprintf("127.0.0.1:%d", freePort(t)),
	}
	b.base = "http://" + b.host
	group := b.entra.AddGroup(fakeentra.Group{Name: "people"})
	b.entra.AddUser(fakeentra.User{Name: brokerUser, DisplayName: "Alice Young", Groups: []string{group.ID}})
	b.config = signInConfig{
		server: server + fmt.Sprintf("  public_url = %q\n", b.base),
		blocks: b.entra.brokerBlock(b.base+"/oauth2/callback", "5m"),
		env:    []string{gatewaySecretEnv + "=" + gatewaySecret},
	}
	b.configure(t)
	return b
}

// configure writes its configuration.
func (b *brokerGateway) configure(t testing.TB) {
	t.Helper()
	b.write(t, "gateway.hcl", b.config.file(upstream{label: "recorder", url: b.recorder.url}))
}

// start starts it, for the first time or again. It need not have reached its provider
// yet: whoever comes too early waits.
func (b *brokerGateway) start(t testing.TB) {
	t.Helper()
	visitorTransport.CloseIdleConnections()
	b.gateway = b.serve(b.t, b.config.env, append(b.config.flags, "--listen", b.host)...)
}

// kill ends it at once, and starts it again.
func (b *brokerGateway) kill(t testing.TB) {
	t.Helper()
	_ = b.signal(t, syscall.SIGKILL) // which is what it ends with
	b.start(t)
}

func (b *brokerGateway) visitor(t testing.TB) *visitor {
	t.Helper()
	v, err := newVisitor(t.Context(), b.base, brokerUser, "")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signedIn is a client that has signed in.
func (b *brokerGateway) signedIn(t testing.TB) *visitor {
	t.Helper()
	v := b.visitor(t)
	if err := v.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mustWork(t, v)
	return v
}

func (b *brokerGateway) mustWork(t testing.TB, v *visitor) {
	t.Helper()
	eventually(t, func() string { // that the upstream is there, after a start
		if err := v.works(t.Context()); err != nil {
			var r *refusal
			if errors.As(err, &r) && r.status == http.StatusUnauthorized {
				t.Fatalf("the client is no longer signed in: %v", err)
			}
			return err.Error()
		}
		return ""
	})
}

// A moment is one between two steps of a sign-in.
type moment string

const (
	afterAsking    moment = "after the page"
	afterApproving moment = "after it was answered"
	afterSigningIn moment = "before the callback"
	afterReturning moment = "after the callback"
	afterRedeeming moment = "after the code"
	afterRenewing  moment = "after a refresh"
)

// TestBrokerKilled kills the gateway between any two steps of a sign-in, and starts
// it again: the sign-in goes on, or the person is told to begin again, and then it
// succeeds. No code counts twice, and who is signed in stays so.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	kept := b.signedIn(t)
	for _, when := range []moment{afterAsking, afterApproving, afterSigningIn, afterReturning, afterRedeeming, afterRenewing} {
		t.Run(string(when), func(t *testing.T) {
			v := b.visitor(t)
			err := v.enterAnd(t.Context(), when, func() { b.kill(t) })
			if err != nil {
				checkClear(t, err)
				t.Logf("it begins again: %v", err)
				err = v.enter(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			b.mustWork(t, v)
			if err := v.renew(t.Context()); err != nil {
				t.Errorf("a refresh: %v", err)
			}
		})
	}
	b.mustWork(t, kept)
	if err := kept.renew(t.Context()); err != nil {
		t.Errorf("the client that was signed in all the time: %v", err)
	}
	b.mustWork(t, kept)
}

// enterAnd signs in, does something at one moment, and then goes on.
func (v *visitor) enterAnd(ctx context.Context, when moment, do func()) error {
	at := func(m moment) {
		if m == when {
			do()
		}
	}
	p, err := v.ask(ctx)
	if err != nil {
		return err
	}
	at(afterAsking)
	provider, err := v.approve(ctx, p)
	if err != nil {
		return err
	}
	at(afterApproving)
	callback, err := v.signIn(ctx, provider)
	if err != nil {
		return err
	}
	at(afterSigningIn)
	code, err := v.comeBack(ctx, callback)
	if err != nil {
		return err
	}
	at(afterReturning)
	if err := v.redeem(ctx, code); err != nil {
		return err
	}
	at(afterRedeeming)
	if err := v.renew(ctx); err != nil {
		return err
	}
	at(afterRenewing)
	return nil
}

// checkClear fails unless an answer tells a person, or a client, to begin again.
func checkClear(t testing.TB, err error) {
	t.Helper()
	var r *refusal
	switch {
	case !errors.As(err, &r):
		t.Fatalf("there is no answer: %v", err)
	case r.text == "invalid_grant" && r.status == http.StatusBadRequest:
	case r.status >= 400 && r.status < 500 && strings.Contains(r.text, "<h1") && strings.Contains(strings.ToLower(r.text), "again"):
	default:
		t.Fatalf("nobody is told what to do: %v", err)
	}
}

// TestBrokerCodeOnce redeems a code before and after the gateway is killed.
func TestBrokerCodeOnce(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	v := b.visitor(t)
	code, err := v.code(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v.redeem(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	b.kill(t)
	again := *v
	var r *refusal
	if err := again.redeem(t.Context(), code); !errors.As(err, &r) || r.text != "invalid_grant" {
		t.Errorf("the second time, the code is answered with %v", err)
	}
	if status, _, err := v.list(t.Context()); err != nil || status != http.StatusUnauthorized {
		t.Errorf("after the code was used twice, what it was traded for is answered %d, %v", status, err)
	}
}

// TestBrokerCodeKilled kills the gateway while a code is redeemed, again and again. A
// client that heard nothing tries once more: either the code has not counted yet, or
// it has to sign in again, and what came of the code before counts for nothing.
func TestBrokerCodeKilled(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	for range 6 {
		v := b.visitor(t)
		code, err := v.code(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first := *v
		killed := b.killSoon()
		heard := first.redeem(t.Context(), code)
		if err := <-killed; err != nil {
			t.Fatal(err)
		}
		<-b.exited
		b.start(t)
		again := v.redeem(t.Context(), code)
		t.Logf("the first time %v, then %v", heard, again)
		if heard == nil && again == nil {
			t.Error("a code counts twice")
		}
		if again != nil {
			checkClear(t, again)
			if err := v.enter(t.Context()); err != nil {
				t.Error(err)
			}
		}
		b.mustWork(t, v)
	}
}

// killSoon kills it within a few milliseconds, of which a request takes one or two.
func (b *brokerGateway) killSoon() <-chan error {
	killed := make(chan error, 1)
	process := b.cmd.Process
	go func() {
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
		killed <- process.Kill()
	}()
	return killed
}

// TestBrokerRefreshKilled kills the gateway while refreshes are on their way, again
// and again. A client that heard nothing sends its refresh once more.
func TestBrokerRefreshKilled(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	v := b.signedIn(t)
	for range 10 {
		killed := b.killSoon()
		done := 0
		for v.renew(t.Context()) == nil {
			done++
		}
		if err := <-killed; err != nil {
			t.Fatal(err)
		}
		<-b.exited
		b.start(t)
		if err := v.renew(t.Context()); err != nil {
			t.Fatalf("after %d refreshes, the one that the gateway was killed in: %v", done, err)
		}
	}
	b.mustWork(t, v)
}

// TestBrokerStoreTaken starts a second gateway on the same store.
func TestBrokerStoreTaken(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	v := b.signedIn(t)
	_, stderr, code := b.try(t, b.config.env, os.Getenv(binaryEnv), "serve", "--listen", "127.0.0.1:0")
	if code != 1 || !strings.Contains(stderr, "another") || !strings.Contains(stderr, filepath.Join(b.home, "state")) {
		t.Errorf("a second gateway exits with %d:\n%s", code, stderr)
	}
	b.mustWork(t, v)
	if err := v.renew(t.Context()); err != nil {
		t.Errorf("a refresh at the first one: %v", err)
	}
}
