package entra_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

func TestGroups(t *testing.T) {
	m := newMicrosoft()
	g := onNetwork(t, m)
	wantGroups(t, g, alice, platform, finance)
	wantGroups(t, g, strings.ToUpper(alice), platform, finance)
	wantGroups(t, g, bob, platform)
	if n, tokens := m.asked("/users/"), m.asked("/token"); n != 2 || tokens != 1 {
		t.Errorf("Graph was asked %d times with %d tokens, want 2 with 1", n, tokens)
	}
	form := m.forms[0]
	if form.Get("grant_type") != "client_credentials" || form.Get("client_id") != app || form.Get("client_secret") != secret || !strings.HasSuffix(form.Get("scope"), "/graph/.default") {
		t.Errorf("the token was asked for with %v", slices.Sorted(maps.Keys(form)))
	}
}

func TestGroupsOnManyPages(t *testing.T) {
	m := newMicrosoft()
	var want []string
	for i := range 950 {
		want = append(want, fmt.Sprintf("4f1c2d3e-0000-0000-0000-%012d", i))
	}
	m.groups[alice] = append(slices.Clone(want[500:]), want[:510]...) // some twice
	wantGroups(t, onNetwork(t, m), alice, want...)
	if n := m.asked("/users/"); n != 10 {
		t.Errorf("%d pages were asked for, want 10", n)
	}
}

func TestGroupsOfNobody(t *testing.T) {
	m := newMicrosoft()
	m.groups[alice] = nil
	wantGroups(t, onNetwork(t, m), alice)
	wantFailure(t, onNetwork(t, m), "00000000-0000-0000-0000-00000000dead", "has no person", "Request_ResourceNotFound", traceID)
	for _, oid := range []string{"", "alice", "../groups", alice + "/x", "me"} {
		wantFailure(t, onNetwork(t, m), oid, "is not one of Entra")
	}
	for _, tenant := range []string{"common", "organizations", "contoso.com", "../x"} {
		if _, _, err := onNetwork(t, m).Groups(t.Context(), tenant, alice); err == nil {
			t.Errorf("the tenant %q was asked", tenant)
		}
	}
}

func TestGroupsCountForMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		g := onWire(m)
		begin := time.Now()
		_, until, err := g.Groups(t.Context(), tenant, alice)
		if err != nil || until.Sub(begin) != 5*time.Minute {
			t.Fatalf("they count for %s, %v; want 5 min", until.Sub(begin), err)
		}
		m.groups[alice] = []string{finance}
		time.Sleep(5*time.Minute - time.Nanosecond)
		wantGroups(t, g, alice, platform, finance)
		time.Sleep(time.Nanosecond)
		wantGroups(t, g, alice, finance)
	})
}

// Test51NoStaleGroups makes sure that what no longer counts is not told, even if
// nothing newer can be had.
func Test51NoStaleGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		g := onWire(m)
		wantGroups(t, g, alice, platform, finance)
		m.graphAnswers(answer(500, "application/json", `{}`))
		time.Sleep(5 * time.Minute)
		wantFailure(t, g, alice, "HTTP 500")
	})
}

func TestFailuresAreRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		m.graphAnswers(answer(502, "text/html", "<html>Bad gateway</html>"))
		g := onWire(m)
		for range 4 {
			wantFailure(t, g, alice, "HTTP 502")
			time.Sleep(time.Second)
		}
		if n := m.asked("/users/"); n != 1 {
			t.Errorf("Graph was asked %d times in 5 s, want once", n)
		}
		m.set(nil)
		time.Sleep(time.Second)
		wantGroups(t, g, alice, platform, finance)
	})
}

