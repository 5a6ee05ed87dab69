package aggregator

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/aggregator/labels"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/upstream"
)

// manyPolicies are n policies as a large company has them: by group and tool, by group
// and upstream, by argument, and forbids.
func manyPolicies(b *testing.B, n int) *policy.Engine {
	b.Helper()
	var text strings.Builder
	for i := range n {
		group, upstream, tool := i%97, i%50, i%5000
		switch i % 5 {
		case 0, 1:
			fmt.Fprintf(&text, "permit(principal in Group::\"g%d\", action, resource == Tool::\"u%d/t%d\");\n", group, tool%50, tool)
		case 2:
			fmt.Fprintf(&text, "permit(principal in Group::\"g%d\", action, resource in Upstream::\"u%d\") when { resource.read_only };\n", group, upstream)
		case 3:
			fmt.Fprintf(&text, "permit(principal in Group::\"g%d\", action, resource in Upstream::\"u%d\") when { context.input.repo like \"acme/%d*\" };\n", group, upstream, i)
		case 4:
			fmt.Fprintf(&text, "forbid(principal, action, resource in Upstream::\"u%d\") when { context.input.repo == \"release-%d\" } unless { principal in Group::\"g%d\" };\n", upstream, i, group)
		}
	}
	labels := make([]string, 50)
	for i := range labels {
		labels[i] = fmt.Sprint("u", i)
	}
	policies, _, err := source.Parse([]source.File{{Name: "many.cedar", Text: []byte(text.String())}}, source.Options{Upstreams: labels})
	if err != nil {
		b.Fatal(err)
	}
	e, err := policy.New(policy.Options{Policies: policies})
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// withManyTools publishes 5,000 tools of 50 upstreams.
func withManyTools(b *testing.B, e *policy.Engine) *Gateway {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	g := New(Options{Log: log})
	of := &configuration{Options: Options{Policy: e}, byLabel: map[string]*member{}}
	var parts []*part
	for u := range 50 {
		m := &member{Upstream: Upstream{Prefix: fmt.Sprint("u", u)}, link: &link{log: log}}
		m.Name = m.Prefix
		listing := &upstream.Listing{}
		for i := u; i < 5000; i += 50 {
			listing.Tools = append(listing.Tools, json.RawMessage(fmt.Sprintf(
				`{"name":"t%d","description":"Does what it says, to one of the repositories.","inputSchema":{"type":"object","properties":{"owner":{"type":"string"},"repo":{"type":"string","description":"Which one, such as acme/web."},"title":{"type":"string"}},"required":["owner","repo"]}}`, i)))
		}
		of.members, of.byLabel[m.Name] = append(of.members, m), m
		parts = append(parts, m.publish(listing, nil))
	}
	g.catalog.Store(merge(1, of, parts))
	return g
}

func memberOf(groups ...string) *oauth.Caller {
	return &oauth.Caller{ID: `User::"t/ann"`, Groups: oauth.Groups{Names: groups, IDs: groups, Complete: true}}
}

func listFirst(b *testing.B, g *Gateway, c *oauth.Caller) int {
	result, _, err := g.Serve(b.Context(), Request{Caller: c, Era: upstream.ModernEra, Method: "tools/list"})
	if err != nil {
		b.Fatal(err)
	}
	return len(result)
}

// BenchmarkListOfKnownCaller lists tools of 5,000 for a caller who did so before.
func BenchmarkListOfKnownCaller(b *testing.B) {
	g, c := withManyTools(b, manyPolicies(b, 1000)), memberOf("g1", "g2", "g3")
	size := listFirst(b, g, c)
	b.ReportAllocs()
	for b.Loop() {
		listFirst(b, g, c)
	}
	b.ReportMetric(float64(size), "B/page")
}

// BenchmarkListOfNewCaller lists tools of 5,000 for a caller in groups in which nobody
// was before.
func BenchmarkListOfNewCaller(b *testing.B) {
	for _, policies := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(policies), func(b *testing.B) {
			g := withManyTools(b, manyPolicies(b, policies))
			listFirst(b, g, memberOf("g0"))
			b.ReportAllocs()
			seen := 0
			for b.Loop() {
				seen++
				listFirst(b, g, memberOf("g1", fmt.Sprint("g", seen%97), fmt.Sprint("g", seen/97%97)))
			}
		})
	}
}

// BenchmarkOverhead is what a call costs beside its upstream: the way to the decision
// and what is kept of it.
func BenchmarkOverhead(b *testing.B) {
	for _, policies := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(policies), func(b *testing.B) {
			log, err := audit.Open(audit.Options{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			e := manyPolicies(b, policies)
			g := withManyTools(b, e)
			g.Catalog().Audit = log
			g.brake, _ = brake.Open(b.Context(), nil, g.log)
			g.labels, _ = labels.Open(b.Context(), nil, labels.Options{Log: g.log})
			c := memberOf("g1", "g2", "g3")
			arguments := json.RawMessage(`{"owner":"contoso","repo":"acme/3-web","title":"Something is broken"}`)
			b.ReportAllocs()
			for b.Loop() {
				r := Request{Caller: c, Era: upstream.ModernEra, Method: "tools/call", about: &matter{}}
				r.catalog = g.catalogOf(r)
				tool, ok := r.catalog.tools.get("u3_t3")
				if !ok {
					b.Fatal("the tool is hidden")
				}
				r.about.isTool(tool)
				_, leave, err := g.enter(b.Context(), r)
				if err != nil {
					b.Fatal(err)
				}
				args, err := tool.arguments(arguments, e)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := g.decide(b.Context(), r, args); err != nil {
					b.Fatal(err)
				}
				if err := g.mark(b.Context(), r, nil); err != nil {
					b.Fatal(err)
				}
				leave()
			}
		})
	}
}
