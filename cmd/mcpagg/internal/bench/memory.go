package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"
)

// memory is what a process tells about itself at /debug/memory, as the gateway
// does with --debug.
type memory struct {
	TotalAlloc uint64 `json:"total_alloc"` // bytes allocated since the start
	Mallocs    uint64 `json:"mallocs"`     // objects allocated since the start
	HeapAlloc  uint64 `json:"heap_alloc"`  // bytes of live and not yet swept objects
	Sys        uint64 `json:"sys"`
	Goroutines int    `json:"goroutines"`
}

// debugHandler serves what the gateway serves with --debug, as far as the
// bench needs it.
func debugHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/memory", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_ = json.NewEncoder(w).Encode(memory{m.TotalAlloc, m.Mallocs, m.HeapAlloc, m.Sys, runtime.NumGoroutine()})
	})
	mux.Handle("GET /debug/pprof/heap", pprof.Handler("heap"))
	return mux
}

var adminClient = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 2},
}

// readMemory asks the process with this admin address.
func readMemory(ctx context.Context, admin string) (m memory, err error) {
	err = fetch(ctx, "http://"+admin+"/debug/memory", func(body io.Reader) error {
		return json.NewDecoder(body).Decode(&m)
	})
	return m, err
}

// collectGarbage has the process collect twice: what a pool or a finalizer
// still holds goes with the second.
func collectGarbage(ctx context.Context, admin string) error {
	for range 2 {
		if err := fetch(ctx, "http://"+admin+"/debug/pprof/heap?gc=1", nil); err != nil {
			return err
		}
	}
	return nil
}

// fetch gets a URL and hands its body to read, then reads it to the end.
func fetch(ctx context.Context, url string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := adminClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	if read != nil {
		err = read(resp.Body)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return err
}