// TestBusyGraph asks nothing about anybody for as long as Graph wants.
func TestBusyGraph(t *testing.T) {
	for _, tt := range []struct {
		status int
		after  string
		want   time.Duration
	}{
		{429, "17", 17 * time.Second},
		{503, "120", 2 * time.Minute},
		{429, "86400", 5 * time.Minute},
		{429, "", 30 * time.Second},
		{429, "soon", 30 * time.Second},
		{429, "-5", 30 * time.Second},
		{429, "Sat, 01 Jan 2000 00:01:30 GMT", 90 * time.Second}, // where synctest begins
	} {
		t.Run(fmt.Sprintf("%d %s", tt.status, tt.after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMicrosoft()
				m.graphAnswers(func(w http.ResponseWriter, _ *http.Request) {
					if tt.after != "" {
						w.Header().Set("Retry-After", tt.after)
					}
					refuse(w, tt.status, "TooManyRequests")
				})
				g := onWire(m)
				wantFailure(t, g, alice, fmt.Sprintf("HTTP %d, TooManyRequests", tt.status), "asked again in "+tt.want.String())
				m.set(nil)
				time.Sleep(tt.want - time.Nanosecond)
				wantFailure(t, g, alice, "busy")
				wantFailure(t, g, bob, "busy")
				if n := m.asked("/users/"); n != 1 {
					t.Errorf("Graph was asked %d times, want once", n)
				}
				time.Sleep(time.Nanosecond)
				wantGroups(t, g, alice, platform, finance)
				wantGroups(t, g, bob, platform)
			})
		})
	}
}

func TestManyAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		m.set(func(_ http.ResponseWriter, r *http.Request) bool {
			time.Sleep(time.Second)
			return false
		})
		g := onWire(m)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { wantGroups(t, g, alice, platform, finance) })
		}
		all.Wait()
		if n, tokens := m.asked("/users/"), m.asked("/token"); n != 1 || tokens != 1 {
			t.Errorf("Graph was asked %d times with %d tokens, want once", n, tokens)
		}
	})
}

// TestOneCallerLeaves cancels the call that started a look-up.
func TestOneCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		m.graphAnswers(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			m.serve(w, r)
		})
		g := onWire(m)
		ctx, leave := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			_, _, err := g.Groups(ctx, tenant, alice)
			first <- err
		}()
		synctest.Wait()
		var second sync.WaitGroup
		second.Go(func() { wantGroups(t, g, alice, platform, finance) })
		synctest.Wait()
		leave()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first caller got %v", err)
		}
		second.Wait()
		if n := m.asked("/users/"); n != 1 {
			t.Errorf("Graph was asked %d times, want once", n)
		}
	})
}

func TestFewRequestsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		var mu sync.Mutex
		var now, most int
		m.graphAnswers(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			m.serve(w, r)
		})
		for i := range 40 {
			m.groups[fmt.Sprintf("a11ce000-0000-0000-0000-1%011d", i)] = []string{platform}
		}
		g := onWire(m)
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() { wantGroups(t, g, fmt.Sprintf("a11ce000-0000-0000-0000-1%011d", i), platform) })
		}
		all.Wait()
		if most != 8 {
			t.Errorf("there were %d requests at once, want 8", most)
		}
	})
}

// TestTooManyPeople keeps nobody waiting for longer than a look-up may take.
func TestTooManyPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		m.graphAnswers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		g := onWire(m)
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { wantFailure(t, g, fmt.Sprintf("a11ce000-0000-0000-0000-1%011d", i), "Microsoft Graph") })
		}
		all.Wait()
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("they waited for %s, want 30 s", took)
		}
	})
}

