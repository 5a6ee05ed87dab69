package aggregator

import (
	"encoding/json"
	"testing"
)

// A page is made once, but only where the gateway's own cursors lead: a client
// that makes up cursors must not fill the memory with pages.
func TestPagesAreKept(t *testing.T) {
	for _, test := range []struct {
		name  string
		pages *pages
		start int
		want  int // times that the page is made for two requests
	}{
		{"first", &pages{}, 0, 1},
		{"third", &pages{}, 2 * pageSize, 1},
		{"elsewhere", &pages{}, 7, 2},
		{"of a session's own catalog", nil, 0, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			made := 0
			for range 2 {
				page := test.pages.get(pageKey{"tools", "legacy", test.start}, func() json.RawMessage {
					made++
					return json.RawMessage("{}")
				})
				if string(page) != "{}" {
					t.Errorf("got %s", page)
				}
			}
			if made != test.want {
				t.Errorf("made %d times, want %d", made, test.want)
			}
		})
	}
	kept := &pages{}
	for start := range 3 * pageSize {
		kept.get(pageKey{"tools", "legacy", start}, func() json.RawMessage { return nil })
	}
	if len(kept.made) != 3 {
		t.Errorf("%d pages are kept, want 3", len(kept.made))
	}
}
