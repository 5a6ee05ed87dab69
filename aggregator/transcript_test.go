package aggregator_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what comes into the transcripts in testdata/protocol")

// TestTranscripts plays every transcript in testdata/protocol: what clients and
// upstreams send, and what they must get. docs/protocol.md links to them.
//
// A transcript has two sections. setup describes the upstreams and clients,
// one thing a line:
//
//	upstream NAME legacy|modern|both   those below, up to the next one, are its
//	tool|prompt|resource|template JSON its definitions
//	prefix|isolation|requests VALUE    its configuration; requests with commas
//	page N, ttl N,N, instructions TEXT, capabilities JSON
//	show WHAT,WHAT                     what is left out otherwise: the gateway's
//	                                   own requests by method, "meta", "headers"
//	client NAME legacy|modern|VERSION CAPABILITIES
//	client NAME raw                    one that does not shake hands by itself
//
// transcript is the conversation, one message a line; ">" is sent by the named
// one and "<" must have reached it. Requests are numbered by who sends or gets
// them:
//
//	a> METHOD PARAMS             a request; "notify METHOD PARAMS" a notification
//	a> answer ID MEMBERS         an answer to a request of the gateway
//	a> get, delete, post BODY    an HTTP request by itself; get opens the stream
//	a> header NAME: VALUE        of the next request; without a value none is sent
//	a> close N                   hangs up on request N
//	a< N MESSAGE                 in the response to request N, or on the "stream";
//	                             with its HTTP status if that is not 200, or
//	                             "(no answer)"
//	up< N METHOD PARAMS          a request; notifications have no number
//	up< answer MESSAGE           an answer to a request of the upstream
//	up< N cancelled              nobody waits for the answer to request N
//	up> N result|error JSON      the answer to request N
//	up> N notify METHOD PARAMS   ahead of it, also "N ask ID METHOD PARAMS"
//	up> N resource JSON          the resources of the session of request N alone
//	up> notify METHOD PARAMS     on the streams that belong to no request
//	up> update URI               to those who have subscribed to the resource
//	up> tools JSON               another tool instead of those before, announced;
//	                             "tools same" announces it only
//	up> streams N                waits until N streams are open
//	up> drop, forget             ends them; no longer knows its sessions
//	gateway> pause               waits until connections count as having worked
//	gateway> drain               ends sessions and streams in good order
//
// <token> and <id N> stand for what the gateway chose on the way to an upstream,
// <state N> for the requestState that it sealed as the Nth, and <elicitation> for
// an id that it made.
// Nothing may have come that the transcript does not have.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/protocol/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			setup, transcript := section(t, archive, "setup"), section(t, archive, "transcript")
			got := newStage(t, string(setup.Data)).play(string(transcript.Data))
			if *update && !t.Failed() {
				transcript.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(strings.Split(string(transcript.Data), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-transcript +what came):\n%s", diff)
			}
		})
	}
}

// docs/protocol.md links to tests that are there, and to every transcript.
func TestTranscriptsAreInTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(page), -1) {
		file := filepath.Join("../docs", link[1])
		if linked[file] = true; strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("docs/protocol.md links to nothing: %v", err)
		}
	}
	files, _ := filepath.Glob("testdata/protocol/*.txtar") // the pattern is well formed
	for _, file := range files {
		if !linked[filepath.Join("../aggregator", file)] {
			t.Errorf("docs/protocol.md does not link to %s", file)
		}
	}
}

func section(t *testing.T, a *txtar.Archive, name string) *txtar.File {
	t.Helper()
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = bytes.TrimLeft(a.Files[i].Data, "\n")
			return &a.Files[i]
		}
	}
	t.Fatalf("no section %q", name)
	return nil
}
