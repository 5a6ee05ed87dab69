package store

import (
	"fmt"
	"log/slog"
	"sync"
)

// An engineLog is where the NATS server writes its log. What it has to say are
// names of files and errors, never values.
type engineLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last string // why the server did not start; guarded by mu
}

// fatal says why the server did not start.
func (l *engineLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *engineLog) Noticef(format string, v ...any) { l.Debugf(format, v...) }
func (l *engineLog) Tracef(format string, v ...any)  {}
func (l *engineLog) Errorf(format string, v ...any)  { l.Warnf(format, v...) }

func (l *engineLog) Debugf(format string, v ...any) {
	l.log.Debug("store engine", "says", fmt.Sprintf(format, v...))
}

func (l *engineLog) Warnf(format string, v ...any) {
	l.log.Warn("store engine", "says", fmt.Sprintf(format, v...))
}

// Fatalf has the server end the program; ours goes on, and Open fails.
func (l *engineLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = fmt.Sprintf(format, v...)
}
