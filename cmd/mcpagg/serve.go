package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/control"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/workspace"
	"github.com/mcpagg/mcpagg/oauth"
)

// serveFlags are the flags of mcpagg serve.
type serveFlags struct {
	config    []string
	listen    string
	admin     string
	logLevel  string
	logFormat string
	debug     bool
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start the gateway",
		Long: `Start the gateway. It serves at once with the upstreams that are there, and the
others join when they come. SIGTERM or Ctrl-C lets calls in flight finish for
server.drain, then stops the upstreams it started. SIGHUP, 'mcpagg reload' and a
change of the configuration's files load it anew, without a dropped call.`,
		Example: `  mcpagg serve -c gateway.hcl
  mcpagg serve -c conf.d --listen 127.0.0.1:9000 --log-level debug`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addConfigFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "", "address to listen on, instead of server.listen")
	flags.StringVar(&f.admin, "admin", "", "address for /metrics and /health/ready, instead of server.admin")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	flags.BoolVar(&f.debug, "debug", false, "serve profiles and memory figures on the admin address")
	_ = flags.MarkHidden("debug") // fails only for a flag that does not exist
	return cmd
}

// configFlags are the flags for configuration files, to be shown in a command; "" for
// the one that a command takes by itself.
func configFlags(paths []string) string {
	if slices.Equal(paths, []string{"gateway.hcl"}) {
		return ""
	}
	return (&workspace.Flags{Config: paths}).Command()
}

// serve runs the gateway until ctx ends.
func serve(ctx context.Context, f serveFlags, stdout, stderr io.Writer) error {
	log, err := newLogger(stderr, f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	cfg, err := loadTested(f.config, stderr)
	if err != nil {
		return err
	}
	if err := f.override(cfg); err != nil {
		return err
	}
	limitMemory()
	if err := hideMemory(); err != nil {
		log.Warn("other processes of this user can read the gateway's memory", "err", err)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ln, err := listen(cfg.Server.Listen)
	if err != nil {
		return err
	}
	defer ln.Close()
	var adminLn net.Listener
	if cfg.Server.Admin != "" {
		if adminLn, err = listen(cfg.Server.Admin); err != nil {
			return err
		}
		defer adminLn.Close()
	}
	controlLn, err := listenControl(cfg.Server, log)
	if err != nil {
		return err
	}

	// Upstreams outlive the HTTP server, so that calls in flight can finish, and who
	// is signed in is kept beyond that. What they do is written down until the end.
	auditLog := newAuditLog(log)
	defer auditLog.close()
	upCtx, stopUpstreams := context.WithCancel(context.WithoutCancel(ctx))
	kept := newKept(upCtx, log)
	defer kept.close()
	signIns := newSignIns(upCtx, ln.Addr().String(), kept, log)
	defer signIns.running.Wait()
	var running sync.WaitGroup
	defer running.Wait()
	defer stopUpstreams()
	cfg.UseSecrets(log, nil)
	settle, err := signIns.prepare(ctx, cfg)
	if err != nil {
		cfg.CloseSecrets()
		return &exitError{Code: exitRunTime, Err: err}
	}
	settle(true)
	if err := auditLog.start(cfg); err != nil {
		cfg.CloseSecrets()
		return &exitError{Code: exitRunTime, Err: err}
	}
	gateway := newGateway(cfg, log)
	signIns.page.gateway.Store(gateway)
	running.Go(func() { gateway.Run(upCtx) })

	reloads := newReloader(f, cfg, auditLog.reload(signIns.reload(gateway)), log)
	reloads.audit, reloads.opened = auditLog, signIns.restartNeeded
	o := &operated{gateway, reloads, signIns, newPolicyTeller(gateway, reloads.served, log), time.Now(), auditLog}
	reloads.policies = o.policies.tell
	defer o.reloads.closeSecrets()
	reloadCtx, stopReloads := context.WithCancel(ctx)
	defer stopReloads()
	running.Go(func() { o.reloads.run(reloadCtx) })
	running.Go(func() { o.reloads.watch(reloadCtx) })
	running.Go(func() { o.reloads.heed(reloadCtx, hangup) })
	running.Go(func() { o.policies.run(reloadCtx) })

	if adminLn != nil {
		admin := &http.Server{Handler: adminHandler(o, f.debug), ReadHeaderTimeout: readHeaderTimeout}
		running.Go(func() { logServe(log, "admin address", admin.Serve(adminLn)) })
		defer admin.Close()
	}
	if controlLn != nil {
		control := &http.Server{Handler: controlHandler(o), ReadHeaderTimeout: readHeaderTimeout, ConnContext: control.WithPeer}
		running.Go(func() { logServe(log, "control socket", control.Serve(controlLn)) })
		defer control.Close()
	}
	greet(stdout, cfg, ln.Addr().String(), signIns.status())
	return serveHTTP(ctx, ln, gateway, o.reloads.drain, log)
}

const readHeaderTimeout = 10 * time.Second

// serveHTTP serves until ctx ends, then gives what is in flight drain to end.
func serveHTTP(ctx context.Context, ln net.Listener, gateway *aggregator.Gateway, drain func() time.Duration, log *slog.Logger) error {
	server := &http.Server{
		Handler:           gateway.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		return &exitError{Code: exitRunTime, Err: fmt.Errorf("serving: %w", err)}
	case <-ctx.Done():
	}
	limit := drain()
	log.Info("stopping", "drain", limit)
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	gateway.Drain()
	if err := server.Shutdown(drainCtx); err != nil {
		log.Warn("calls were cut off", "err", err)
		_ = server.Close() // what is left is cut off; there is nothing more to do about it
	}
	<-failed
	return nil
}

func logServe(log *slog.Logger, what string, err error) {
	if !errors.Is(err, http.ErrServerClosed) {
		log.Error("the "+what+" stopped serving", "err", err)
	}
}

// override applies the flags that replace configuration.
func (f serveFlags) override(cfg *config.Config) error {
	for _, addr := range []struct {
		flag, value string
		check       func(string) error
	}{{"--listen", f.listen, cfg.CheckListen}, {"--admin", f.admin, cfg.CheckAdmin}} {
		if addr.value == "" {
			continue
		}
		if err := addr.check(addr.value); err != nil {
			return usageError("%s: %w", addr.flag, err)
		}
	}
	cfg.Server.Listen = cmp.Or(f.listen, cfg.Server.Listen)
	cfg.Server.Admin = cmp.Or(f.admin, cfg.Server.Admin)
	if !f.debug {
		return nil
	}
	if err := config.CheckProfiles(cfg.Server.Admin); err != nil {
		return usageError("--debug: %w", err)
	}
	return nil
}

func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &exitError{Code: exitRunTime, Err: fmt.Errorf("listening: %w; stop what uses the address, or choose another with server.listen or --listen", err)}
	}
	return ln, nil
}

