package store

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// batch is how many messages a reader has in flight.
	batch = 256
	// settle is after how long a reader that has not come to the end looks whether
	// it has: the last message may have been replaced meanwhile.
	settle = time.Second
	// maxPasses is how often it looks, where others write without a pause.
	maxPasses = 10
	// fetchWait is how long one request for messages lasts. The client would want a
	// heartbeat from 10 seconds on, which nothing in one process needs.
	fetchWait = 8 * time.Second
	// retryFetch is how long a reader pauses when messages did not come.
	retryFetch = 50 * time.Millisecond
)

var (
	// errSynced ends what is to see only what is there.
	errSynced = errors.New("that was all")
	// errGap means that the engine has to be asked anew for what follows.
	errGap = errors.New("the engine is to be asked anew")
)

// A reader reads the messages under the subjects that a filter matches.
type reader struct {
	filter  string
	headers bool // read no data
	each    func(m message, synced bool) error

	after    uint64 // the last sequence that was read
	passes   int    // how often it seemed to have caught up
	begun    bool   // something was read in an earlier pass
	caughtUp bool   // in this pass, it seems
	synced   bool
	ended    error // what each returned
}

// follow calls each with the last message under every subject that a filter
// matches, then once with synced, then with what comes, until each returns an
// error, which follow returns, or ctx ends. It goes on when the engine is started
// anew.
func (s *Store) follow(ctx context.Context, filter string, each func(m message, synced bool) error) error {
	return s.read(ctx, &reader{filter: filter, each: each})
}

// read is follow with a reader.
func (s *Store) read(ctx context.Context, r *reader) error {
	for {
		e := s.engine.Load()
		err := r.run(ctx, e)
		switch {
		case r.ended != nil:
			return r.ended
		case s.life.Err() != nil:
			return ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case isBroken(err), e.life.Err() != nil:
			err = s.mend(ctx, e, err)
		case errors.Is(err, errGap):
			err = nil
		}
		if err != nil && !r.synced {
			return err
		}
		if err != nil && !pause(ctx, mendEvery) {
			return ctx.Err()
		}
	}
}

// pause reports whether ctx is alive after a while.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// run reads until something goes wrong, or each has enough. What was there at the
// start may be replaced before it is read, and come late; so that it ends, too, when
// it seems to have caught up, and is synced only if the engine, asked anew, has
// nothing more.
func (r *reader) run(ctx context.Context, e *engine) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	info, err := e.stream.Info(ctx)
	if err != nil {
		return err
	}
	c, err := e.stream.CreateConsumer(ctx, r.consumer())
	if err != nil {
		return err
	}
	defer e.forget(ctx, c)
	r.begun, r.caughtUp = r.after > 0, false
	if c.CachedInfo().NumPending == 0 || r.passes > maxPasses {
		r.sync()
	}
	for next := uint64(1); r.ended == nil && ctx.Err() == nil; {
		read, err := r.fetch(ctx, c, next, info.State.LastSeq)
		if err != nil { // the engine is well, or asking anew will show
			pause(ctx, retryFetch)
			return errGap
		}
		if !r.synced && (read == 0 || r.caughtUp) {
			r.passes++
			return errGap
		}
		next += read
	}
	if e.life.Err() != nil {
		return nats.ErrConnectionClosed
	}
	return nil
}

func (r *reader) consumer() jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		FilterSubject:     r.filter,
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		HeadersOnly:       r.headers,
		MemoryStorage:     true,
		InactiveThreshold: 5 * time.Minute,
	}
	if r.after > 0 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.after+1
	}
	return c
}

// forget has the engine forget a consumer, be it that ctx has ended.
func (e *engine) forget(ctx context.Context, c jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	e.stream.DeleteConsumer(ctx, c.CachedInfo().Name) // it would go by itself, later
}

// sync tells that everything up to now was told, once.
func (r *reader) sync() {
	if !r.synced && r.ended == nil {
		r.synced = true
		r.ended = r.each(message{}, true)
	}
}

// fetch reads a batch, of which the first is to have a number of the consumer, and
// returns how many it has read. Up to the sequence upto, it was there at the start.
func (r *reader) fetch(ctx context.Context, c jetstream.Consumer, next, upto uint64) (read uint64, err error) {
	wait := settle
	if r.synced {
		wait = fetchWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	b, err := c.Fetch(batch, jetstream.FetchContext(ctx))
	if err != nil {
		return 0, err
	}
	for m := range b.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return read, err
		}
		if meta.Sequence.Consumer != next+read {
			return read, errGap
		}
		read++
		r.read(m, meta, upto)
		if r.ended != nil || !r.synced && r.caughtUp {
			return read, nil
		}
	}
	if err := b.Error(); err != nil && ctx.Err() == nil {
		return read, err
	}
	return read, nil
}

// read hands a message on.
func (r *reader) read(m jetstream.Msg, meta *jetstream.MsgMetadata, upto uint64) {
	r.after, r.caughtUp = meta.Sequence.Stream, meta.NumPending == 0
	one := newMessage(m.Subject(), r.after, m.Headers(), m.Data())
	one.initial = r.after <= upto && !r.begun
	r.ended = r.each(one, false)
}
