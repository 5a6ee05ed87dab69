package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// A reloading is a reloader whose gateway notes what it gets.
type reloading struct {
	*reloader
	file  string
	began time.Time

	mu    sync.Mutex
	swaps []string // when, and the labels of the upstreams; guarded by mu
}

const configured = "upstream \"%s\" {\n  url = \"http://localhost:1/mcp\"\n}\n"

// startReloading runs a reloader until the end of the bubble. A swap takes as
// long as it is told.
func startReloading(t *testing.T, took time.Duration) *reloading {
	t.Helper()
	r := &reloading{file: filepath.Join(t.TempDir(), "gateway.hcl"), began: time.Now()}
	r.write(t, fmt.Sprintf(configured, "first"))
	f := serveFlags{config: []string{r.file}}
	cfg, err := config.Load(f.config, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(ctx context.Context, cfg *config.Config) (aggregator.Changes, error) {
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return aggregator.Changes{}, ctx.Err()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		line := fmt.Sprint(time.Since(r.began).Round(time.Second))
		for _, u := range cfg.Gateway.Upstreams {
			line += " " + u.Name
		}
		r.swaps = append(r.swaps, line)
		return aggregator.Changes{Added: []string{"x"}}, nil
	}
	r.reloader = newReloader(f, cfg, swap, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go r.run(ctx)
	return r
}

func (r *reloading) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *reloading) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.swaps, want) {
		t.Errorf("reloads %q, want %q", r.swaps, want)
	}
}

// What is listened on changes only with a restart, so sign-in cannot be taken away
// from where other machines get to.
func TestReloadKeepsSignIn(t *testing.T) {
	for name, test := range map[string]struct {
		first  config.Server
		server string // a server block
		want   string // a part of the error; "" if it is reloaded
	}{
		"loopback":              {config.Server{Listen: "127.0.0.1:8080", Admin: "[::1]:9090"}, "", ""},
		"other machines":        {config.Server{Listen: ":8443"}, "", `":8443" can be reached from other machines`},
		"a server block":        {config.Server{Listen: ":8443"}, "server {\n  listen = \"127.0.0.1:8080\"\n}\n", `":8443" can be reached from other machines`},
		"metrics":               {config.Server{Listen: "127.0.0.1:8080", Admin: ":9090"}, "", `":9090" can be reached from other machines`},
		"sign-in without a URL": {config.Server{Listen: ":8443"}, signIn, "set server.public_url"},
		"sign-in with a URL":    {config.Server{Listen: ":8443"}, signIn + "server {\n  public_url = \"https://mcp.contoso.com\"\n}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startReloading(t, 0)
				r.first = test.first
				r.write(t, fmt.Sprintf(configured, "next")+test.server)
				reload := r.request("test")
				<-reload.done
				failed := reload.result.Failure
				if (failed == nil) != (test.want == "") || failed != nil && !strings.Contains(failed.Error, test.want) {
					t.Errorf("failure %+v, want %q", failed, test.want)
				}
			})
		})
	}
}

const signIn = "auth \"oidc\" \"keycloak\" {\n  mode   = \"resource-server\"\n  issuer = \"https://login.contoso.com\"\n}\n" + openPolicy

// Whoever asks while a reload is under way gets the next one, together with the
// others: the configuration may have changed since the first one read it.
func TestReloadsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startReloading(t, time.Second)
		first := r.request("test")
		synctest.Wait()
		r.write(t, fmt.Sprintf(configured, "second"))
		second, third := r.request("test"), r.request("test")
		if first == second || second != third {
			t.Error("requests do not become one that begins after them")
		}
		<-third.done
		r.want(t, "1s first", "2s second")
		if got := second.result; !got.Reloaded || got.Failure != nil || !slices.Equal(got.Added, []string{"x"}) {
			t.Errorf("result %+v", got)
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startReloading(t, 0)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go r.watch(ctx)
		time.Sleep(10*time.Second + time.Millisecond)
		r.want(t)

		for i := range 5 { // it is being written
			r.write(t, fmt.Sprintf(configured, fmt.Sprint("written-", i)))
			time.Sleep(time.Second)
		}
		r.want(t)
		time.Sleep(time.Second)
		r.want(t, "16s written-4")

		r.write(t, fmt.Sprintf(configured, "sp ace"))
		time.Sleep(time.Minute)
		r.want(t, "16s written-4")
		failed := r.status()
		if failed.Failure == nil || len(failed.Failure.Mistakes) != 1 || failed.Failure.At.Sub(r.began).Round(time.Second) != 18*time.Second {
			t.Errorf("status %+v, want the mistake that was found once, after 18s", failed.Failure)
		}
		r.write(t, fmt.Sprintf(configured, "fixed")+"server {\n  watch = false\n}\n")
		time.Sleep(2 * time.Second)
		r.want(t, "16s written-4", "1m18s fixed")
		if fixed := r.status(); fixed.Failure != nil || fixed.Digest == failed.Digest {
			t.Errorf("status %+v after the mistake is fixed", fixed)
		}

		r.write(t, fmt.Sprintf(configured, "unseen"))
		time.Sleep(time.Minute)
		r.want(t, "16s written-4", "1m18s fixed")
	})
}

