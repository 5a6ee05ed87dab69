package fakeentra_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

func TestFaults(t *testing.T) {
	s := newStage(t)
	keys := s.URL() + "/" + s.TenantID() + "/discovery/v2.0/keys"
	s.Fail(fakeentra.Fault{Endpoint: "keys", Status: http.StatusTooManyRequests, RetryAfter: "7", Times: 1})
	s.Fail(fakeentra.Fault{Endpoint: "keys", Status: http.StatusBadGateway, Body: fakeentra.BodyHTML, Times: 1})
	s.Fail(fakeentra.Fault{Endpoint: "keys", Body: fakeentra.BodyRedirect, Times: 1})
	if a := s.get(s.endpoint("authorize")); a.code() != "900144" {
		t.Errorf("another endpoint is hit: %d %s", a.status, a.body)
	}
	if a := s.get(keys); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "7" {
		t.Errorf("first: %d %v", a.status, a.header)
	}
	if a := s.get(keys); a.status != http.StatusBadGateway || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("second: %d %s", a.status, a.body)
	}
	if a := s.get(keys); a.status != http.StatusTemporaryRedirect {
		t.Errorf("third: %d", a.status)
	}
	if a := s.get(keys); a.status != http.StatusOK || len(s.Faults()) != 0 {
		t.Errorf("after that: %d, %v", a.status, s.Faults())
	}
	s.Fail(fakeentra.Fault{Status: http.StatusServiceUnavailable, Body: fakeentra.BodyTransient})
	for range 2 {
		if got := s.token(s.redeem("x", nil)); got.status != http.StatusServiceUnavailable || got.Error != "temporarily_unavailable" || got.code() != "90033" {
			t.Errorf("a transient error is %s", got.body)
		}
	}
	s.ClearFaults()
	if got := s.token(s.redeem("x", nil)); got.code() != "70000" {
		t.Errorf("after clearing: %s", got.body)
	}
}

// TestEndlessBodies end when the client goes, or the stand-in.
func TestEndlessBodies(t *testing.T) {
	s := newStage(t)
	for _, body := range []string{fakeentra.BodyEndless, fakeentra.BodySlow, fakeentra.BodyHuge} {
		s.ClearFaults()
		s.Fail(fakeentra.Fault{Body: body})
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 2)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		cancel()
		resp.Body.Close()
	}
	s.ClearFaults()
	s.Fail(fakeentra.Fault{Body: fakeentra.BodyCut})
	resp, err := s.browser.Get(s.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that is cut: %v", err)
	}
	s.Close() // must not wait for what never ends
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := fakeentra.New(fakeentra.Options{URL: "http://entra.test"})
		if err != nil {
			t.Fatal(err)
		}
		s.Fail(fakeentra.Fault{Endpoint: "keys", Latency: 3 * time.Second})
		start := time.Now()
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/common/discovery/v2.0/keys", nil))
		if took := time.Since(start); took != 3*time.Second || w.Code != http.StatusOK {
			t.Errorf("it took %v and is %d; want 3 s and 200", took, w.Code)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w = httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/common/discovery/v2.0/keys", nil).WithContext(ctx))
		if took := time.Since(start); took != 4*time.Second || w.Body.Len() != 0 {
			t.Errorf("whoever went after 1 s was answered after %v: %s", took-3*time.Second, w.Body)
		}
	})
}
