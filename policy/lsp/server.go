package lsp

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/sourcegraph/jsonrpc2"

	"github.com/mcpagg/mcpagg/policy/format"
)

// Bounds of what a client may have the server keep.
const (
	maxDocuments = 1000
	maxDocument  = 4 << 20 // bytes, as for files of policies
)

// A document is a file that is open in the editor. It never changes.
type document struct {
	uri, path string
	version   int
	text      *text // nil if it is too large
	order     int   // of the last change; a later one is greater
}

// A server serves one client.
type server struct {
	options Options
	conn    *jsonrpc2.Conn // set before anything is handled

	kick   chan struct{} // something is to be checked; holds one
	reread chan struct{} // something is to be loaded; holds one

	mu        sync.Mutex
	folder    string               // of the client; guarded by mu, as all below
	state     state                // only goes up
	documents map[string]*document // by uri
	project   *Project             // nil until it is loaded
	changes   int                  // of documents and the project
	stale     chan struct{}        // closed at the next change
}

// A state is where in its life a server is.
type state int

const (
	started state = iota
	initialized
	shutDown
	exited
)

func newServer(o Options) *server {
	if o.Resolve == nil {
		o.Resolve = filepath.Clean
	}
	return &server{
		options: o, kick: make(chan struct{}, 1), reread: make(chan struct{}, 1),
		documents: map[string]*document{}, stale: make(chan struct{}),
	}
}

// ended reports whether the client left as it should.
func (s *server) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == shutDown || s.state == exited
}

// handle answers a request, or takes a notification.
func (s *server) handle(_ context.Context, _ *jsonrpc2.Conn, r *jsonrpc2.Request) (any, error) {
	if err := s.inTurn(r); err != nil {
		return nil, err
	}
	switch r.Method {
	case "initialize":
		return s.initialize(r)
	case "shutdown":
		s.advance(shutDown)
		return nil, nil
	case "exit":
		if s.ended() {
			s.advance(exited)
		}
		return nil, s.conn.Close()
	case "workspace/didChangeWatchedFiles", "textDocument/didSave", "workspace/didChangeConfiguration":
		signal(s.reread)
		return nil, nil
	}
	return s.document(r)
}

// inTurn fails for what may not be asked now.
func (s *server) inTurn(r *jsonrpc2.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == "exit":
		return nil
	case s.state == started && r.Method != "initialize":
		return failure(codeNotInitialized, "the server is not initialized")
	case s.state >= shutDown:
		return failure(codeInvalidRequest, "the server is shut down")
	case s.state == initialized && r.Method == "initialize":
		return failure(codeInvalidRequest, "the server is initialized already")
	}
	return nil
}

func (s *server) advance(to state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = max(s.state, to)
}

func (s *server) initialize(r *jsonrpc2.Request) (any, error) {
	var p initializeParams
	if err := read(r, &p); err != nil {
		return nil, err
	}
	root := p.RootURI
	if len(p.WorkspaceFolders) > 0 {
		root = p.WorkspaceFolders[0].URI
	}
	s.mu.Lock()
	s.folder, s.state = cmp.Or(pathOf(root), p.RootPath), initialized
	s.mu.Unlock()
	signal(s.reread)
	return capabilities(s.options.Version), nil
}

// document handles what is about one document.
func (s *server) document(r *jsonrpc2.Request) (any, error) {
	handlers := map[string]func(documentParams) (any, error){
		"textDocument/didOpen":    s.open,
		"textDocument/didChange":  s.change,
		"textDocument/didClose":   s.close,
		"textDocument/formatting": s.format,
		"textDocument/completion": s.complete,
		"textDocument/hover":      s.hover,
		"textDocument/definition": s.define,
	}
	handler := handlers[r.Method]
	switch {
	case handler != nil:
	case r.Notif:
		return nil, nil // which are many, and may be ignored
	default:
		return nil, failure(codeMethodNotFound, "this server does not know the method")
	}
	var p documentParams
	if err := read(r, &p); err != nil {
		return nil, err
	}
	return handler(p)
}

func read(r *jsonrpc2.Request, into any) error {
	if r.Params == nil {
		return failure(codeInvalidParams, "there are no parameters")
	}
	if err := json.Unmarshal(*r.Params, into); err != nil {
		return failure(codeInvalidParams, "the parameters are not those of the method")
	}
	return nil
}

func failure(code int64, message string) error {
	return &jsonrpc2.Error{Code: code, Message: message}
}

func (s *server) open(p documentParams) (any, error) {
	d := p.TextDocument
	s.put(d.URI, d.Version, newText([]byte(d.Text)))
	return nil, nil
}

func (s *server) change(p documentParams) (any, error) {
	d := s.lookup(p.TextDocument.URI)
	if d == nil {
		return nil, nil // which was not opened, or is one too many
	}
	text := d.text
	for _, c := range p.ContentChanges {
		if text == nil && c.Range != nil {
			continue // of a text that was not kept
		}
		text = bounded(cmp.Or(text, newText(nil)).changed(c))
	}
	s.put(d.uri, p.TextDocument.Version, text)
	return nil, nil
}

func (s *server) close(p documentParams) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.documents, p.TextDocument.URI)
	s.changedLocked()
	return nil, nil
}

func bounded(t *text) *text {
	if t != nil && len(t.bytes) > maxDocument {
		return nil
	}
	return t
}

// put keeps a document, and has it checked.
func (s *server) put(uri string, version int, t *text) {
	path := pathOf(uri)
	if path == "" {
		path = uri
	} else {
		path = s.options.Resolve(path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents[uri] == nil && len(s.documents) >= maxDocuments {
		return
	}
	s.changedLocked()
	s.documents[uri] = &document{uri: uri, path: path, version: version, text: bounded(t), order: s.changes}
}

// changedLocked ends the check of what was there before, and asks for another.
func (s *server) changedLocked() {
	s.changes++
	close(s.stale)
	s.stale = make(chan struct{})
	signal(s.kick)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is waiting
	}
}

func (s *server) lookup(uri string) *document {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.documents[uri]
}

// format lays a document out. One that cannot be read stays as it is: what is wrong is
// shown already.
func (s *server) format(p documentParams) (any, error) {
	d := s.lookup(p.TextDocument.URI)
	if d == nil || d.text == nil {
		return []textEdit{}, nil
	}
	made, err := format.Source(d.path, d.text.bytes)
	if err != nil {
		return []textEdit{}, nil
	}
	return d.text.edit(made), nil
}

// drive is how the path of a file URI begins on Windows.
var drive = regexp.MustCompile(`^/[A-Za-z]:`)

// pathOf is the path of a file URI, "" for others.
func pathOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || u.Path == "" {
		return ""
	}
	path := u.Path
	if drive.MatchString(path) {
		path = strings.TrimPrefix(path, "/")
	}
	return filepath.FromSlash(path)
}

// uriOf is the file URI of a path.
func uriOf(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
