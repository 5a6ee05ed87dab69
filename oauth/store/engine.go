package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// The names are those of a NATS key-value bucket called mcpagg, so that its
	// tools can look at one.
	streamName = "KV_mcpagg"
	subjects   = "$KV.mcpagg."
	keyring    = subjects + "_keyring" // which is no kind

	// markerTTL is for how long a deletion or an expiry can be heard of.
	markerTTL = time.Hour
	// maxWait is how long a method waits when its context would have it wait longer.
	maxWait = 10 * time.Second
	// startWait is how long starting the engine may take.
	startWait = time.Minute
	// closeWait is how long closing waits: for an engine that is being started, and
	// for one to stop.
	closeWait = 5 * time.Second / 2

	// healthEvery is how often one who waits for a write asks whether the engine can.
	healthEvery = 250 * time.Millisecond

	maxBytes       = 8 << 30
	maxMemoryBytes = 256 << 20

	anySequence = ^uint64(0)
)

// errSequence means that the engine had another message under a subject than the
// one that was expected.
var errSequence = errors.New("at another revision")

// errUnhealthy means that the engine does not write any more.
var errUnhealthy = errors.New("the engine does not write")

// errLost means that the engine does not find what it had.
var errLost = errors.New("the engine cannot read its description")

// A message is what the engine has under a subject.
type message struct {
	subject  string
	sequence uint64
	deleted  bool // a marker: something was deleted or has expired
	initial  bool // what a reader found when it began
	data     []byte

	// Of a marker, when the last value that was there would expire; zero for never.
	until time.Time
	// When the store itself has to see to it that a value expires, or zero.
	due time.Time
}

// A write is what the engine shall have under a subject.
type write struct {
	subject string
	data    []byte
	expect  uint64        // the sequence that is there: 0 nothing, anySequence whatever
	ttl     time.Duration // 0 for ever
	remove  bool          // leave a marker
	until   time.Time     // as in message
	due     time.Time     // as in message
}

// An engine is a NATS server of our own, with one stream.
type engine struct {
	life   context.Context // until close
	end    context.CancelFunc
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
}

// engineOptions say what an engine is to be like.
type engineOptions struct {
	dir     string        // where its files are; "" for in memory
	exists  bool          // there are values already, and it has to find them
	markers time.Duration // how long a deletion or expiry can be heard of
	log     *slog.Logger
}

// openEngine starts a server with its stream.
func openEngine(ctx context.Context, o engineOptions) (_ *engine, err error) {
	e := &engine{}
	e.life, e.end = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	folder := o.dir
	if o.dir == "" {
		if folder, err = os.MkdirTemp("", "mcpagg-store-"); err != nil {
			return nil, fmt.Errorf("the store's engine wants a folder even in memory, for a moment: %w", err)
		}
		defer os.RemoveAll(folder)
	}
	e.server, err = server.NewServer(serverOptions(folder))
	if err != nil {
		return nil, fmt.Errorf("starting the store: %w", err)
	}
	logger := &engineLog{log: o.log}
	e.server.SetLoggerV2(logger, o.log.Enabled(ctx, slog.LevelDebug), false, false)
	e.server.Start()
	if !e.server.JetStreamEnabled() {
		return nil, fmt.Errorf("starting the store: %s", logger.fatal())
	}
	e.conn, err = nats.Connect("", nats.InProcessServer(e.server), nats.NoReconnect(), nats.Timeout(maxWait),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.log.Debug("store engine", "err", err)
		}))
	if err != nil {
		return nil, fmt.Errorf("starting the store: %w", err)
	}
	e.js, err = jetstream.New(e.conn)
	if err != nil {
		return nil, fmt.Errorf("starting the store: %w", err)
	}
	open := e.js.CreateOrUpdateStream
	if o.exists {
		open = e.js.UpdateStream
	}
	e.stream, err = open(ctx, streamConfig(o))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, errLost
	}
	if err != nil {
		return nil, fmt.Errorf("starting the store: %w", err)
	}
	return e, nil
}

// serverOptions are those of a server that nobody reaches but us.
func serverOptions(dir string) *server.Options {
	return &server.Options{
		ServerName:             "mcpagg-store",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               dir,
		SyncAlways:             true,
		JetStreamMaxMemory:     maxMemoryBytes,
		JetStreamMaxStore:      maxBytes,
		MaxPayload:             2 * maxValue,
	}
}