func TestWhatGraphAnswers(t *testing.T) {
	group := `{"id":"` + platform + `"}`
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"forbidden", func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "Authorization_RequestDenied") }, "GroupMember.Read.All"},
		{"unauthorized", func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "InvalidAuthenticationToken") }, "the gateway's own token"},
		{"unavailable", answer(503, "text/html", "<html>"), "HTTP 503"},
		{"a web page", answer(200, "text/html", "<html>Sign in</html>"), "a web page"},
		{"another kind", answer(200, "text/plain", `{"value":[]}`), "not JSON"},
		{"no kind", answer(200, "", `{"value":[]}`), "not JSON"},
		{"garbage", answer(200, "application/json", `{"value":[`), "not the JSON that is expected"},
		{"more after it", answer(200, "application/json", `{"value":[]} {}`), "not the JSON that is expected"},
		{"a member twice", answer(200, "application/json", `{"value":[`+group+`],"value":[]}`), "not the JSON that is expected"},
		{"no list", answer(200, "application/json", `{}`), "has no list"},
		{"null", answer(200, "application/json", `null`), "has no list"},
		{"a list of null", answer(200, "application/json", `{"value":null}`), "has no list"},
		{"a list of texts", answer(200, "application/json", `{"value":["x"]}`), "not the JSON that is expected"},
		{"no id", answer(200, "application/json", `{"value":[`+group+`,{}]}`), `the id ""`},
		{"a strange id", answer(200, "application/json", `{"value":[{"id":"everybody"}]}`), `the id "everybody"`},
		{"too large", func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "larger than 4 MiB"},
		{"another content coding", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			endless(gzip.NewWriter(w))
		}, "larger than 4 MiB"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"value":[]}`)
		}, "reading the answer"},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "asking Microsoft Graph at 127.0.0.1:"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/graph/elsewhere", http.StatusFound)
		}, "a redirect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMicrosoft()
			m.graphAnswers(func(w http.ResponseWriter, r *http.Request) {
				if w.Header().Set("Content-Type", "application/json"); strings.Contains(r.URL.Path, "elsewhere") {
					t.Error("the redirect was followed")
				}
				tt.answer(w, r)
			})
			wantFailure(t, onNetwork(t, m), alice, tt.want)
		})
	}
}

// endless writes until the other side has enough.
func endless(w interface{ Write([]byte) (int, error) }) {
	chunk := []byte(strings.Repeat(" ", 64<<10))
	for range 1 << 12 { // 256 MiB
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func TestNextPageElsewhere(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("somebody else was asked, with %d Authorization headers", len(r.Header.Values("Authorization")))
	}))
	defer elsewhere.Close()
	for _, next := range []string{
		elsewhere.URL + "/graph/v1.0/users",
		"https://HOST/graph/v1.0/users",
		"http://HOST@" + strings.TrimPrefix(elsewhere.URL, "http://") + "/graph/v1.0/users",
		"http://user@HOST/graph/v1.0/users",
		"http://HOST/graph/beta/users",
		"http://HOST/graph/v1.0",
		"http://HOST/graph/v1.0/../beta/users",
		"http://HOST/graph/v1.0/%2e%2e/beta/users",
		"http://HOST/graph/v1.0/..%2fbeta/users",
		"http://HOST/other",
		"/graph/v1.0/users",
		"//HOST/graph/v1.0/users",
		"http:HOST/graph/v1.0/users",
		"http://HOST/graph/v1.0/users#x",
		"http://HOST/graph/v1.0/" + strings.Repeat("x", 9000),
		"http://[::1", " ", "javascript:alert(1)",
	} {
		m := newMicrosoft()
		m.graphAnswers(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"value":[{"id":%q}],"@odata.nextLink":%q}`, platform, strings.ReplaceAll(next, "HOST", r.Host))
		})
		wantFailure(t, onNetwork(t, m), alice, "next page of groups is not at Microsoft Graph")
		if n := m.asked("/graph/"); n != 1 {
			t.Errorf("with the next page at %.60q, %d were asked for", next, n)
		}
	}
}

