package upstream

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"time"
)

// An event is one server-sent event (WHATWG HTML, "Server-sent events").
type event struct {
	name  string // "message" if the stream gave none
	id    string // of this event or the last one that had an id
	retry time.Duration
	data  []byte // not shared with later events
}

// An eventReader reads server-sent events.
type eventReader struct {
	r      *bufio.Reader
	max    int // bytes of data in one event
	lastID string
	retry  time.Duration // last asked for; 0 if never
	begun  bool
	sawCR  bool // the line before ended with CR, so a LF next belongs to it
}

const byteOrderMark = "\ufeff"

func newEventReader(r io.Reader, max int) *eventReader {
	return &eventReader{r: bufio.NewReaderSize(r, 4<<10), max: max}
}

// next returns the next event that has data. Its error is io.EOF at the end of
// the stream, and an *oversizeError for an event that is too large.
func (e *eventReader) next() (event, error) {
	ev := event{name: "message"}
	for {
		line, err := e.line(e.max + 64) // the field's name comes on top of its data
		if err != nil {
			return event{}, err // an event that was not finished does not count
		}
		if len(line) == 0 {
			if len(ev.data) > 0 {
				ev.id, ev.retry = e.lastID, e.retry
				return ev, nil
			}
			ev = event{name: "message"}
			continue
		}
		if err := e.field(&ev, line); err != nil {
			return event{}, err
		}
	}
}

func (e *eventReader) field(ev *event, line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		if len(ev.data)+len(value) > e.max {
			return &oversizeError{e.max}
		}
		if ev.data != nil {
			ev.data = append(ev.data, '\n')
		} else {
			ev.data = make([]byte, 0, len(value))
		}
		ev.data = append(ev.data, value...)
	case "event":
		ev.name = string(value)
	case "id":
		if !bytes.ContainsRune(value, 0) {
			e.lastID = string(value)
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			e.retry = time.Duration(ms) * time.Millisecond
		}
	}
	return nil
}

// line returns the next line without its end, which is LF, CRLF or CR. It is
// valid until the next read.
func (e *eventReader) line(max int) ([]byte, error) {
	if err := e.skipMarks(); err != nil {
		return nil, err
	}
	var long []byte // the line so far, where it does not fit the reader's buffer
	for {
		if _, err := e.r.Peek(1); err != nil {
			return nil, err
		}
		chunk, _ := e.r.Peek(e.r.Buffered())
		end := lineEnd(chunk)
		if end < 0 {
			long = append(long, chunk...)
			e.discard(len(chunk))
			if len(long) > max {
				return nil, &oversizeError{e.max}
			}
			continue
		}
		e.sawCR = chunk[end] == '\r'
		line := chunk[:end]
		if long != nil {
			line = append(long, line...)
		}
		e.discard(end + 1) // leaves chunk's bytes alone
		if len(line) > max {
			return nil, &oversizeError{e.max}
		}
		return line, nil
	}
}

// lineEnd returns where the first CR or LF of b is, or -1.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// skipMarks skips a byte order mark ahead of the first line, and the LF of a CRLF.
func (e *eventReader) skipMarks() error {
	if !e.begun {
		e.begun = true
		if first, err := e.r.Peek(1); err != nil || first[0] != byteOrderMark[0] {
			return err
		}
		if mark, _ := e.r.Peek(3); string(mark) == byteOrderMark {
			e.discard(3)
		}
	}
	if !e.sawCR {
		return nil
	}
	e.sawCR = false
	next, err := e.r.Peek(1)
	if err == nil && next[0] == '\n' {
		e.discard(1)
	}
	return err
}

// discard skips n bytes that are known to be buffered.
func (e *eventReader) discard(n int) { _, _ = e.r.Discard(n) }
