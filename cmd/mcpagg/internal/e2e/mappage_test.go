//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMapPage has a browser draw the page of mcpagg policy matrix, with the policy that it
// comes with, and look at a cell.
func TestMapPage(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	set, err := filepath.Abs("../../../../examples/policies/regulated")
	if err != nil {
		t.Fatal(err)
	}
	s.run(t, nil, os.Getenv(binaryEnv), "policy", "matrix", "-c", filepath.Join(set, "gateway.hcl"), "--catalog", filepath.Join(set, "catalog.json"), "-o", filepath.Join(s.work(), "matrix.html"))
	files := httptest.NewServer(http.FileServer(http.Dir(s.work())))
	t.Cleanup(files.Close)

	c := startChromium(t)
	shows := c.open(t, files.URL+"/matrix.html", "15 tools of 3 upstreams", "matrix")
	for _, want := range []string{"analyst at home", "resources_scale"} {
		if !strings.Contains(shows.Text, want) {
			t.Errorf("the page does not show %q but\n%s", want, shows.Text)
		}
	}
	c.mustShow(t, object{"click": "td.sometimes", "picture": "matrix-cell"}, "The condition in Cedar")
	c.mustShow(t, object{"click": "tbody tr.tool th", "picture": "matrix-tool"}, "Who may use it")
	if folded := c.do(t, object{"click": "#fold"}); strings.Contains(folded.Text, "resources_scale") || !strings.Contains(folded.Text, "Expand all") {
		t.Errorf("the page is not folded:\n%s", folded.Text)
	}
}