func TestNextPagesWithoutEnd(t *testing.T) {
	n := 0
	m := newMicrosoft()
	page := func(next func(r *http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"value":[],"@odata.nextLink":"http://%s%s"}`, r.Host, next(r))
		}
	}
	m.graphAnswers(page(func(*http.Request) string { return "/graph/v1.0/users?again" }))
	wantFailure(t, onNetwork(t, m), alice, "in circles")
	m.graphAnswers(page(func(*http.Request) string { n++; return fmt.Sprintf("/graph/v1.0/users?%d", n) }))
	wantFailure(t, onNetwork(t, m), alice, "more than 100 pages")
	if n != 100 {
		t.Errorf("%d pages were asked for", n)
	}
}

func TestMoreGroupsThanMayBe(t *testing.T) {
	m := newMicrosoft()
	m.pageSize, m.groups[alice] = 2000, nil
	for i := range 50_001 {
		m.groups[alice] = append(m.groups[alice], fmt.Sprintf("4f1c2d3e-0000-0000-0000-%012d", i))
	}
	wantFailure(t, onNetwork(t, m), alice, "more than 50000 groups")
	m.groups[alice] = m.groups[alice][1:]
	ids, _, err := onNetwork(t, m).Groups(t.Context(), tenant, alice)
	if err != nil || len(ids) != 50_000 {
		t.Errorf("of 50,000 groups come %d, %v", len(ids), err)
	}
}

// TestSlowAnswers sends nothing, or one byte after another.
func TestSlowAnswers(t *testing.T) {
	for name, slow := range map[string]http.HandlerFunc{
		"nothing": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a bit at a time": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for _, err := w.Write([]byte(" ")); err == nil; _, err = w.Write([]byte(" ")) {
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMicrosoft()
				m.graphAnswers(slow)
				begin := time.Now()
				wantFailure(t, onWire(m), alice, "no answer within 10s")
				m.tokenAnswers(slow)
				wantFailure(t, onWire(m), alice, "no answer within 20s", app)
				if took := time.Since(begin); took != 30*time.Second {
					t.Errorf("that took %s", took)
				}
				time.Sleep(time.Minute) // the other side learns of it
			})
		})
	}
}

// TestTokenIsReplaced revokes the gateway's own token.
func TestTokenIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		g := onWire(m)
		wantGroups(t, g, bob, platform)
		m.accepted = "token-2"
		time.Sleep(time.Minute)
		wantGroups(t, g, alice, platform, finance)
		if n := m.asked("/token"); n != 2 {
			t.Errorf("%d tokens were asked for, want 2", n)
		}
		// One that is new and yet refused is not replaced again and again.
		m.accepted = "another"
		for i := range 20 {
			wantFailure(t, g, fmt.Sprintf("a11ce000-0000-0000-0000-1%011d", i), "does not take the gateway's own token")
		}
		if n := m.asked("/token"); n != 2 {
			t.Errorf("%d tokens were asked for, want 2", n)
		}
	})
}

// TestPermissionIsGranted gives the application the permission while its token
// lasts.
func TestPermissionIsGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMicrosoft()
		m.graphAnswers(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer token-1" {
				refuse(w, 403, "Authorization_RequestDenied")
				return
			}
			m.serve(w, r)
		})
		g := onWire(m)
		wantFailure(t, g, alice, "GroupMember.Read.All", app, tenant, "admin consent")
		time.Sleep(30 * time.Second)
		wantGroups(t, g, alice, platform, finance)
	})
}

func TestNames(t *testing.T) {
	m := newMicrosoft()
	unknown := "4f1c2d3e-0000-0000-0000-00000000dead"
	g := onNetwork(t, m)
	names, err := g.Names(t.Context(), "", []string{platform, strings.ToUpper(finance), unknown, "/platform", "') or true or id in ('"})
	want := map[string]string{platform: "Platform team", strings.ToUpper(finance): "Finance"}
	if err != nil || !maps.Equal(names, want) {
		t.Errorf("the names are %v, %v; want %v", names, err, want)
	}
	asked := m.asked("/")
	if names, err := g.Names(t.Context(), tenant, []string{"/platform"}); err != nil || len(names) != 0 || m.asked("/") != asked {
		t.Errorf("the names of nothing are %v, %v, after %d requests", names, err, m.asked("/")-asked)
	}
}

func TestNamesOfMany(t *testing.T) {
	m := newMicrosoft()
	var ids []string
	for i := range 100 {
		id := fmt.Sprintf("4f1c2d3e-0000-0000-0001-%012d", i)
		m.names[id] = fmt.Sprint("Group ", i)
		ids = append(ids, id)
	}
	names, err := onNetwork(t, m).Names(t.Context(), tenant, ids)
	if err != nil || len(names) != 100 || names[ids[42]] != "Group 42" {
		t.Errorf("there are %d names, %v", len(names), err)
	}
	if n := m.asked("/groups"); n != 7 {
		t.Errorf("Graph was asked %d times, want 7", n)
	}
}

func TestNamesThatCannotBeHad(t *testing.T) {
	m := newMicrosoft()
	if _, err := onNetwork(t, m).Names(t.Context(), "common", []string{platform}); err == nil || !strings.Contains(err.Error(), "knows tenants by their ids") {
		t.Errorf("about common, the error is %v", err)
	}
	m.graphAnswers(func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "Authorization_RequestDenied") })
	if _, err := onNetwork(t, m).Names(t.Context(), tenant, []string{platform}); err == nil || !strings.Contains(err.Error(), "GroupMember.Read.All") {
		t.Errorf("without the permission, the error is %v", err)
	}
}

// FuzzGraphAnswers lets Graph answer anything: what it lists is told only if it
// is a list of groups, and the gateway's token goes nowhere else.
func FuzzGraphAnswers(f *testing.F) {
	f.Add(200, "application/json", `{"value":[{"@odata.type":"#microsoft.graph.group","id":"`+platform+`"}],"@odata.nextLink":"http://entra.test/graph/v1.0/x"}`)
	f.Add(200, "application/json", `{"value":[],"@odata.nextLink":"http://entra.test/graph/v1.0/../beta"}`)
	f.Add(429, "text/html", `<html>`)
	f.Add(403, "application/json", `{"error":{"code":"Authorization_RequestDenied","message":"ada@contoso.com"}}`)
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		m := newMicrosoft()
		m.set(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Host != "entra.test" {
				t.Errorf("%s was asked", r.URL)
			}
			if strings.HasSuffix(r.URL.Path, "/token") {
				return false
			}
			if !strings.HasPrefix(r.URL.Path, "/graph/v1.0/") {
				t.Errorf("%s was asked", r.URL)
			}
			answer(200+(status%400+400)%400, contentType, body)(w, r)
			return true
		})
		ids, until, err := onWire(m).Groups(t.Context(), tenant, alice)
		switch {
		case until.IsZero():
			t.Error("it is not said until when that counts")
		case err != nil && (ids != nil || strings.Contains(err.Error(), "token-1")):
			t.Errorf("the error %v comes with %v", err, ids)
		case err == nil && (!slices.IsSorted(ids) || slices.ContainsFunc(ids, func(id string) bool { return !entra.IsTenantID(id) })):
			t.Errorf("the groups are %v", ids)
		}
	})
}

func BenchmarkGroupsKnown(b *testing.B) {
	g := onNetwork(b, newMicrosoft(), func(o *entra.GraphOptions) { o.MaxAge = time.Hour })
	wantGroups(b, g, alice, platform, finance)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.Groups(b.Context(), tenant, alice); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGroupsKnownParallel(b *testing.B) {
	g := onNetwork(b, newMicrosoft(), func(o *entra.GraphOptions) { o.MaxAge = time.Hour })
	wantGroups(b, g, alice, platform, finance)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := g.Groups(b.Context(), tenant, alice); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkGroupsAsked(b *testing.B) {
	g := onNetwork(b, newMicrosoft(), func(o *entra.GraphOptions) { o.MaxAge = 1 })
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.Groups(b.Context(), tenant, alice); err != nil {
			b.Fatal(err)
		}
	}
}
