package aggregator_test

import (
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// TestTemplateAsResource reads what templates are called: it is a resource like any
// other, and what they stand for makes no difference to it.
func TestTemplateAsResource(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Templates: []string{`{"uriTemplate":"db:///all","name":"a"}`, `{"uriTemplate":"db:///{table}","name":"t"}`}})
	var people staff
	people.set("ann")
	_, url := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: people.authenticate,
		Policy: engineOf(t, `permit(principal, action, resource == Resource::"up/db:///all"); permit(principal, action, resource == Resource::"up/db:///a");`),
	})
	ann := as(t, url, "ann")
	ann.modern("resources/read", "up+db:///all", `"uri":"up+db:///all",`)
	if n := len(srv.Requests("resources/read")); n != 1 {
		t.Errorf("what a template without variables stands for: the upstream got %d requests", n)
	}
	hidden, unknown := ann.modern("resources/read", "up+db:///{table}", `"uri":"up+db:///{table}",`), ann.modern("resources/read", "no+db:///{table}", `"uri":"no+db:///{table}",`)
	if want := strings.ReplaceAll(unknown.body, "no+", "up+"); hidden.body != want {
		t.Errorf("a template's own name: %s\nwant %s", hidden.body, want)
	}
	if n := len(srv.Requests("resources/read")); n != 1 {
		t.Errorf("the upstream got %d requests", n)
	}
	ann.modern("completion/complete", "", `"ref":{"type":"ref/resource","uri":"up+db:///{table}"},"argument":{"name":"table","value":"a"},`)
	if n := len(srv.Requests("completion/complete")); n != 1 {
		t.Errorf("the upstream got %d requests to complete", n)
	}
}
