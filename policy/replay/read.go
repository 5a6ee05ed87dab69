package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Log is one audit file.
type Log struct {
	Name string
	Open func() (io.ReadCloser, error)
}

const (
	// maxLine bounds the bytes of a line: the gateway writes 128 KiB at most.
	maxLine = 256 << 10
	// maxPlaces bounds how many places of broken lines are told.
	maxPlaces = 5
	// readAhead is how much is read at once.
	readAhead = 256 << 10
)

// Read is what was read of some files.
type Read struct {
	Files     []string  `json:"files"`
	Lines     int       `json:"lines"`
	Decisions int       `json:"decisions"`
	Skipped   int       `json:"skipped,omitempty"` // lines from before
	First     time.Time `json:"first,omitzero"`    // decision
	Last      time.Time `json:"last,omitzero"`
	// Lost counts the records that the gateway could not write.
	Lost int64 `json:"lost,omitempty"`
	// Broken counts the lines that cannot be read. Places are where the first ones are,
	// and why, such as audit.jsonl:12: no JSON.
	Broken int      `json:"broken,omitempty"`
	Places []string `json:"broken_places,omitempty"`
}

// Each calls f with each decision of the files that is not from before since, in the
// order in which it is written. Files may be compressed by gzip. What cannot be read of
// a file is counted; the error is that a file cannot be read, or f's own. The record is
// f's to keep.
func Each(logs []Log, since time.Time, f func(*Record) error) (*Read, error) {
	read := &Read{}
	for _, l := range logs {
		if err := read.file(l, since, f); err != nil {
			return read, err
		}
	}
	return read, nil
}

func (read *Read) file(l Log, since time.Time, f func(*Record) error) error {
	file, err := l.Open()
	if err != nil {
		return fmt.Errorf("reading the audit file %s: %w", l.Name, err)
	}
	defer file.Close()
	read.Files = append(read.Files, l.Name)
	text, err := unzipped(file)
	if err != nil {
		return fmt.Errorf("reading the audit file %s: %w", l.Name, err)
	}
	fr := &fileReader{read: read, name: l.Name, since: since, f: f}
	if err := fr.lines(text); err != nil {
		return fmt.Errorf("reading the audit file %s: %w", l.Name, err)
	}
	return fr.err
}

// unzipped is what is in a file that may be compressed.
func unzipped(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(r, readAhead)
	if begin, _ := b.Peek(2); !bytes.Equal(begin, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(z, readAhead), nil
}

// A fileReader reads one file.
type fileReader struct {
	read  *Read
	name  string
	since time.Time
	f     func(*Record) error

	line       int
	mode, salt string
	err        error // of f
}

// lines reads all lines, each of which is in memory once.
func (fr *fileReader) lines(b *bufio.Reader) error {
	var whole []byte
	for fr.err == nil {
		part, err := b.ReadSlice('\n')
		text := part
		if err == bufio.ErrBufferFull || len(whole) > 0 {
			whole = append(whole, part[:min(len(part), maxLine+1-min(len(whole), maxLine))]...)
			text = whole
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if len(text) > 0 {
			fr.take(text)
		}
		whole = whole[:0]
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF): // of a compressed file
			fr.broken("the file ends too early")
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

func (fr *fileReader) broken(why string) {
	fr.read.Broken++
	if len(fr.read.Places) < maxPlaces {
		fr.read.Places = append(fr.read.Places, fmt.Sprintf("%s:%d: %s", fr.name, fr.line, why))
	}
}

// take reads one line.
func (fr *fileReader) take(text []byte) {
	fr.line++
	fr.read.Lines++
	if len(text) > maxLine {
		fr.broken("it is too long")
		return
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return
	}
	if fr.isOld(text) {
		fr.read.Skipped++
		return
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		fr.broken("it is no line of an audit file")
		return
	}
	switch l.Kind {
	case kindOpened:
		fr.mode, fr.salt = l.Mode, l.Salt
		if l.Version > version {
			fr.broken(fmt.Sprintf("what follows is of version %d, and this mcpagg knows %d", l.Version, version))
		}
	case kindLost:
		fr.read.Lost += max(l.Count, 0)
	case kindDecision:
		fr.decision(&l)
	case "":
		fr.broken("it is no line of an audit file")
	}
}

// version is that of the format.
const version = 1

func (fr *fileReader) decision(l *line) {
	r, err := l.record()
	if err != nil {
		fr.broken(err.Error())
		return
	}
	if r.Time.Before(fr.since) {
		fr.read.Skipped++
		return
	}
	r.File, r.Line, r.Mode, r.Salt = fr.name, fr.line, fr.mode, fr.salt
	read := fr.read
	read.Decisions++
	if read.First.IsZero() || r.Time.Before(read.First) {
		read.First = r.Time
	}
	if r.Time.After(read.Last) {
		read.Last = r.Time
	}
	fr.err = fr.f(r)
}

var (
	timePrefix   = []byte(`{"time":"`)
	decisionKind = []byte(`"kind":"decision"`)
)

// isOld reports without reading all of it whether a line is about a decision from
// before since.
func (fr *fileReader) isOld(text []byte) bool {
	const width = len(timeFormat)
	rest, ok := bytes.CutPrefix(text, timePrefix)
	if fr.since.IsZero() || !ok || len(rest) < width+2+len(decisionKind) || !bytes.Equal(rest[width+2:width+2+len(decisionKind)], decisionKind) {
		return false
	}
	at, err := time.Parse(timeFormat, string(rest[:width]))
	return err == nil && at.Before(fr.since)
}
