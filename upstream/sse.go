package upstream

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"time"
)

// An event is one server-sent event (WHATWG HTML, "Server-sent events").
type event struct {
	name  string // "message" if the stream gave none
	id    string // of this event or the last one that had an id
	retry time.Duration
	data  []byte // not shared with later events
}

// An eventReader reads server-sent events. What it reads into grows up to the
// longest line.
type eventReader struct {
	r      io.Reader
	err    error   // of the last read
	buffer *[]byte // from eventBuffers
	unread []byte  // part of buffer
	max    int     // bytes of data in one event
	lastID string
	retry  time.Duration // last asked for; 0 if never
	// lasts says that the stream stays open while nothing comes, so that it
	// must not keep a large buffer.
	lasts bool
	begun bool
	sawCR bool // the line before ended with CR, so a LF next belongs to it
}

const (
	byteOrderMark = "\ufeff"

	// eventBuffer is the size that an eventReader's buffer begins with, and
	// maxPooled that of the largest one which is kept for other streams.
	eventBuffer = 4 << 10
	maxPooled   = 1 << 20
)

// eventBuffers are the buffers of streams that have ended.
var eventBuffers = sync.Pool{New: func() any {
	b := make([]byte, eventBuffer)
	return &b
}}

// newEventReader reads from r. release gives back what it needs for that.
func newEventReader(r io.Reader, max int) *eventReader {
	return &eventReader{r: r, max: max, buffer: eventBuffers.Get().(*[]byte)}
}

// release ends the reading. Events that were read stay as they are.
func (e *eventReader) release() {
	e.giveBack()
	e.buffer, e.unread, e.err = nil, nil, io.EOF
}

func (e *eventReader) giveBack() {
	if len(*e.buffer) <= maxPooled {
		eventBuffers.Put(e.buffer)
	}
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
			ev.data = []byte{}
		}
		ev.data = append(ev.data, value...)
	case "event":
		if ev.name != string(value) { // mostly, it is what it is anyway
			ev.name = string(value)
		}
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
	for searched := 0; ; {
		if end := lineEnd(e.unread[searched:]); end >= 0 {
			line := e.unread[:searched+end]
			e.sawCR = e.unread[len(line)] == '\r'
			e.unread = e.unread[len(line)+1:]
			if len(line) > max {
				return nil, &oversizeError{e.max}
			}
			return line, nil
		}
		if searched = len(e.unread); searched > max {
			return nil, &oversizeError{e.max}
		}
		if err := e.more(); err != nil {
			return nil, err
		}
	}
}

// more reads once, behind what is unread, and makes room for that first.
func (e *eventReader) more() error {
	if e.err != nil {
		return e.err
	}
	n := len(e.unread)
	switch size := len(*e.buffer); {
	case n == size:
		*e.buffer = append(*e.buffer, make([]byte, size)...)
	case n == 0 && e.lasts && size > eventBuffer:
		e.giveBack()
		small := make([]byte, eventBuffer)
		e.buffer = &small
	}
	copy(*e.buffer, e.unread)
	for tries := 0; tries < maxEmptyReads; tries++ {
		var got int
		got, e.err = e.r.Read((*e.buffer)[n:])
		e.unread = (*e.buffer)[:n+got]
		if got > 0 {
			return nil
		}
		if e.err != nil {
			return e.err
		}
	}
	e.err = io.ErrNoProgress
	return e.err
}

// maxEmptyReads bounds how often a reader may return nothing at all.
const maxEmptyReads = 100

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
		if err := e.want(1); err != nil || e.unread[0] != byteOrderMark[0] {
			return err
		}
		if e.want(3) == nil && string(e.unread[:3]) == byteOrderMark {
			e.unread = e.unread[3:]
		}
	}
	if !e.sawCR {
		return nil
	}
	e.sawCR = false
	err := e.want(1)
	if err == nil && e.unread[0] == '\n' {
		e.unread = e.unread[1:]
	}
	return err
}

// want reads until n bytes are unread.
func (e *eventReader) want(n int) error {
	for len(e.unread) < n {
		if err := e.more(); err != nil {
			return err
		}
	}
	return nil
}
