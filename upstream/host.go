package upstream

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"
)

// A host is a container in which a server is spoken to over HTTP.
type host struct {
	*process
	endpoint *endpoint
}

// dialContainer starts the container, and connects to the server in it as soon
// as it listens.
func (u *Upstream) dialContainer(ctx context.Context, p Protocol) (*conn, *Listing, error) {
	h, err := u.startHost(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, l, err := u.dialHost(ctx, h, p)
	if err != nil {
		h.close()
		return nil, nil, err
	}
	c.host = h
	c.running.start(func() {
		select {
		case <-h.exited:
			c.end(h.cause)
		case <-c.life.Done():
		}
	})
	return c, l, nil
}

func (u *Upstream) startHost(ctx context.Context) (*host, error) {
	run, err := u.programOf(ctx)
	if err != nil {
		return nil, err
	}
	h := &host{}
	if h.process, err = startProcess(run, u.opts.Log); err != nil {
		return nil, err
	}
	h.watch(func(stdout io.Reader) { h.logLines("stdout", stdout) })
	return h, nil
}

// dialHost connects to the server of a host that has just been started.
func (u *Upstream) dialHost(ctx context.Context, h *host, p Protocol) (*conn, *Listing, error) {
	addr, err := h.box.address(ctx, h.exited)
	if err != nil {
		return nil, nil, h.explain(err)
	}
	h.endpoint = newEndpoint(&url.URL{Scheme: "http", Host: addr, Path: u.opts.Container.Path}, u.opts)
	if o := h.box.outlet; o != nil {
		h.endpoint.dialWith(o.dialIn)
	}
	for {
		c, l, err := u.dialHTTP(ctx, h.endpoint, p)
		if err == nil || !isUnreachable(err) && !isBroken(err) {
			return c, l, err
		}
		select {
		case <-h.exited:
			return nil, nil, h.cause
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("nothing serves MCP at port %d of the container: %w", u.opts.Container.Port, err)
		case <-time.After(portPoll):
		}
	}
}

// explain is why the container ended, if it has, and else the error.
func (h *host) explain(err error) error {
	select {
	case <-h.exited:
		return h.cause
	default:
		return err
	}
}

// verdict is why a server that does not answer is given up: err, or that its
// container has ended, which the engine takes a moment to notice.
func (c *conn) verdict(err error) error {
	if c.host == nil || isLate(err) {
		return err
	}
	timer := time.NewTimer(exitNotice)
	defer timer.Stop()
	select {
	case <-c.host.exited:
		return c.host.cause
	case <-timer.C:
	case <-c.life.Done():
	}
	return err
}

// exitNotice is how long an engine may take to say that a container has ended.
const exitNotice = 2 * time.Second

func (h *host) close() {
	h.stop(stopGrace)
	if h.endpoint != nil {
		h.endpoint.closeIdle()
	}
}

// fetchImage sees to it that the image of a container is there before the time
// to connect runs.
func (u *Upstream) fetchImage(ctx context.Context) error {
	c := u.opts.Container
	if c == nil {
		return nil
	}
	var began, told time.Time
	level := slog.LevelInfo
	if u.Status().LastError != "" {
		level = slog.LevelDebug // it is tried again and again
	}
	progress := func(line string) {
		if began.IsZero() {
			began = time.Now()
		}
		u.setDoing(fmt.Sprintf("pulling %s for %v: %s", c.Image, time.Since(began).Round(time.Second), line))
		if time.Since(told) >= pullNews {
			u.opts.Log.Log(ctx, level, "pulling an image", "image", c.Image, "for", time.Since(began), "engine_says", line)
			told, level = time.Now(), slog.LevelInfo
		}
	}
	defer u.setDoing("")
	var err error
	if u.image, err = u.opts.Containers.fetch(ctx, c, progress); err == nil && !began.IsZero() {
		u.opts.Log.Info("pulled an image", "image", c.Image, "took", time.Since(began))
	}
	return err
}

// setDoing says in the status what takes so long.
func (u *Upstream) setDoing(what string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.Doing = what
}
