// Package audit writes what the gateway decides, and what is done to it, into a
// file: one line of JSON for each [Record].
//
//	log, err := audit.Open(audit.Options{Path: "/var/log/mcpagg/audit.jsonl", Log: logger})
//	…
//	if !log.Add(record) { … } // nothing happens that is not in the log
//	log.Close()
//
// Add only queues the record. One goroutine makes lines of records and writes
// them in batches (write.go), to a file that others may move away (file.go).
// What is not written yet is in memory: it is bounded, and a gateway that is killed
// loses it.
//
// docs/audit.md says what is in a line (line.go).
package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Arguments says how much the log tells of the arguments of requests.
type Arguments string

const (
	// None tells nothing of them.
	None Arguments = "none"
	// Hashed tells their length and hash, and the values that conditions of
	// policies looked at.
	Hashed Arguments = "hashed"
	// Full tells all of them, where they have 64 KiB at most.
	Full Arguments = "full"
)

// Options describe a [Log].
type Options struct {
	// Path is the file. It is made with mode 0600 if it is not there, and its folder
	// with mode 0700.
	Path string
	// Arguments is how much is told of arguments; "" means Hashed.
	Arguments Arguments
	// Log must not be nil. It gets a line when records cannot be written any more,
	// and when they can again.
	Log *slog.Logger
}

const (
	// maxQueued bounds the records that wait to be written, and maxQueuedBytes
	// their arguments.
	maxQueued      = 16 << 10
	maxQueuedBytes = 64 << 20
	// maxWait bounds how long Add waits for room, and maxClosing how long Close
	// waits for the file.
	maxWait    = time.Second
	maxClosing = 10 * time.Second
)

// A Log writes records to a file. It is safe for concurrent use.
type Log struct {
	// Set by Open, never changed.
	salt    string
	files   func(path string) (file, error)
	log     *slog.Logger
	queue   chan *Record        // closed by Close
	room    *semaphore.Weighted // for arguments in the queue
	reopen  chan struct{}       // holds a token while Reopen is asked for
	changes chan *target        // holds what to write to next
	closing chan struct{}       // closed by Close
	ended   chan struct{}       // closed when everything is written

	adding    sync.RWMutex // held by Add for reading, and by Close once closing is closed
	closeOnce sync.Once

	lost   atomic.Int64 // records that were not taken, or not written
	unsaid atomic.Int64 // those of lost that no line tells of

	mu      sync.Mutex
	failure error // why records cannot be written; nil if they can; guarded by mu
	left    error // why Close has left records unwritten; guarded by mu
}

// Open opens the log, and starts the goroutine that writes it, which ends with
// Close. The error says what to do.
func Open(o Options) (*Log, error) { return open(o, openFile) }

// open has files opened by a function, which tests replace.
func open(o Options, files func(path string) (file, error)) (*Log, error) {
	l := &Log{
		salt: rand.Text(), files: files, log: o.Log,
		queue: make(chan *Record, maxQueued), room: semaphore.NewWeighted(maxQueuedBytes),
		reopen: make(chan struct{}, 1), changes: make(chan *target, 1), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	to, err := l.target(o)
	if err != nil {
		return nil, err
	}
	w := &writer{log: l, lines: newLines(l.salt, to.mode), to: to, looked: time.Now()}
	w.lines.begin(to.torn, "")
	if err := w.write(); err != nil {
		return nil, errors.Join(fmt.Errorf("beginning the audit log: %w", err), to.file.Close())
	}
	go w.run()
	return l, nil
}

// Change opens the file of other options, and from settle(true) on the log is
// written there, in that way. With settle(false) it stays as it is. Log stays in any
// case. Settle must be called once and before Close, and before the next Change.
func (l *Log) Change(o Options) (settle func(changed bool), err error) {
	next, err := l.target(o)
	if err != nil {
		return nil, err
	}
	return func(changed bool) {
		if !changed {
			_ = next.file.Close() // nothing was written to it
			return
		}
		select {
		case unused := <-l.changes: // the file before is stuck
			_ = unused.file.Close()
		default:
		}
		l.changes <- next
	}, nil
}

// Add takes a record. If the queue is full it waits for a second at most, and not
// at all while the file cannot be written. It returns false if it could not take
// the record: what the record is about must not happen then. Such records are
// counted, and a line tells how many they were. After Close it takes none.
func (l *Log) Add(r Record) bool {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	l.adding.RLock()
	defer l.adding.RUnlock()
	if l.isClosing() || !l.enqueue(&r) {
		l.lose(1)
		return false
	}
	return true
}

func (l *Log) isClosing() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// enqueue puts the record into the queue, if there is room or will be.
func (l *Log) enqueue(r *Record) bool {
	if l.room.TryAcquire(weight(r)) {
		select {
		case l.queue <- r:
			return true
		default:
			l.room.Release(weight(r))
		}
	}
	if l.Err() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	if l.room.Acquire(ctx, weight(r)) != nil {
		return false
	}
	select {
	case l.queue <- r:
		return true
	case <-ctx.Done():
	case <-l.closing:
	}
	l.room.Release(weight(r))
	return false
}

// weight is how much of the room a record takes.
func weight(r *Record) int64 { return min(int64(len(r.Arguments)), maxQueuedBytes) }

func (l *Log) lose(n int64) {
	l.lost.Add(n)
	l.unsaid.Add(n)
}

// Lost counts the records that were not taken, or could not be written.
func (l *Log) Lost() int64 { return l.lost.Load() }

// Err is why records cannot be written at the moment, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// Reopen has the log look, ahead of the next record, whether its file was moved away.
// It does so by itself once a second while there are records.
func (l *Log) Reopen() {
	select {
	case l.reopen <- struct{}{}:
	default:
	}
}

// note remembers whether records can be written, and logs it where it changes.
func (l *Log) note(path string, err error) {
	l.mu.Lock()
	before := l.failure
	l.failure = err
	l.mu.Unlock()
	switch {
	case err != nil && before == nil:
		l.log.Error("the audit log cannot be written; calls are refused once its queue is full", "path", path, "err", err)
	case err == nil && before != nil:
		l.log.Info("the audit log can be written again", "path", path)
	}
}

// leave remembers that records were left unwritten at the end.
func (l *Log) leave(n int64) {
	l.lost.Add(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = fmt.Errorf("%d records of the audit log were left unwritten: %w", l.lost.Load(), l.failure)
}

var errBusy = errors.New("the audit log does not end: its file takes nothing")

// Close writes what is queued, and closes the file. Its error says that records were
// left unwritten. It may be called twice.
func (l *Log) Close() error {
	l.closeOnce.Do(func() {
		close(l.closing)
		l.adding.Lock()
		defer l.adding.Unlock()
		close(l.queue)
	})
	select {
	case <-l.ended:
	case <-time.After(maxClosing):
		return errBusy
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left
}