func newGateway(cfg *config.Config, log *slog.Logger) *aggregator.Gateway {
	cfg.UseSecrets(log, nil)
	opts := cfg.Gateway
	opts.Version = programVersion()
	opts.Log = log
	return aggregator.New(opts)
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError("--log-level %q is not debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, usageError("--log-format %q is neither text nor json", format)
}

// greet prints where the gateway is, how clients get there, and who may use it.
func greet(w io.Writer, cfg *config.Config, addr string, providers []oauth.ProviderStatus) {
	endpoint := publicURL(cfg, addr).JoinPath("mcp").String()
	fmt.Fprintf(w, `mcpagg %s: serving %s at

  %s

Claude Code:  claude mcp add --transport http gateway %[3]s
OpenCode:     in opencode.json
              { "mcp": { "gateway": { "type": "remote", "url": %[3]q, "enabled": true } } }

`, programVersion(), count(len(cfg.Gateway.Upstreams), "upstream"), endpoint)
	if len(providers) == 0 {
		fmt.Fprintf(w, "There is no auth block: nobody signs in. The gateway listens on this machine only%s.\n", reach(cfg.Gateway.PublicURL))
	}
	for _, p := range providers {
		fmt.Fprintf(w, "People sign in with %s, %s\n", p.Name, p.Issuer)
	}
	fmt.Fprintln(w, whoMay(cfg))
	for _, warning := range cfg.Warnings {
		fmt.Fprintf(w, "%s.\n", strings.ToUpper(warning[:1])+warning[1:])
	}
	fmt.Fprintln(w)
}

// whoMay says who may use what.
func whoMay(cfg *config.Config) string {
	if cfg.Policy == nil {
		return "There is no policy block: every tool may be called."
	}
	n, decide := len(cfg.Policy.Policies), "decide"
	if n == 1 {
		decide = "decides"
	}
	return fmt.Sprintf("%s of %s %s who may use what.", count(n, "policy"), strings.Join(cfg.PolicyPlaces, ", "), decide)
}

// reach says who else gets there where something in front passes requests on.
func reach(public *url.URL) string {
	if public == nil {
		return ""
	}
	return ",\nbut whoever reaches " + public.String() + " may use all of it"
}
