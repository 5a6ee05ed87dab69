package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// profileTime is how long a profile is taken.
const profileTime = 10 * time.Second

// profile writes CPU and allocation profiles of the gateway while as many
// callers as in the table call it.
func (b *bench) profile(ctx context.Context, s *stage) error {
	gateway := s.lineup[gatewayed]
	if b.opts.profile == "" || gateway == nil {
		return nil
	}
	if err := os.MkdirAll(b.opts.profile, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		apply(ctx, s.callers[gatewayed], 2*profileTime, callEcho(gateway.prefix+echoTool), b.failed(gateway))
	}()
	err := b.saveProfile(ctx, gateway, s.era, fmt.Sprintf("profile?seconds=%d", int(profileTime.Seconds())), "cpu")
	if err == nil {
		err = b.saveProfile(ctx, gateway, s.era, "allocs", "allocs")
	}
	cancel()
	<-loaded
	return err
}

func (b *bench) saveProfile(ctx context.Context, gateway *subject, e era, query, kind string) error {
	return fetch(ctx, "http://"+gateway.admin+"/debug/pprof/"+query, func(body io.Reader) error {
		f, err := os.Create(filepath.Join(b.opts.profile, e.String()+"."+kind+".pprof"))
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, body); err != nil {
			_ = f.Close()
			return err
		}
		return f.Close()
	})
}