// A change that is being loaded is not loaded a second time.
func TestWatchSlowReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startReloading(t, 10*time.Second)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go r.watch(ctx)
		r.write(t, fmt.Sprintf(configured, "second"))
		time.Sleep(time.Second / 2)
		r.request("test")
		time.Sleep(time.Minute)
		r.want(t, "11s second") // 10.5s, rounded
	})
}

// A reload that the gateway refuses changes nothing, and says so.
func TestReloadRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startReloading(t, time.Hour)
		r.swap = func(context.Context, *config.Config) (aggregator.Changes, error) {
			return aggregator.Changes{}, context.Canceled
		}
		before := r.status()
		r.write(t, fmt.Sprintf(configured, "second"))
		asked := r.request("test")
		<-asked.done
		if got := asked.result; got.Reloaded || got.Failure.Error != "reloading: context canceled" {
			t.Errorf("result %+v", got)
		}
		if after := r.status(); after.Digest != before.Digest || after.Loaded != before.Loaded || after.Failure == nil {
			t.Errorf("status %+v, before %+v", after, before)
		}
	})
}

func TestRestartNeeded(t *testing.T) {
	base := config.Server{Listen: "127.0.0.1:1", Admin: "127.0.0.1:2", Socket: "/a", SocketFrom: "store.dir", Drain: 1, Watch: true}
	for want, change := range map[string]func(*config.Server){
		"":                           func(s *config.Server) { s.Drain, s.Watch = 2, false },
		"server.listen":              func(s *config.Server) { s.Listen = "127.0.0.1:3" },
		"server.admin":               func(s *config.Server) { s.Admin = "" },
		"server.socket":              func(s *config.Server) { s.Socket, s.SocketFrom = "/b", "server.socket" },
		"store.dir":                  func(s *config.Server) { s.Socket, s.SocketFrom = "/b", "" },
		"server.listen server.admin": func(s *config.Server) { s.Listen, s.Admin = s.Admin, s.Listen },
	} {
		now := base
		change(&now)
		if got := strings.Join(restartNeeded(base, now), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestReloadTellsOfSignIn says of a reload that it changed how people sign in, where
// it did, and what the configuration warns of.
func TestReloadTellsOfSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startReloading(t, 0)
		const auth = "auth \"oidc\" \"idp\" {\n  mode   = \"resource-server\"\n  issuer = \"http://127.0.0.1:%d\"\n}\n" +
			"policy {\n  inline = \"permit(principal, action, resource);\"\n  mode = \"observe\"\n}\n"
		for _, step := range []struct {
			what, text, stdout, stderr string
		}{
			{"nobody signs in", "", "", ""},
			{"people do", fmt.Sprintf(auth, 1), "changed      how people sign in\n", "warning: policies are only observed"},
			{"as before", "# another comment\n" + fmt.Sprintf(auth, 1), "", "warning: policies are only observed"},
			{"at another provider", fmt.Sprintf(auth, 2), "changed      how people sign in\n", "warning: policies are only observed"},
		} {
			r.write(t, step.text+fmt.Sprintf(configured, "first"))
			asked := r.request("test")
			<-asked.done
			var stdout, stderr strings.Builder
			if err := asked.result.print(&stdout, &stderr); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimPrefix(stdout.String(), "added        x\n"); got != step.stdout || !strings.HasPrefix(stderr.String(), step.stderr) || step.stderr == "" && stderr.Len() > 0 {
				t.Errorf("%s: prints %q and %q", step.what, got, stderr.String())
			}
		}
	})
}
