package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/aggregator/audit"
)

// A disk opens files that take as many bytes as there is room for. It is safe for
// concurrent use.
type disk struct {
	mu    sync.Mutex
	room  int           // guarded by mu
	stuck chan struct{} // writes wait until it is closed; nil for none; guarded by mu
	tries []time.Time   // of writes that failed; guarded by mu
	syncs int           // guarded by mu
	sync  error         // what syncing fails with; guarded by mu
}

type diskFile struct {
	*os.File
	disk *disk
}

func (d *disk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (f *diskFile) Write(text []byte) (int, error) {
	f.disk.mu.Lock()
	stuck := f.disk.stuck
	f.disk.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	fits := min(len(text), f.disk.room)
	n, err := f.File.Write(text[:fits])
	f.disk.room -= n
	if err == nil && n < len(text) {
		f.disk.tries = append(f.disk.tries, time.Now())
		err = syscall.ENOSPC
	}
	return n, err
}

func (f *diskFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.syncs++
	return f.disk.sync
}

// openOn is a log whose file is on the disk, its path, and what it logs.
func openOn(t *testing.T, d *disk) (*audit.Log, string, *bytes.Buffer) {
	t.Helper()
	var logged bytes.Buffer
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	o := audit.Options{Path: path, Log: slog.New(slog.NewTextHandler(&logged, nil))}
	l, err := audit.OpenWith(o, func(f *os.File) audit.File { return &diskFile{f, d} })
	if err != nil {
		t.Fatal(err)
	}
	return l, path, &logged
}

// TestFullDisk has the disk fill up within a line. What is queued is written once
// there is room, the line that was cut off goes on, and it is said once.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 20}
		l, path, logged := openOn(t, d)
		add(t, l, decision("a"))
		synctest.Wait()
		began := time.Now()
		d.set(func() { d.room = 10 })
		add(t, l, decision("b"))
		synctest.Wait()
		if l.Err() == nil {
			t.Error("it does not say that it cannot write")
		}
		add(t, l, decision("c")) // is queued
		time.Sleep(14 * time.Second)
		d.set(func() { d.room = 1 << 20 })
		time.Sleep(5 * time.Second)
		if err := l.Err(); err != nil {
			t.Error(err)
		}
		closed(t, l)
		if got, want := kinds(t, path), "opened a b c closed"; got != want {
			t.Errorf("lines %s, want %s", got, want)
		}
		var at []string
		for _, try := range d.tries {
			at = append(at, try.Sub(began).String())
		}
		if got, want := strings.Join(at, " "), "0s 100ms 300ms 700ms 1.5s 3.1s 6.3s 11.3s"; got != want {
			t.Errorf("tries after %s, want %s", got, want)
		}
		if got := logged.String(); strings.Count(got, "level=ERROR") != 1 || strings.Count(got, "can be written again") != 1 {
			t.Errorf("logged %s", got)
		}
	})
}

// A file that is moved away with half a line gets no more, and the new one has the
// line from its beginning.
func TestMovedWithinALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 20}
		l, path, _ := openOn(t, d)
		add(t, l, decision("a"))
		synctest.Wait()
		stuck := make(chan struct{})
		d.set(func() { d.stuck = stuck })
		add(t, l, decision("b"))
		synctest.Wait()
		add(t, l, decision("c"), decision("d"), decision("e")) // are one batch
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		length := bytes.LastIndexByte(text[:len(text)-1], '\n') // of the first line
		size := len(text) - length - 1                          // of a decision's line
		d.set(func() { d.stuck, d.room = nil, 2*size+20 })      // b, c and a part of d
		close(stuck)
		time.Sleep(time.Second)
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		d.set(func() { d.room = 1 << 20 })
		time.Sleep(5 * time.Second)
		closed(t, l)
		if got, want := kinds(t, path), "opened d e closed"; got != want {
			t.Errorf("lines %s, want %s", got, want)
		}
		before, err := os.ReadFile(path + ".1")
		if err != nil {
			t.Fatal(err)
		}
		whole := bytes.LastIndexByte(before, '\n') + 1
		if err := os.WriteFile(path+".1", before[:whole], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, want := kinds(t, path+".1"), "opened a b c"; got != want || len(before)-whole != 20 {
			t.Errorf("the file before has %s and %d bytes, want %s and 20", got, len(before)-whole, want)
		}
		if l.Lost() != 0 {
			t.Errorf("%d lost", l.Lost())
		}
	})
}

