package broker_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// BenchmarkAuthenticateKnown is what each request of a client costs.
func BenchmarkAuthenticateKnown(b *testing.B) {
	s := newStage(b)
	_, got := s.signedIn()
	r := httptest.NewRequest(http.MethodPost, s.server.URL+"/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+got.access)
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := s.current.Authenticate(r); refused != nil {
			b.Fatal(refused.Message)
		}
	}
}

// BenchmarkAuthenticateNew is what the first request with a token costs.
func BenchmarkAuthenticateNew(b *testing.B) {
	s := newStage(b)
	_, got := s.signedIn()
	r := httptest.NewRequest(http.MethodPost, s.server.URL+"/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+got.access)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		next := broker.New(s.opts, s.signIn, s.current) // which knows no token
		b.StartTimer()
		if _, refused := next.Authenticate(r); refused != nil {
			b.Fatal(refused.Message)
		}
	}
}

// askedAtOnce is how often the provider is asked about a person without a pause.
const askedAtOnce = 200

// BenchmarkRefresh includes the question to the provider, over loopback.
func BenchmarkRefresh(b *testing.B) {
	s := newStage(b)
	client, got := s.signedIn()
	for n := 1; b.Loop(); n++ {
		if n%askedAtOnce == 0 { // as the provider is not asked about one of them all the time
			got = s.signInAs(client, s.fake.AddUser(fakeentra.User{Name: fmt.Sprintf("p%d@contoso.example", n)}).Name)
		}
		a := s.refresh(client, got.refresh)
		if a.status == http.StatusTooManyRequests {
			s.configure() // whose rates are new
			a = s.refresh(client, got.refresh)
		}
		got = a.tokens(b)
	}
}

// BenchmarkOpenState reads sessions as a gateway does that starts, and says how
// much memory one takes besides the store's.
func BenchmarkOpenState(b *testing.B) {
	for _, groups := range []int{0, 10, 200} {
		for _, sessions := range []int{1000, 20_000} {
			if groups == 200 && sessions > 1000 {
				continue // which does not fit into a store in memory
			}
			b.Run(fmt.Sprintf("groups=%d/sessions=%d", groups, sessions), func(b *testing.B) {
				s := newStage(b)
				var ids []string
				for i := range groups {
					ids = append(ids, s.fake.AddGroup(fakeentra.Group{Name: fmt.Sprint("group", i)}).ID)
				}
				s.fake.ChangeUser(alice, func(u *fakeentra.User) { u.Groups = ids })
				s.signedIn()
				s.copySessions(sessions)
				before := heap()
				var state *broker.State
				var err error
				for b.Loop() {
					if state != nil {
						b.StopTimer()
						state.Close()
						b.StartTimer()
					}
					if state, err = broker.OpenState(b.Context(), broker.StateOptions{Store: s.store, Log: slog.New(slog.DiscardHandler)}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(int64(heap())-int64(before))/float64(sessions), "B/session")
				if n := state.Status().Sessions; n < sessions {
					b.Errorf("%d sessions", n)
				}
				state.Close()
			})
		}
	}
}

// copySessions has other people have the one session that there is.
func (s *stage) copySessions(n int) {
	s.Helper()
	s.state.Close() // whose sessions are not to be measured
	var record map[string]any
	if err := s.store.List(s.Context(), "session", "", func(e store.Entry) error { return json.Unmarshal(e.Value, &record) }); err != nil {
		s.Fatal(err)
	}
	for i := range n {
		record["Person"] = fmt.Sprintf(`User::"%s/%d"`, s.fake.TenantID(), i)
		value, err := json.Marshal(record)
		if err != nil {
			s.Fatal(err)
		}
		id := make([]byte, 16)
		_, _ = rand.Read(id)
		if _, err := s.store.Create(s.Context(), "session", base64.RawURLEncoding.EncodeToString(id), value, 0); err != nil {
			s.Fatal(err)
		}
		if i == 0 {
			s.Logf("a session is stored in %d bytes, its claims in %d", len(value), len(record["Claims"].(string)))
		}
	}
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
