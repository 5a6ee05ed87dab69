package lsp

import (
	"context"
	"time"
)

// reload loads the project when the client has said where it is, and again whenever it
// changes. What cannot be loaded is told once, and what was there before stays.
func (s *server) reload(ctx context.Context) {
	var told, seen string
	look := time.NewTicker(poll)
	defer look.Stop()
	for loaded := false; ; {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-s.reread:
			asked = true
		case <-look.C:
		}
		now := s.stamp()
		if !s.isInitialized() || loaded && now == seen || !loaded && !asked && now == seen {
			continue
		}
		p, problem := s.load(ctx)
		// The first load may go to the folder, where other files are.
		loaded, seen = loaded || p != nil, s.stamp()
		if p != nil {
			s.replace(p)
		}
		if problem != told && ctx.Err() == nil {
			s.tell(ctx, problem)
		}
		told = problem
	}
}

func (s *server) stamp() string {
	if s.options.Stamp == nil {
		return ""
	}
	return s.options.Stamp()
}

func (s *server) isInitialized() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state >= initialized
}

func (s *server) load(ctx context.Context) (p *Project, problem string) {
	s.mu.Lock()
	folder := s.folder
	s.mu.Unlock()
	p, err := s.options.Load(ctx, folder)
	if err != nil {
		return nil, err.Error()
	}
	return p, p.Problem
}

// replace has policies checked against a project.
func (s *server) replace(p *Project) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.project = p
	s.changedLocked()
}

// tell shows a message, if there is one.
func (s *server) tell(ctx context.Context, message string) {
	if message == "" {
		return
	}
	_ = s.conn.Notify(ctx, "window/showMessage", map[string]any{"type": 2, "message": "mcpagg: " + message}) // else the client has left
}