// TestQueueFull has a file that takes nothing. The queue fills, then whoever adds
// waits a second for it, and a line tells how many records there are none of.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 30}
		l, path, _ := openOn(t, d)
		stuck := make(chan struct{})
		d.set(func() { d.stuck = stuck })
		add(t, l, decision("first"))
		synctest.Wait() // it is being written
		for range audit.MaxQueued {
			add(t, l, decision("queued"))
		}
		began := time.Now()
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				if l.Add(decision("none")) {
					t.Error("a full queue takes a record")
				}
			})
		}
		waiting.Wait()
		if took := time.Since(began); took != time.Second || l.Lost() != 3 {
			t.Errorf("adding took %v, %d lost", took, l.Lost())
		}
		waiting.Go(func() {
			if !l.Add(decision("late")) {
				t.Error("a record is not taken when there is room again")
			}
		})
		time.Sleep(time.Second / 2)
		d.set(func() { d.stuck = nil })
		close(stuck)
		waiting.Wait()
		closed(t, l)
		all := lines(t, path)
		if len(all) != 1+1+audit.MaxQueued+1+1+1 {
			t.Errorf("%d lines", len(all))
		}
		counts := 0
		for _, line := range all {
			if line["kind"] == "lost" {
				counts += int(line["count"].(float64))
			}
		}
		if counts != 3 {
			t.Errorf("the lines tell of %d records that are lost, want 3", counts)
		}
	})
}

// While the file cannot be written, a full queue refuses at once: nobody waits for
// what does not come.
func TestQueueFullWhileFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 30}
		l, _, _ := openOn(t, d)
		d.set(func() { d.room = 0 })
		add(t, l, decision("first"))
		synctest.Wait()
		taken, began := 0, time.Now()
		for l.Add(decision("queued")) {
			taken++
		}
		if took := time.Since(began); took != 0 || taken != audit.MaxQueued {
			t.Errorf("%d records were taken, in %v", taken, took)
		}
		err := l.Close()
		if err == nil || !strings.Contains(err.Error(), "no space left") || l.Lost() != int64(audit.MaxQueued+2) {
			t.Errorf("closing: %v, %d lost", err, l.Lost())
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("closing took %v", took)
		}
	})
}

// What waits is bounded in bytes, too.
func TestQueueFullOfArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 30}
		l, _, _ := openOn(t, d)
		stuck := make(chan struct{})
		d.set(func() { d.stuck = stuck })
		add(t, l, decision("first"))
		synctest.Wait()
		r := decision("long")
		r.Arguments = json.RawMessage(`"` + strings.Repeat("x", 4<<20-2) + `"`)
		n := 0
		for l.Add(r) {
			n++
		}
		if n != 16 {
			t.Errorf("%d MiB of arguments wait, want 64", 4*n)
		}
		d.set(func() { d.stuck = nil })
		close(stuck)
		r.Arguments = json.RawMessage(`"` + strings.Repeat("x", 100<<20) + `"`)
		add(t, l, r) // is more than there is room for, and alone
		closed(t, l)
	})
}

// A file that hangs does not keep a gateway from ending.
func TestCloseHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 20}
		l, _, _ := openOn(t, d)
		stuck := make(chan struct{})
		d.set(func() { d.stuck = stuck })
		add(t, l, decision("a"))
		began := time.Now()
		if err := l.Close(); err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("closing: %v, after %v", err, time.Since(began))
		}
		close(stuck)
		closed(t, l)
	})
}

