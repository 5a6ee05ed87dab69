//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A suite is one run of the protocol's conformance suite, and what it says of
// the SDK's everything-server without a gateway.
type suite struct {
	name   string
	tools  toolset
	args   []string
	flags  []string // of the server over HTTP
	passed int
	failed int // in scenarios of tasks, which neither the server nor the gateway has
	known  []knownDifference
}

// A knownDifference is a check that need not succeed through the gateway.
type knownDifference struct{ scenario, check, status string }

var suites = []suite{
	{
		name: "0.1.16", tools: conformance, args: []string{"--suite", "all"},
		flags: []string{"-stateless=false"}, passed: 44,
	},
	{
		name: "2025-11-25", tools: conformanceAlpha, args: []string{"--requirements", "2025-11-25"},
		flags: []string{"-stateless=false"}, passed: 82,
		known: []knownDifference{
			// The server ends the stream of a call before the answer, and says with
			// "retry" when to come back for it (over HTTP in vain: it keeps none).
			// The gateway's streams end with the answer or an error, so that nobody
			// has to come back, and the suite misses the "retry".
			{"server-sse-polling", "server-sse-retry-field", "WARNING"},
		},
	},
	{
		name: "2026-07-28", tools: conformanceAlpha, args: []string{"--requirements", "2026-07-28"},
		passed: 164, failed: 30,
		known: []knownDifference{
			// When this check makes the server announce that its tools have changed,
			// they have not: other checks have had the same tool added. The gateway
			// asks for the list, and tells clients only of changes that they can see.
			{"server-stateless", "sep-2575-server-sends-tools-list-changed-on-subscription", "WARNING"},
		},
	},
}

// A way is one for the suite to reach the server.
type way struct {
	name   string
	stdio  bool
	prefix bool // published names are not those that the suite asks for
}

var ways = []way{
	{name: "HTTP"},
	{name: "HTTP, prefix", prefix: true},
	{name: "stdio", stdio: true},
	{name: "stdio, prefix", stdio: true, prefix: true},
}

// runsEnv says how often in a row each suite is run through the gateway.
const runsEnv = "MCPAGG_CONFORMANCE_RUNS"

// TestConformance runs the protocol's conformance suite against a server and
// through the gateway: what succeeds directly must succeed behind it. Servers
// and gateways are new for each run, as the suite leaves sessions open and
// changes what the server lists. Only two ways run at once, and no other test,
// because the suite waits for some notifications for no longer than 1.5 s.
func TestConformance(t *testing.T) {
	runs := conformanceRuns(t)
	direct := map[string]report{}
	for _, s := range suites {
		t.Run("direct/"+s.name, func(t *testing.T) { direct[s.name] = s.testDirect(t) })
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			for i := range runs * len(suites) {
				s := suites[i%len(suites)]
				t.Run(s.name, func(t *testing.T) {
					if direct[s.name] == nil {
						t.Fatal("there is nothing to compare with")
					}
					s.compare(t, w.name+", "+s.name, s.run(t, w.start(t, s)), direct[s.name])
				})
			}
		})
	}
}

func conformanceRuns(t *testing.T) int {
	text := os.Getenv(runsEnv)
	if text == "" {
		return 1
	}
	runs, err := strconv.Atoi(text)
	if err != nil || runs < 1 {
		t.Fatalf("%s is %q, want a positive number", runsEnv, text)
	}
	return runs
}

// testDirect returns what the suite says of the server itself.
func (s suite) testDirect(t *testing.T) report {
	r := s.run(t, startEverythingServer(t, s.flags...))
	if passed, failed := r.count("SUCCESS"), r.count("FAILURE"); passed != s.passed || failed != s.failed {
		t.Errorf("%d checks succeed and %d fail, want %d and %d", passed, failed, s.passed, s.failed)
	}
	for _, id := range r.failures() {
		t.Errorf("%s fails: %s", id, r[id].ErrorMessage)
	}
	return r
}

// start puts the server behind a gateway and returns what clients connect to.
func (w way) start(t *testing.T, s suite) (address string) {
	t.Helper()
	u := upstream{label: "up", requests: []string{"sampling", "elicitation", "roots"}}
	if w.stdio {
		u.command, u.isolation = []string{os.Getenv(everythingServerEnv)}, "session"
	} else {
		u.url = startEverythingServer(t, s.flags...)
	}
	tool := "up_test_simple_text"
	if !w.prefix {
		u.prefix, tool = new(""), "test_simple_text"
	}
	g := startGateway(t, u)
	eventually(t, func() string {
		list, err := listTools(t.Context(), modern(t, g.url))
		if err != nil || !slices.Contains(names(list), tool) {
			return fmt.Sprintf("the gateway lists %v, %v", names(list), err)
		}
		return ""
	})
	if w.prefix {
		return startTranslator(t, g.url, u.label)
	}
	return g.url
}

