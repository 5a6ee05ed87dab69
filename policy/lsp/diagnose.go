package lsp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/policy/check"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// A view is what there was at one moment.
type view struct {
	project   *Project
	documents map[string]*document // by path
	stale     <-chan struct{}      // closed when it is not so any more
	latest    *document            // that changed last, nil for none
}

// current is what there is.
func (s *server) current() view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{project: s.project, documents: map[string]*document{}, stale: s.stale}
	for _, d := range s.documents {
		v.documents[d.path] = d
		if v.latest == nil || d.order > v.latest.order {
			v.latest = d
		}
	}
	return v
}

func (v *view) isStale() bool {
	select {
	case <-v.stale:
		return true
	default:
		return false
	}
}

// checkChanges checks after each change: first the file that changed, by itself, and then
// everything, unless it changes meanwhile.
func (s *server) checkChanges(ctx context.Context) {
	p := &publisher{server: s, shown: map[string]shown{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(debounce):
		}
		p.check(ctx, s.current())
	}
}

// A publisher knows what the client shows.
type publisher struct {
	server *server
	shown  map[string]shown // by uri
}

func (p *publisher) check(ctx context.Context, v view) {
	if d := v.latest; d != nil {
		all, ok := v.changedPart(d, p.shown[d.uri])
		if !ok {
			all = v.alone(d)
		}
		if !v.isStale() {
			p.publish(ctx, d.uri, d, all)
		}
	}
	found := map[string][]diagnostic{} // by path
	for path, d := range v.documents {
		if d != v.latest || v.project == nil {
			found[path] = nil
		}
	}
	if v.project != nil {
		for _, files := range v.project.Sets {
			v.checkAll(files, found)
		}
	}
	for path, d := range v.documents {
		if found[path] == nil && !v.inProject(path) && !v.isStale() {
			found[path] = v.alone(d)
		}
	}
	if !v.isStale() {
		p.publishAll(ctx, v, found)
	}
}

// publishAll shows what was found, and nothing for files in which nothing was.
func (p *publisher) publishAll(ctx context.Context, v view, found map[string][]diagnostic) {
	uris := map[string]bool{}
	for path, all := range found {
		uri := uriOf(path)
		d := v.documents[path]
		if d != nil {
			uri = d.uri
		}
		uris[uri] = true
		p.publish(ctx, uri, d, all)
	}
	for uri := range p.shown {
		if !uris[uri] {
			p.publish(ctx, uri, nil, nil)
		}
	}
}

// publish shows what was found in a file, unless it is shown already.
func (p *publisher) publish(ctx context.Context, uri string, d *document, all []diagnostic) {
	last, known := p.shown[uri]
	made := shown{all: all}
	if d != nil {
		made.text = d.text
	}
	if (known || len(all) == 0 && d == nil) && slices.Equal(last.all, all) {
		if known {
			p.shown[uri] = made
		}
		return
	}
	params := publishParams{URI: uri, Diagnostics: append([]diagnostic{}, all...)}
	if d != nil {
		params.Version = &d.version
	}
	if d == nil && len(all) == 0 {
		delete(p.shown, uri)
	} else {
		p.shown[uri] = made
	}
	_ = p.server.conn.Notify(ctx, "textDocument/publishDiagnostics", params) // else the client has left
}

// inProject reports whether a file is one of the project.
func (v *view) inProject(path string) bool {
	if v.project == nil {
		return false
	}
	for _, files := range v.project.Sets {
		for _, f := range files {
			if v.project.Paths[f.Name] == path {
				return true
			}
		}
	}
	return false
}

// nameOf is the name of a document in the project, else its path.
func (v *view) nameOf(d *document) string {
	if v.project != nil {
		for name, path := range v.project.Paths {
			if path == d.path {
				return name
			}
		}
	}
	return d.path
}

// alone is what is wrong with a document by itself: without a project, that it cannot be
// read.
func (v *view) alone(d *document) []diagnostic {
	if d.text == nil {
		return []diagnostic{{Severity: 2, Source: sourceName, Message: fmt.Sprintf("the file is larger than %d MiB, and is not checked; split it", maxDocument>>20)}}
	}
	if v.project == nil {
		return unreadable(d)
	}
	in := v.project.Input
	in.Files, in.Done = []source.File{{Name: v.nameOf(d), Text: d.text.bytes}}, v.stale
	return diagnostics(d.text, check.Check(in))
}

// unreadable is why a document cannot be read, if so.
func unreadable(d *document) []diagnostic {
	_, err := syntax.Parse(d.path, d.text.bytes)
	at, ok := err.(*syntax.Error)
	if !ok {
		return nil
	}
	return []diagnostic{{Range: d.text.span(at.Start, at.End), Severity: 1, Code: "syntax", Source: sourceName, Message: at.Text}}
}

// checkAll checks a set of files with the texts of the editor.
func (v *view) checkAll(files []source.File, found map[string][]diagnostic) {
	in := v.project.Input
	in.Done = v.stale
	for _, f := range files {
		if d := v.documents[v.project.Paths[f.Name]]; d != nil && d.text != nil {
			f.Text = d.text.bytes
		}
		in.Files = append(in.Files, f)
	}
	byFile := map[string][]check.Finding{}
	for _, f := range check.Check(in) {
		byFile[f.File] = append(byFile[f.File], f)
	}
	for _, f := range in.Files {
		if path := v.project.Paths[f.Name]; path != "" {
			found[path] = append(found[path], diagnostics(newText(f.Text), byFile[f.Name])...)
		}
	}
}

// sourceName is whom editors name beside what is wrong.
const sourceName = "mcpagg"

// Bounds of what is shown of one file, which editors would not bound.
const (
	maxDiagnostics = 1000
	maxAlso        = 10 // other objects of which the same holds
)

// diagnostics are the findings in one text.
func diagnostics(t *text, findings []check.Finding) []diagnostic {
	var all []diagnostic
	for _, f := range findings[:min(len(findings), maxDiagnostics)] {
		d := diagnostic{Severity: int(f.Severity) + 1, Code: f.Code, Source: sourceName, Message: message(f)}
		if f.Line > 0 {
			d.Range = t.span(t.place(f.Line, f.Column), t.place(f.Line, max(f.EndColumn, f.Column+1)))
		}
		all = append(all, d)
	}
	return all
}

// message is a finding without its place.
func message(f check.Finding) string {
	m := f.Text
	if f.Suggestion != "" {
		m += "; " + f.Suggestion
	}
	if n := len(f.Also); n > 0 {
		m += "\nalso: " + strings.Join(f.Also[:min(n, maxAlso)], ", ")
		if n > maxAlso {
			m += fmt.Sprintf(" and %d more", n-maxAlso)
		}
	}
	return m
}
