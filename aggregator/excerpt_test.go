package aggregator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
)

// held is what the excerpts of a catalog take: keys, catalogs, and bytes about.
func (x *excerpts) held() (keys, catalogs, bytes int) {
	for _, g := range []generation{x.young, x.old} {
		keys += len(g.byKey)
		catalogs += len(g.byBit)
		bytes += g.bytes
	}
	return keys, catalogs, bytes
}

// TestExcerptsAreBounded has many callers see something else each, with long pages.
func TestExcerptsAreBounded(t *testing.T) {
	const limit = 1 << 20
	x := newExcerpts(limit)
	look := func(key, visible string, page int) *Catalog {
		e, fresh := x.of(key)
		e.made.Do(func() {
			e.visible = visible
			e.catalog = x.share(visible, func() *Catalog { return &Catalog{all: &Catalog{}, pages: &pages{}} })
		})
		if fresh {
			x.keep(e)
		}
		e.catalog.pages.get(pageKey{"tools", upstream.ModernEra, 0}, func() json.RawMessage { return make(json.RawMessage, page) })
		return e.catalog
	}
	for i := range 1000 {
		look(fmt.Sprint(i), fmt.Sprint(i), 100<<10)
		if _, _, bytes := x.held(); bytes > 2*limit+400<<10 {
			t.Fatalf("after %d callers, excerpts take %d bytes", i+1, bytes)
		}
	}
	for i := range 3 * maxExcerpts { // who see the same
		look("the same"+fmt.Sprint(i), "same", 100<<10)
	}
	if keys, catalogs, _ := x.held(); keys > 2*maxExcerpts || catalogs > 2*(limit/(100<<10)+2) {
		t.Errorf("%d keys and %d catalogs are held", keys, catalogs)
	}
	if look("one", "equal", 0) != look("another", "equal", 0) {
		t.Error("two who see the same share no catalog")
	}
}

// TestPrincipalsAreForgotten remembers who has called lately, and nobody else.
func TestPrincipalsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p principals
		known := &oauth.Caller{ID: `User::"t/a\"b\\c"`, Claims: json.RawMessage(`{"email":"ann@contoso.com"}`), Client: oauth.Client{ID: "id", Alias: "vscode"}}
		first := p.of(known)
		if first.ID != `t/a"b\c` || first.Email != "ann@contoso.com" || first.Client != "vscode" || first.GroupsKnown {
			t.Errorf("policies see %+v", first.Principal)
		}
		for range 10 {
			time.Sleep(principalAge)
			if p.of(known) != first {
				t.Fatal("a caller who comes every minute is forgotten")
			}
		}
		for i := range 3 * maxPrincipals {
			p.of(&oauth.Caller{ID: strings.Repeat("x", i%10)})
		}
		if n := len(p.young) + len(p.old); n > 2*maxPrincipals {
			t.Errorf("%d callers are remembered", n)
		}
		if p.of(known) == first {
			t.Error("a caller is remembered though too many others came")
		}
	})
}