func streamConfig(o engineOptions) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:              streamName,
		Subjects:          []string{subjects + ">"},
		MaxMsgsPerSubject: 1,
		MaxBytes:          maxBytes,
		MaxMsgSize:        2 * maxValue,
		Discard:           jetstream.DiscardNew,
		Storage:           jetstream.FileStorage,
		Replicas:          1,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowDirect:       true,
		AllowMsgTTL:       true,
		// Expiry leaves a marker, so that watchers hear of it.
		SubjectDeleteMarkerTTL: o.markers,
	}
	if o.dir == "" {
		c.Storage, c.MaxBytes = jetstream.MemoryStorage, maxMemoryBytes
	}
	return c
}

// close stops the server, and returns after closeWait if that takes longer.
func (e *engine) close() error {
	e.end()
	if e.conn != nil {
		e.conn.Close()
	}
	if e.server == nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(closeWait):
		return fmt.Errorf("the store's engine did not stop in %s", closeWait)
	}
}

// last returns the message under a subject, or ErrNotFound.
func (e *engine) last(ctx context.Context, subject string) (message, error) {
	m, err := e.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return message{}, ErrNotFound
	}
	if err != nil {
		return message{}, err
	}
	return newMessage(m.Subject, m.Sequence, m.Header, m.Data), nil
}

const (
	removedHeader = "KV-Operation"
	untilHeader   = "Mcpagg-Until" // milliseconds since 1970
	dueHeader     = "Mcpagg-Due"
)

func newMessage(subject string, sequence uint64, h nats.Header, data []byte) message {
	m := message{subject: subject, sequence: sequence, data: data, due: timeIn(h, dueHeader)}
	switch {
	case h.Get(jetstream.MarkerReasonHeader) != "": // by the engine, when it all has expired
		m.deleted, m.until = true, longAgo
	case h.Get(removedHeader) != "":
		m.deleted, m.until = true, timeIn(h, untilHeader)
	}
	return m
}

// timeIn is zero where there is none.
func timeIn(h nats.Header, name string) time.Time {
	ms, _ := strconv.ParseUint(h.Get(name), 10, 63)
	return fromMillis(ms)
}

func setTime(h nats.Header, name string, t time.Time) {
	if !t.IsZero() {
		h.Set(name, strconv.FormatUint(toMillis(t), 10))
	}
}

// write returns the sequence of what was written, when that is on the disk.
func (e *engine) write(ctx context.Context, w write) (uint64, error) {
	m := nats.NewMsg(w.subject)
	m.Data = w.data
	if w.remove {
		m.Header.Set(removedHeader, "PURGE")
		m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	}
	setTime(m.Header, untilHeader, w.until)
	setTime(m.Header, dueHeader, w.due)
	if w.expect != anySequence {
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(w.expect, 10))
	}
	if w.ttl > 0 {
		// The engine counts in whole seconds.
		seconds := (w.ttl + time.Second - 1) / time.Second
		m.Header.Set(jetstream.MsgTTLHeader, strconv.FormatInt(int64(seconds), 10))
	}
	ctx, healthy := e.whileHealthy(ctx)
	defer healthy()
	ack, err := e.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if cause := context.Cause(ctx); errors.Is(cause, errUnhealthy) {
		return 0, cause
	}
	var problem *jetstream.APIError
	if errors.As(err, &problem) && (problem.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || problem.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return 0, errSequence
	}
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// whileHealthy returns a context that ends with an error when the engine does not
// write any more: it does not answer then. The caller calls stop.
func (e *engine) whileHealthy(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(healthEvery, func() {
		for ctx.Err() == nil {
			if err := e.health(); err != nil {
				cancel(err)
			}
			pause(ctx, healthEvery)
		}
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// health is errUnhealthy with the reason, if the engine does not write any more. It
// does not from the first write that fails, until it is started anew.
func (e *engine) health() error {
	if h := e.server.Healthz(nil); h.Status != "ok" {
		return fmt.Errorf("%w: %s", errUnhealthy, h.Error)
	}
	return nil
}

// isBroken reports whether an error of an engine means that it has to be started
// anew.
func isBroken(err error) bool {
	var problem *jetstream.APIError
	if errors.As(err, &problem) {
		return problem.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabled || problem.ErrorCode == jetstream.JSErrCodeStreamNotFound
	}
	return errors.Is(err, errUnhealthy) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// subject is where the value of a kind and key is.
func subject(kind, key string) string { return subjects + kind + "." + key }

// splitSubject is the reverse of subject.
func splitSubject(s string) (kind, key string, ok bool) {
	s, ok = strings.CutPrefix(s, subjects)
	if !ok {
		return "", "", false
	}
	kind, key, ok = strings.Cut(s, ".")
	return kind, key, ok && checkName(kind, key) == nil
}
