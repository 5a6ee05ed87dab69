package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	maxPages = 1000     // of one list
	maxItems = 100_000  // in one list
	maxBytes = 64 << 20 // of all definitions in one list
	// maxOwnBytes is that of a connection for calls only, of which there are many.
	maxOwnBytes = 1 << 20
)

// A kind is one of the four kinds of definitions.
type kind struct {
	name       string // as in an error
	method     string // that lists them
	member     string // of its result that holds them
	capability string // that a server with such definitions declares
}

var kinds = []kind{
	{"tools", "tools/list", "tools", "tools"},
	{"prompts", "prompts/list", "prompts", "prompts"},
	{"resources", "resources/list", "resources", "resources"},
	{"resource templates", "resources/templates/list", "resourceTemplates", "resources"},
}

// items is where l holds its definitions of kind k.
func (l *Listing) items(k kind) *[]json.RawMessage {
	switch k.method {
	case "tools/list":
		return &l.Tools
	case "prompts/list":
		return &l.Prompts
	case "resources/list":
		return &l.Resources
	}
	return &l.Templates
}

// ttl is where l holds the time for which its definitions of kind k are fresh.
func (l *Listing) ttl(k kind) *time.Duration {
	switch k.method {
	case "tools/list":
		return &l.TTL.Tools
	case "prompts/list":
		return &l.TTL.Prompts
	case "resources/list":
		return &l.TTL.Resources
	}
	return &l.TTL.Templates
}

// declares reports whether the server has the capability, or with sub the part
// of it, such as listChanged.
func (l *Listing) declares(capability, sub string) bool {
	all, _ := rawjson.ParseObject(l.Capabilities)
	raw := all.Get(capability)
	if raw == nil || string(raw) == "null" || sub == "" {
		return raw != nil && string(raw) != "null"
	}
	one, _ := rawjson.ParseObject(raw)
	return string(one.Get(sub)) == "true"
}

func (l *Listing) equal(other *Listing) bool {
	if other == nil || l.Era != other.Era || l.Version != other.Version || l.Instructions != other.Instructions ||
		l.TTL != other.TTL || !slices.Equal(l.Versions, other.Versions) ||
		!bytes.Equal(l.ServerInfo, other.ServerInfo) || !bytes.Equal(l.Capabilities, other.Capabilities) {
		return false
	}
	for _, k := range kinds {
		equal := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
		if !slices.EqualFunc(*l.items(k), *other.items(k), equal) {
			return false
		}
	}
	return true
}

// list fills in all that the server declares to offer. Only the tools must not
// fail: a server without its prompts is still of use.
func (c *conn) list(ctx context.Context, l *Listing) error {
	for _, k := range kinds {
		if !l.declares(k.capability, "") {
			continue
		}
		items, ttl, err := c.listKind(ctx, k)
		switch {
		case err != nil && (k.method == "tools/list" || ctx.Err() != nil):
			return fmt.Errorf("listing %s: %w", k.name, plain(err))
		case err != nil:
			c.log.Warn("listing "+k.name, "err", plain(err))
		default:
			*l.items(k), *l.ttl(k) = items, ttl
		}
	}
	return nil
}

// listKind fetches all pages of one list. ttl is for how long the server lets
// all of them be used.
func (c *conn) listKind(ctx context.Context, k kind) (items []json.RawMessage, ttl time.Duration, err error) {
	items = []json.RawMessage{}
	cursors := map[string]bool{}
	size := 0
	for cursor := ""; ; {
		page, err := c.listPage(ctx, k, cursor)
		if isMethodNotFound(err) {
			break // declared, but not there
		}
		if err != nil {
			return nil, 0, err
		}
		if items = append(items, page.items...); len(items) > maxItems {
			return nil, 0, fmt.Errorf("more than %d of them", maxItems)
		}
		for _, item := range page.items {
			size += len(item)
		}
		if size > c.maxList {
			return nil, 0, fmt.Errorf("more than %d MiB of them", c.maxList>>20)
		}
		if cursor == "" || page.ttl < ttl {
			ttl = page.ttl
		}
		if page.next == "" {
			break
		}
		if cursors[page.next] {
			return nil, 0, errors.New("a page's cursor came twice")
		}
		if cursors[page.next] = true; len(cursors) >= maxPages {
			return nil, 0, fmt.Errorf("more than %d pages", maxPages)
		}
		cursor = page.next
	}
	if k.method == "tools/list" {
		c.setTools(items)
	}
	return items, ttl, nil
}

// A page is one answer to a list request.
type page struct {
	items []json.RawMessage
	next  string // cursor of the next page, "" if this is the last one
	ttl   time.Duration
}

func isMethodNotFound(err error) bool {
	answer, ok := err.(*jsonrpc.Error)
	return ok && answer.Code == jsonrpc.CodeMethodNotFound
}

func (c *conn) listPage(ctx context.Context, k kind, cursor string) (page, error) {
	params := rawjson.Object{}
	if cursor != "" {
		params.Set("cursor", rawjson.String(cursor))
	}
	raw, err := c.call(ctx, Call{Method: k.method, Params: params.Bytes()})
	if err != nil {
		return page{}, err
	}
	result, err := rawjson.ParseObject(raw)
	if err != nil {
		return page{}, fmt.Errorf("result: %w", err)
	}
	p := page{}
	p.next, _ = result.GetString("nextCursor")
	if c.modern {
		p.ttl = milliseconds(result.Get("ttlMs"))
	}
	if items := result.Get(k.member); items != nil && string(items) != "null" {
		if p.items, err = rawjson.ParseArray(items); err != nil {
			return page{}, fmt.Errorf("%s: %w", k.member, err)
		}
	}
	return p, nil
}

// maxTTL bounds for how long a server may say that its lists are fresh.
const maxTTL = 24 * time.Hour

// milliseconds reads a ttlMs; what is no number above 0 counts as 0.
func milliseconds(raw json.RawMessage) time.Duration {
	var ms float64
	if json.Unmarshal(raw, &ms) != nil || ms <= 0 {
		return 0
	}
	return time.Duration(min(ms, float64(maxTTL.Milliseconds()))) * time.Millisecond
}

// A kindSet collects the kinds that have changed until somebody takes them. It
// is safe for concurrent use.
type kindSet struct {
	added chan struct{} // holds a token while there may be some

	mu   sync.Mutex
	some []kind // guarded by mu
}

func newKindSet() *kindSet { return &kindSet{added: make(chan struct{}, 1)} }

// addChanged adds the kinds that the notification method says have changed,
// and reports whether it is such a notification.
func (s *kindSet) addChanged(method string) bool {
	name, ok := strings.CutPrefix(method, "notifications/")
	capability, ok2 := strings.CutSuffix(name, "/list_changed")
	if !ok || !ok2 {
		return false
	}
	for _, k := range kinds {
		if k.capability == capability {
			s.add(k)
		}
	}
	return true
}

func (s *kindSet) add(ks ...kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range ks {
		if !slices.Contains(s.some, k) {
			s.some = append(s.some, k)
		}
	}
	select {
	case s.added <- struct{}{}:
	default:
	}
}

func (s *kindSet) take() []kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := s.some
	s.some = nil
	return some
}
