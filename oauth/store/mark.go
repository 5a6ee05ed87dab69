package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// A mark is a small file with the last sequence that was acknowledged. It is not
// synced: after a power cut it may be behind, but never ahead of the engine, whose
// files are. So if it is ahead, the engine has lost something. It is safe for
// concurrent use. A nil one does nothing.
type mark struct {
	mu   sync.Mutex
	file *os.File
	at   uint64 // guarded by mu
}

// openMark opens the mark beside the engine's files.
func openMark(dir string) (*mark, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "last")
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	at, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		at = 0 // a power cut can leave it empty
	}
	return &mark{file: f, at: at}, nil
}

// last is 0 if nothing is known.
func (m *mark) last() uint64 {
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

// raise notes that a sequence was acknowledged. That it cannot be written is no
// failure of what was.
func (m *mark) raise(sequence uint64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if sequence <= m.at {
		return
	}
	m.at = sequence
	m.file.WriteAt(fmt.Appendf(nil, "%020d\n", sequence), 0)
}

func (m *mark) close() {
	if m != nil {
		m.file.Close()
	}
}