// What is written is synced within a second, and not for each record.
func TestSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 20}
		l, _, _ := openOn(t, d)
		syncs := func() (n int) {
			synctest.Wait()
			d.set(func() { n = d.syncs })
			return n
		}
		time.Sleep(time.Second)
		if got := syncs(); got != 1 {
			t.Errorf("%d syncs after opening, want 1", got)
		}
		for range 20 {
			add(t, l, decision("a"))
			time.Sleep(50 * time.Millisecond)
		}
		if got := syncs(); got != 2 {
			t.Errorf("%d syncs after a second with records, want 2", got)
		}
		time.Sleep(time.Hour)
		if got := syncs(); got != 2 {
			t.Errorf("%d syncs after an hour without, want 2", got)
		}
		d.set(func() { d.sync = syscall.EIO })
		add(t, l, decision("b"))
		time.Sleep(time.Second)
		if got := syncs(); got != 3 || l.Err() == nil {
			t.Errorf("%d syncs, want 3; failing: %v", got, l.Err())
		}
		d.set(func() { d.sync = nil })
		closed(t, l)
		if got := syncs(); got != 4 || l.Err() != nil {
			t.Errorf("%d syncs once it is closed, want 4; failing: %v", got, l.Err())
		}
	})
}

// A file that cannot be opened again is one that cannot be written.
func TestReopenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 20}
		l, path, _ := openOn(t, d)
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		add(t, l, decision("a"))
		time.Sleep(time.Second)
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), "is not a file") {
			t.Errorf("failing: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		closed(t, l)
		if got, want := kinds(t, path), "opened a closed"; got != want {
			t.Errorf("lines %s, want %s", got, want)
		}
	})
}

// A log whose disk is full goes on at once on another one, with all that waits.
func TestChangeFromAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 1 << 20}
		l, path, _ := openOn(t, d)
		add(t, l, decision("a"))
		synctest.Wait()
		d.set(func() { d.room = 10 })
		add(t, l, decision("b"))
		synctest.Wait()
		add(t, l, decision("c"))
		other := filepath.Join(t.TempDir(), "other.jsonl")
		settle, err := l.Change(audit.Options{Path: other})
		if err != nil {
			t.Fatal(err)
		}
		d.set(func() { d.room = 1 << 20 })
		settle(true)
		synctest.Wait()
		if got, want := kinds(t, other), "opened b c"; got != want {
			t.Errorf("the other file has %s, want %s", got, want)
		}
		if text, err := os.ReadFile(path); err != nil || !bytes.HasSuffix(text, []byte("{\"time\":\"2")) {
			t.Errorf("%v, the first file ends with %q", err, text[max(0, len(text)-20):])
		}
		closed(t, l)
	})
}

// What is added after a change was settled is not in the file before, however long
// that takes nothing.
func TestChangeComesFirst(t *testing.T) {
	for range 20 { // by chance, it might come first anyway
		synctest.Test(t, func(t *testing.T) {
			d := &disk{room: 1 << 20}
			l, path, _ := openOn(t, d)
			stuck := make(chan struct{})
			d.set(func() { d.stuck = stuck })
			add(t, l, decision("a"))
			synctest.Wait()
			other := filepath.Join(t.TempDir(), "other.jsonl")
			for _, to := range []string{path + ".unused", other} {
				settle, err := l.Change(audit.Options{Path: to})
				if err != nil {
					t.Fatal(err)
				}
				settle(true)
			}
			add(t, l, decision("b"))
			d.set(func() { d.stuck = nil })
			close(stuck)
			closed(t, l)
			if got, want := kinds(t, path)+", "+kinds(t, other), "opened a closed, opened b closed"; got != want {
				t.Errorf("the files have %s, want %s", got, want)
			}
		})
	}
}