// startEverythingServer starts the server over HTTP.
func startEverythingServer(t *testing.T, flags ...string) (address string) {
	t.Helper()
	host := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	argv := append([]string{os.Getenv(everythingServerEnv), "-http=" + host}, flags...)
	newSandbox(t).start(t, nil, nil, argv...)
	eventually(t, func() string {
		conn, err := net.DialTimeout("tcp", host, time.Second)
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	})
	return "http://" + host + "/mcp"
}

// A report is what a suite has found.
type report map[checkID]check

// A checkID names a check. Some scenarios make one check several times.
type checkID struct {
	scenario, check string
	index           int
}

func (id checkID) String() string {
	if id.index > 0 {
		return fmt.Sprintf("%s: %s (%d)", id.scenario, id.check, id.index+1)
	}
	return id.scenario + ": " + id.check
}

type check struct{ ID, Status, ErrorMessage string }

// resultFolder matches where the suite puts the checks of a scenario.
var resultFolder = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

// run runs the suite, which exits with 0 if nothing fails that it demands.
func (s suite) run(t *testing.T, address string) report {
	t.Helper()
	box := newSandbox(t)
	argv := append([]string{s.tools.bin("conformance"), "server", "--url", address, "-o", "results"}, s.args...)
	stdout, stderr, code := box.try(t, nil, argv...)
	if code != 0 {
		t.Errorf("%s exits with %d\n%s\n%s", strings.Join(argv, " "), code, summary(stdout), excerpt(stderr, 20))
	}
	files, err := filepath.Glob(filepath.Join(box.work(), "results/*/checks.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s writes no results: %v\n%s", strings.Join(argv, " "), err, excerpt(stdout, 30))
	}
	r := report{}
	for _, file := range files {
		folder := resultFolder.FindStringSubmatch(filepath.Base(filepath.Dir(file)))
		if folder == nil {
			t.Fatalf("there are results in %s, which names no scenario", file)
		}
		r.read(t, folder[1], file)
	}
	return r
}

// summary is what the suite prints last: its scenarios, and what has failed.
func summary(stdout string) string {
	_, after, _ := strings.Cut(stdout, "=== SUMMARY ===")
	return excerpt(after, 80)
}

func (r report) read(t *testing.T, scenario, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var checks []check
	if err := json.Unmarshal(data, &checks); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, c := range checks {
		id := checkID{scenario: scenario, check: c.ID}
		for _, taken := r[id]; taken; _, taken = r[id] {
			id.index++
		}
		r[id] = c
	}
}

func (r report) count(status string) (n int) {
	for _, c := range r {
		if c.Status == status {
			n++
		}
	}
	return n
}

func (r report) ids() []checkID {
	return slices.SortedFunc(maps.Keys(r), func(a, b checkID) int {
		return cmp.Or(cmp.Compare(a.scenario, b.scenario), cmp.Compare(a.check, b.check), cmp.Compare(a.index, b.index))
	})
}

// failures are the checks that fail, but for those of tasks.
func (r report) failures() []checkID {
	return slices.DeleteFunc(r.ids(), func(id checkID) bool {
		return r[id].Status != "FAILURE" || strings.HasPrefix(id.scenario, "tasks-")
	})
}

// compare fails for what succeeds directly only, and for whatever fails.
func (s suite) compare(t *testing.T, title string, got, direct report) {
	t.Helper()
	t.Logf("%s: %d checks succeed, %d directly", title, got.count("SUCCESS"), direct.count("SUCCESS"))
	for _, id := range got.failures() {
		t.Errorf("%s: %s fails: %s", title, id, got[id].ErrorMessage)
	}
	for _, id := range direct.ids() {
		c, ok := got[id]
		if !ok {
			c = check{Status: "missing"}
		}
		switch {
		case direct[id].Status != "SUCCESS" || c.Status == "SUCCESS":
		case slices.Contains(s.known, knownDifference{id.scenario, id.check, c.Status}):
			t.Logf("%s: %s is %s, which is known", title, id, c.Status)
		case c.Status != "FAILURE" || strings.HasPrefix(id.scenario, "tasks-"): // others are reported above
			t.Errorf("%s: %s is %s and succeeds directly: %s", title, id, c.Status, c.ErrorMessage)
		}
	}
}
