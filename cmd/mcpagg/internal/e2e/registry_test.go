//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A registry stands in for a container registry: it serves one image, the
// probe, under any name and the tag 1 (OCI Distribution Specification 1.1, pull).
type registry struct {
	host   string // and port
	digest string // of the image's manifest

	content map[string][]byte // by digest
	kind    map[string]string // media types, by digest

	mu    sync.Mutex
	pause time.Duration // before each eighth of a layer; guarded by mu
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// startRegistry serves an image whose configuration has a label, so that images
// differ.
func startRegistry(t testing.TB, label string) *registry {
	t.Helper()
	r := &registry{content: map[string][]byte{}, kind: map[string]string{}}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := addFile(w, os.Getenv(probeEnv), "probe"); err != nil {
		t.Fatal(err)
	}
	// Engines do not fetch what they have already.
	if err := w.WriteHeader(&tar.Header{Name: "label-" + label, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layerRef := r.add(layerType, layer.Bytes())
	config := r.add(configType, encode(object{
		"architecture": "amd64", "os": "linux",
		"config": object{"Entrypoint": []string{"/probe"}, "User": "65534:65534", "Labels": object{"label": label}},
		"rootfs": object{"type": "layers", "diff_ids": []any{layerRef["digest"]}},
	}))
	manifest := r.add(manifestType, encode(object{
		"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []object{layerRef},
	}))
	r.digest = manifest["digest"].(string)
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.host = strings.TrimPrefix(s.URL, "http://")
	return r
}

// add keeps content, and returns how it is referred to.
func (r *registry) add(kind string, content []byte) object {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	r.content[digest], r.kind[digest] = content, kind
	return object{"mediaType": kind, "digest": digest, "size": len(content)}
}

// ServeHTTP answers GET and HEAD of /v2/, /v2/NAME/manifests/TAG-OR-DIGEST and
// /v2/NAME/blobs/DIGEST.
func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	if len(parts) == 1 {
		return // version 2 is spoken
	}
	digest := parts[len(parts)-1]
	manifest := parts[len(parts)-2] == "manifests"
	if manifest && digest == "1" {
		digest = r.digest
	}
	content, ok := r.content[digest]
	if !ok || manifest != (r.kind[digest] == manifestType) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		w.Write(encode(object{"errors": []object{{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}}}))
		return
	}
	w.Header().Set("Content-Type", r.kind[digest])
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	if req.Method == http.MethodGet {
		r.send(w, content, r.kind[digest])
	}
}

// send takes its time over layers.
func (r *registry) send(w http.ResponseWriter, content []byte, kind string) {
	r.mu.Lock()
	pause := r.pause
	r.mu.Unlock()
	if kind != layerType {
		pause = 0
	}
	part := len(content)/8 + 1
	for len(content) > 0 {
		time.Sleep(pause)
		n, err := w.Write(content[:min(part, len(content))])
		if err != nil {
			return // it hung up
		}
		content = content[n:]
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
}

// slowDown makes each layer take a while.
func (r *registry) slowDown(layer time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pause = layer / 8
}

// forge changes the manifest, so that it is not what its digest says.
func (r *registry) forge() { r.content[r.digest] = append([]byte(" "), r.content[r.digest]...) }
