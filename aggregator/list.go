package aggregator

import (
	"encoding/base64"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// pageSize is how many definitions one page of a list holds at most.
const pageSize = 1000

// listTools serves tools/list.
func (g *Gateway) listTools(r Request) (json.RawMessage, error) {
	definition := func(t *Tool) json.RawMessage { return t.definition }
	if r.Era == upstream.LegacyEra {
		definition = func(t *Tool) json.RawMessage { return t.legacyDefinition }
	}
	return page(r, "tools", &r.catalog.tools, func(t *Tool) string { return t.Name }, definition)
}

// listItems serves the other lists; member is where the result holds them.
func (g *Gateway) listItems(r Request, member string, l *list[*item]) (json.RawMessage, error) {
	return page(r, member, l, func(it *item) string { return it.key }, func(it *item) json.RawMessage { return it.definition })
}

// page is the result of a list request. Its cursor is the last name that the
// caller was shown, so it tells nothing of what is hidden and stays good when
// other names come and go.
func page[T any](r Request, member string, l *list[T], key func(T) string, definition func(T) json.RawMessage) (json.RawMessage, error) {
	start := 0
	if cursor, ok := r.Params.GetString("cursor"); ok {
		last, err := base64.RawURLEncoding.DecodeString(cursor)
		i, known := l.index[string(last)]
		if err != nil || !known {
			return nil, invalidParams("the cursor is not valid, or no longer; list again from the start")
		}
		start = i + 1
	}
	return r.catalog.pages.get(pageKey{member, r.Era, start}, func() json.RawMessage {
		return encodePage(r.Era, member, l, start, key, definition)
	}), nil
}

func encodePage[T any](era upstream.Era, member string, l *list[T], start int, key func(T) string, definition func(T) json.RawMessage) json.RawMessage {
	end := min(start+pageSize, len(l.inOrder))
	definitions := make([]json.RawMessage, 0, end-start)
	for _, t := range l.inOrder[start:end] {
		definitions = append(definitions, definition(t))
	}
	result := rawjson.Object{}
	result.Set(member, rawjson.Array(definitions))
	if end < len(l.inOrder) {
		last := key(l.inOrder[end-1])
		result.Set("nextCursor", rawjson.String(base64.RawURLEncoding.EncodeToString([]byte(last))))
	}
	if era == upstream.ModernEra {
		setCompleteForCaller(&result, l.ttl)
	}
	return result.Bytes()
}

// A pageKey names one page of a catalog's lists.
type pageKey struct {
	member string // of the result that holds the list
	era    upstream.Era
	start  int
}

// pages are the pages of a catalog's lists as they are sent, each made when it
// is first asked for. They are safe for concurrent use.
type pages struct {
	grown func(bytes int) // told of each page that is made; nil for nobody. Set before the first one
	bytes atomic.Int64    // of all that are made

	mu   sync.Mutex
	made map[pageKey]json.RawMessage // guarded by mu
}

// get makes a page unless it has it. It keeps only those that the gateway's own
// cursors lead to: any other name is a cursor too.
func (p *pages) get(key pageKey, encode func() json.RawMessage) json.RawMessage {
	if p == nil || key.start%pageSize != 0 {
		return encode()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	page, ok := p.made[key]
	if !ok {
		if p.made == nil {
			p.made = map[pageKey]json.RawMessage{}
		}
		page = encode()
		p.made[key] = page
		p.bytes.Add(int64(len(page)))
		if p.grown != nil {
			p.grown(len(page))
		}
	}
	return page
}

// setCompleteForCaller adds what a modern list or description needs. What a
// caller may see is that caller's own.
func setCompleteForCaller(result *rawjson.Object, ttl time.Duration) {
	result.Set("resultType", rawjson.String("complete"))
	result.Set("ttlMs", rawjson.Value(ttl.Milliseconds()))
	result.Set("cacheScope", rawjson.String("private"))
}
