package main

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
)

// adminHandler serves /health/ready, and with debugging on profiles and figures.
func adminHandler(g *aggregator.Gateway, debugging bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) { serveReady(w, g) })
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

// serveReady answers 200 once no upstream is still being tried for the first
// time: from then on the lists are as complete as they get by themselves.
func serveReady(w http.ResponseWriter, g *aggregator.Gateway) {
	ready := true
	upstreams := []readyUpstream{}
	for _, u := range g.Upstreams() {
		ready = ready && (u.State != upstream.Connecting || u.LastError != "")
		upstreams = append(upstreams, readyUpstream{u.Name, u.State, u.Since, u.LastError})
	}
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, map[string]any{"ready": ready, "tools": len(g.Catalog().Tools()), "upstreams": upstreams})
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
