package secrets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Options say how a [Cache] keeps values.
type Options struct {
	// Name is the source's label, for errors and logs.
	Name string
	// TTL is how old a value may be when it is used; 0 means 5 min.
	TTL time.Duration
	// MaxStale is for how much longer the last known value is used while the
	// source cannot be asked; 0 means 1 h.
	MaxStale time.Duration
	// Timeout bounds one fetch; 0 means 5 s.
	Timeout time.Duration
	// Log gets a warning when a source cannot be asked; nil means none.
	Log *slog.Logger
}

const (
	// missingFor is how long a refusal counts, or TTL if that is shorter: a
	// secret that was just made is found soon, and one that is missing is not
	// asked for at every call.
	missingFor = 30 * time.Second
	// downFor is at least between two attempts to ask a source that could not be
	// asked, and maxDownFor at most, if it says itself when to come back.
	downFor    = 5 * time.Second
	maxDownFor = time.Minute
)

// A Cache asks a [Source] and remembers the values. Of those who want the same
// secret at a time, one fetch serves all. Once three quarters of TTL are over,
// the value is fetched anew while the old one is still given out, so that a
// secret in use keeps nobody waiting. It is safe for concurrent use, and holds
// one value for each name, which are those in the configuration.
type Cache struct {
	source Source
	opts   Options // with the defaults filled in

	life  context.Context // until Close
	end   context.CancelCauseFunc
	tasks sync.WaitGroup // the fetches

	mu      sync.Mutex
	log     *slog.Logger      // guarded by mu
	closed  bool              // guarded by mu
	entries map[string]*entry // by name; guarded by mu
}

var errStopped = errors.New("the gateway stops")

// An entry is what is known of one secret.
type entry struct {
	value   string
	fetched time.Time // when the value was; zero if there is none

	err   error     // of the last fetch, nil if it went well
	again time.Time // not to be fetched before, if err is not nil
	down  bool      // the source could not be asked, and that is logged

	fetching chan struct{} // closed when the fetch under way is over; nil if there is none
}

// NewCache returns a cache, which starts nothing before the first Get.
func NewCache(source Source, opts Options) *Cache {
	opts.TTL = cmp.Or(opts.TTL, 5*time.Minute)
	opts.MaxStale = cmp.Or(opts.MaxStale, time.Hour)
	opts.Timeout = cmp.Or(opts.Timeout, 5*time.Second)
	c := &Cache{source: source, opts: opts, entries: map[string]*entry{}}
	c.LogTo(opts.Log)
	c.life, c.end = context.WithCancelCause(context.Background())
	return c
}

// LogTo replaces the log; nil means none.
func (c *Cache) LogTo(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log = log; log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
}

// Close ends the fetches under way and waits for them. It may be called again.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end(errStopped)
	c.tasks.Wait()
}

// Get returns the value of a secret, which is not empty. Its error names the
// secret and says why it cannot be had.
func (c *Cache) Get(ctx context.Context, name string) (string, error) {
	for waited := false; ; waited = true {
		value, wait, err := c.look(name, waited)
		if wait == nil {
			return value, c.named(name, err)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return "", c.named(name, fmt.Errorf("waiting for its source: %w", context.Cause(ctx)))
		}
	}
}

func (c *Cache) named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("secret %s/%s: %w", c.opts.Name, name, err)
}

// look returns what there is for now, or what to wait for before looking again.
// Who has waited takes what came of that.
func (c *Cache) look(name string, waited bool) (value string, wait <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[name]
	if e == nil {
		e = &entry{}
		c.entries[name] = e
	}
	now := time.Now()
	age, known := now.Sub(e.fetched), !e.fetched.IsZero()
	usable := known && (age < c.opts.TTL || waited && e.err == nil)
	if known && e.down && age < c.opts.TTL+c.opts.MaxStale {
		usable = true // better than nothing, and nobody waits for a source that is down
	}
	due := !waited && (!usable || age >= c.opts.TTL*3/4)
	if due && (e.err == nil || !now.Before(e.again)) && e.fetching == nil {
		c.fetchLocked(name, e)
	}
	switch {
	case usable:
		return e.value, nil, nil
	case e.fetching != nil:
		return "", e.fetching, nil
	}
	return "", nil, e.err
}

// fetchLocked begins to fetch a value. It outlives the caller, who may have
// less time than others that come to wait for it.
func (c *Cache) fetchLocked(name string, e *entry) {
	if c.closed {
		e.err = errStopped
		return
	}
	done := make(chan struct{})
	e.fetching = done
	c.tasks.Go(func() {
		defer close(done)
		ctx, cancel := context.WithTimeoutCause(c.life, c.opts.Timeout, fmt.Errorf("no answer within %v", c.opts.Timeout))
		value, err := c.source.Get(ctx, name)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel()
		if err == nil {
			err = checkValue(value)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		e.fetching = nil
		c.keepLocked(name, e, value, err)
	})
}

// keepLocked notes what came of a fetch.
func (c *Cache) keepLocked(name string, e *entry, value string, err error) {
	now, wasDown := time.Now(), e.down
	e.err, e.down = err, err != nil && !isRefused(err)
	switch {
	case err == nil:
		e.value, e.fetched = value, now
		if wasDown {
			c.log.Info("the secret can be fetched again", "source", c.opts.Name, "secret", name)
		}
		return
	case !e.down:
		e.value, e.fetched = "", time.Time{}
		e.again = now.Add(min(missingFor, c.opts.TTL))
	default:
		e.again = now.Add(pauseAfter(err))
	}
	if e.down && !wasDown && c.life.Err() == nil {
		c.log.Warn("a secret cannot be fetched", "source", c.opts.Name, "secret", name, "err", err, "last_known_value", c.fate(e, now))
	}
}

// fate says what becomes of the last known value.
func (c *Cache) fate(e *entry, now time.Time) string {
	if e.fetched.IsZero() {
		return "none"
	}
	left := c.opts.TTL + c.opts.MaxStale - now.Sub(e.fetched)
	return fmt.Sprintf("used for %v more", max(left, 0).Round(time.Second))
}

// pauseAfter is how long a source is left alone that could not be asked.
func pauseAfter(err error) time.Duration {
	if busy := (*busyError)(nil); errors.As(err, &busy) {
		return min(max(busy.after, downFor), maxDownFor)
	}
	return downFor
}
