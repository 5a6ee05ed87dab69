package audit

import (
	"bytes"
	"fmt"
	"time"
)

const (
	// batch is how many bytes are written at once, when so many wait.
	batch = 64 << 10
	// lookEvery is how often the writer looks whether its file was moved, and
	// syncEvery how often it makes sure that what is written stays.
	lookEvery = time.Second
	syncEvery = time.Second
	// firstRetry is how long after a failure it tries again, and lastRetry how long
	// after many.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// A writer writes the records of a log. Only its own goroutine uses it.
type writer struct {
	log     *Log
	lines   *lines // what is to be written next
	written int    // how many bytes of it are in the file already, since a write was cut off
	to      *target
	looked  time.Time        // when the file was last looked for at its path
	dirty   <-chan time.Time // when to sync; nil if all is
}

// run writes records until the log is closed.
func (w *writer) run() {
	defer close(w.log.ended)
	for {
		select {
		case r, open := <-w.log.queue:
			if !open {
				w.end()
				return
			}
			w.take(r)
			w.takeMore()
			w.heed()
			w.flush()
		case next := <-w.log.changes:
			w.change(next)
			w.flush()
		case <-w.log.reopen:
			w.looked = time.Time{}
			w.flush()
		case <-w.dirty:
			w.sync()
		}
	}
}

// take makes a line of a record.
func (w *writer) take(r *Record) {
	w.lines.add(r)
	w.log.room.Release(weight(r))
}

// takeMore takes what is queued, up to a batch.
func (w *writer) takeMore() {
	for w.lines.out.Len() < batch {
		select {
		case r, open := <-w.log.queue:
			if !open {
				return
			}
			w.take(r)
		default:
			return
		}
	}
}

// heed makes a change that was there before the records that are taken by now.
func (w *writer) heed() {
	select {
	case next := <-w.log.changes:
		w.change(next)
	default:
	}
}

// flush writes the lines, and tries until it can, or the log is closed.
func (w *writer) flush() {
	for wait := firstRetry; !w.try(); wait = min(2*wait, lastRetry) {
		select {
		case <-time.After(wait):
		case next := <-w.log.changes:
			w.change(next)
			wait = firstRetry / 2
		case <-w.log.closing:
			if !w.try() {
				w.leave()
			}
			return
		}
	}
}

// try writes the lines, and says so where that is news.
func (w *writer) try() bool {
	err := w.write()
	if err == nil && w.tellLost() {
		err = w.write()
	}
	w.log.note(w.to.path, err)
	return err == nil
}

// tellLost makes a line of how many records were lost, if any were.
func (w *writer) tellLost() bool {
	n := w.log.unsaid.Swap(0)
	if n > 0 {
		w.lines.put(line{Kind: kindLost, Count: n})
	}
	return n > 0
}

// write writes the lines to the file, which it opens anew if that was moved.
func (w *writer) write() error {
	if err := w.look(); err != nil {
		return err
	}
	text := w.lines.out.Bytes()
	if len(text) == 0 {
		return nil
	}
	n, err := w.to.write(text[w.written:])
	w.written += n
	if n > 0 && w.dirty == nil {
		w.dirty = time.After(syncEvery)
	}
	if err != nil {
		return err
	}
	w.lines.out.Reset()
	w.written = 0
	return nil
}

// look opens the file anew if it was moved.
func (w *writer) look() error {
	if time.Since(w.looked) < lookEvery {
		return nil
	}
	if !w.to.moved() {
		w.looked = time.Now()
		return nil
	}
	next, err := w.log.target(Options{Path: w.to.path, Arguments: w.to.mode})
	if err != nil {
		return err // and it is looked for again at the next try
	}
	w.use(next, "")
	return nil
}

// change has what follows written to another file, or in another way.
func (w *writer) change(next *target) {
	if w.written == 0 { // else the line would end another one
		last := newLines("", None)
		last.put(line{Kind: kindClosed, New: next.name()})
		_, _ = w.to.write(last.out.Bytes()) // the next file tells it, too
	}
	w.use(next, w.to.name())
}

// use writes to another target from now on, from the beginning of the line of
// which the one before has got only a part.
func (w *writer) use(next *target, before string) {
	w.sync()
	_ = w.to.file.Close() // it is synced
	w.to, w.looked, w.lines.mode = next, time.Now(), next.mode
	w.dropWritten()
	w.lines.begin(next.torn, before)
}

// dropWritten drops the lines of which all is written.
func (w *writer) dropWritten() {
	w.lines.out.Next(bytes.LastIndexByte(w.lines.out.Bytes()[:w.written], '\n') + 1)
	w.written = 0
}

// sync makes sure that what is written stays, also if the machine dies.
func (w *writer) sync() {
	w.dirty = nil
	if err := w.to.file.Sync(); err != nil {
		w.log.note(w.to.path, fmt.Errorf("syncing %s: %w", w.to.path, err))
	}
}

// leave gives up what could not be written.
func (w *writer) leave() {
	w.dropWritten()
	w.log.leave(w.lines.records())
	w.lines.out.Reset()
}

// end closes the file.
func (w *writer) end() {
	w.heed()
	w.tellLost()
	w.lines.put(line{Kind: kindClosed})
	w.flush()
	w.sync()
	_ = w.to.file.Close() // it is synced
}
