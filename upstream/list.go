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

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

const (
	maxPages = 1000     // of one list
	maxItems = 100_000  // in one list
	maxBytes = 64 << 20 // of all definitions in one list
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
		items, err := c.listKind(ctx, k)
		switch {
		case err != nil && (k.method == "tools/list" || ctx.Err() != nil):
			return fmt.Errorf("listing %s: %w", k.name, plain(err))
		case err != nil:
			c.log.Warn("listing "+k.name, "err", plain(err))
		default:
			*l.items(k) = items
		}
	}
	return nil
}

// listKind fetches all pages of one list.
func (c *conn) listKind(ctx context.Context, k kind) ([]json.RawMessage, error) {
	items := []json.RawMessage{}
	cursors := map[string]bool{}
	size := 0
	for cursor := ""; ; {
		page, next, err := c.listPage(ctx, k, cursor)
		if isMethodNotFound(err) {
			break // declared, but not there
		}
		if err != nil {
			return nil, err
		}
		if items = append(items, page...); len(items) > maxItems {
			return nil, fmt.Errorf("more than %d of them", maxItems)
		}
		for _, item := range page {
			size += len(item)
		}
		if size > maxBytes {
			return nil, fmt.Errorf("more than %d MiB of them", maxBytes>>20)
		}
		if next == "" {
			break
		}
		if cursors[next] {
			return nil, errors.New("a page's cursor came twice")
		}
		if cursors[next] = true; len(cursors) >= maxPages {
			return nil, fmt.Errorf("more than %d pages", maxPages)
		}
		cursor = next
	}
	if k.method == "tools/list" {
		c.setTools(items)
	}
	return items, nil
}

func isMethodNotFound(err error) bool {
	answer, ok := err.(*jsonrpc.Error)
	return ok && answer.Code == jsonrpc.CodeMethodNotFound
}

func (c *conn) listPage(ctx context.Context, k kind, cursor string) (items []json.RawMessage, next string, err error) {
	params := rawjson.Object{}
	if cursor != "" {
		params.Set("cursor", rawjson.String(cursor))
	}
	raw, err := c.call(ctx, Call{Method: k.method, Params: params.Bytes()})
	if err != nil {
		return nil, "", err
	}
	result, err := rawjson.ParseObject(raw)
	if err != nil {
		return nil, "", fmt.Errorf("result: %w", err)
	}
	next, _ = result.GetString("nextCursor")
	if page := result.Get(k.member); page != nil && string(page) != "null" {
		if items, err = rawjson.ParseArray(page); err != nil {
			return nil, "", fmt.Errorf("%s: %w", k.member, err)
		}
	}
	return items, next, nil
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
