// Package e2e tests the mcpagg program from outside: the real binary, with real
// MCP servers behind it and real MCP clients in front of it. One of the clients
// is the protocol's conformance suite, and its server is the Go SDK's.
//
//	go test -tags e2e -count=1 -timeout 25m ./cmd/mcpagg/internal/e2e/...
//
// The other servers and all clients are npm packages with exact versions
// (testdata/npm). The first run installs them, with Node.js and Chromium, into a
// folder of the user's cache; it needs x86-64 Linux, a network, and npm, podman
// and docker, or Debian to install these. What cannot be installed fails the
// run: nothing is skipped.
//
// Where the kernel permits it, the tests run in namespaces of their own: the
// network there is loopback only, so that no client reaches anything else, and
// every process dies with the tests. Agents talk to a scripted model.
//
// Clients sign in where a gateway wants it, at OpenID providers that run beside
// it and keep a journal: one is another npm package. The test binary stands in
// for their users' browser, and does what browsers do where a gateway depends on it;
// the pages of the gateway are also gone through in Chromium. What became of each
// client is a table in docs/clients.md, and the tests fail when a client does
// something else:
//
//	go test -tags e2e -count=1 -run TestSignIn ./cmd/mcpagg/internal/e2e -update
//
// Containers run in podman and in docker, which have settings, storage and
// sockets of their own here. Both need those namespaces, and so root. Their
// images are made from files of this machine: a program of testdata, and Node.js
// with npm servers. The small disks that get full need root as well.
//
// Environment variables change a run:
//
//	MCPAGG_CATALOGUES=DIR       also publish every recorded tools/list in DIR/*.json
//	MCPAGG_CONFORMANCE_RUNS=N   run each conformance suite N times in a row (1)
//	MCPAGG_E2E_BINARY=FILE      test this mcpagg instead of building one
//	MCPAGG_PICTURES=DIR         keep pictures of the gateway's pages in DIR/*.png
//	MCPAGG_MATRIX=FILE          also write what became of each client as JSON
package e2e
