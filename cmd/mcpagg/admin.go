package main

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
)

// adminHandler serves /metrics and /health/ready, and with debugging on profiles
// and figures.
func adminHandler(o *operated, debugging bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(newMetrics(o), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) { serveReady(w, o) })
	if debugging {
		mux.HandleFunc("GET /debug/memory", serveMemory)
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// readyUpstream is one upstream in the answer of /health/ready.
type readyUpstream struct {
	Name      string         `json:"name"`
	State     upstream.State `json:"state"`
	Since     time.Time      `json:"since"`
	LastError string         `json:"last_error,omitempty"`
}

// serveReady answers 200 once no upstream, and no identity provider, is still being
// tried for the first time, and tokens of one provider at least can be verified:
// from then on the lists are as complete as they get by themselves. A
// reload that failed is told, and leaves it ready: the old configuration serves. So
// does a store that cannot be written: who is signed in still is.
func serveReady(w http.ResponseWriter, o *operated) {
	g, providers := o.gateway, o.signIns.status()
	ready := canVerify(providers)
	upstreams := []readyUpstream{}
	for _, u := range g.Upstreams() {
		ready = ready && (u.State != upstream.Connecting || u.LastError != "" || u.Doing != "")
		upstreams = append(upstreams, readyUpstream{u.Name, u.State, u.Since, u.LastError})
	}
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	answer := map[string]any{"ready": ready, "tools": len(g.Catalog().Tools()), "upstreams": upstreams}
	if len(providers) > 0 {
		answer["sign_in"] = providerStatuses(providers)
	}
	if b := o.signIns.brokerStatus(); b != nil {
		answer["broker"] = b
	}
	if failed := o.reloads.status().Failure; failed != nil {
		answer["reload_failed"] = failed
	}
	writeJSON(w, status, answer)
}

// canVerify reports whether people can sign in, if they have to.
func canVerify(providers []oauth.ProviderStatus) bool {
	some := len(providers) == 0
	for _, p := range providers {
		if !p.Tried {
			return false
		}
		some = some || p.Keys > 0
	}
	return some
}

func serveMemory(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	writeJSON(w, http.StatusOK, map[string]any{
		"total_alloc": m.TotalAlloc, "mallocs": m.Mallocs, "heap_alloc": m.HeapAlloc, "sys": m.Sys,
		"goroutines": runtime.NumGoroutine(),
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = printJSON(w, v) // a client that left needs no answer
}
