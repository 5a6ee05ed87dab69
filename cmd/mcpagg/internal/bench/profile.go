package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// profileTime is how long each profile is taken.
const profileTime = 10 * time.Second

// profile writes a CPU profile and then an allocation profile of the gateway
// while the stage's callers repeat an operation.
func (b *bench) profile(ctx context.Context, s *stage, name string, op operation) error {
	gateway := s.lineup[gatewayed]
	if b.opts.profile == "" || gateway == nil {
		return nil
	}
	name = s.era.String() + "-" + name
	if err := os.MkdirAll(b.opts.profile, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		apply(ctx, s.callers[gatewayed], 3*profileTime, op, b.failed(gateway))
	}()
	during := fmt.Sprintf("?seconds=%d", int(profileTime.Seconds()))
	err := b.saveProfile(ctx, gateway, "profile"+during, name+".cpu")
	if err == nil { // without seconds, it would hold all that was measured before
		err = b.saveProfile(ctx, gateway, "allocs"+during, name+".allocs")
	}
	cancel()
	<-loaded
	return err
}

func (b *bench) saveProfile(ctx context.Context, gateway *subject, query, name string) error {
	return fetch(ctx, "http://"+gateway.admin+"/debug/pprof/"+query, func(body io.Reader) error {
		f, err := os.Create(filepath.Join(b.opts.profile, name+".pprof"))
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
