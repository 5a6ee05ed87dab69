//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// authorizationChecks are what the conformance suite has about authorization servers.
var authorizationChecks = []string{"authorization-server-metadata", "authorization-server-metadata-cimd", "authorization-code-grant"}

// authorizeAddress is where the suite wants somebody to sign in.
var authorizeAddress = regexp.MustCompile(`(?m)^http://\S+/authorize\?\S+$`)

// TestConformanceAuthorization runs the conformance suite against the gateway as an
// authorization server, with a client that its operator has set up.
func TestConformanceAuthorization(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	b.config.blocks += fixedApp
	b.configure(t)
	b.start(t)
	box := newSandbox(t)
	port := freePort(t)
	suite := box.start(t, nil, nil, conformanceAlpha.bin("conformance"), "authorization",
		"--url", b.base, "--client-id", fixedID, "--port", fmt.Sprint(port), "-o", "results")
	suite.logLines = 60
	address := suite.await(t, authorizeAddress.String())[0]
	eventually(t, func() string { // the suite asks for a browser before it listens
		conn, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			return err.Error()
		}
		_ = conn.Close()
		return ""
	})
	if _, err := browse(t.Context(), brokerUser, address); err != nil {
		t.Fatal(err)
	}
	<-suite.exited
	if suite.err != nil {
		t.Errorf("the suite ends with %v\n%s", suite.err, summary(suite.stderr.String()))
	}
	files, err := filepath.Glob(filepath.Join(box.work(), "results/*/checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := report{}
	for _, file := range files {
		r.read(t, filepath.Base(filepath.Dir(file)), file)
	}
	found := map[string]string{}
	for id, check := range r {
		found[id.check] = strings.TrimSpace(check.Status + " " + check.ErrorMessage)
	}
	for _, name := range authorizationChecks {
		if found[name] != "SUCCESS" {
			t.Errorf("%s: %q", name, found[name])
		}
	}
	if len(found) != len(authorizationChecks) {
		t.Errorf("the suite has made the checks %v, and not only %v", found, authorizationChecks)
	}
}
