package aggregator_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// governed is a gateway in front of one server called up, of a caller called ann, with
// policies; and clients of ann's of both eras.
type governed struct {
	*aggregator.Gateway
	url            string
	srv            *upstreamtest.Server
	opts           aggregator.Options
	people         *staff
	modern, legacy *httpClient
	log            records
	audit          string // the file
	closeAudit     func()
}

func govern(t *testing.T, script upstreamtest.Script, text string, edit ...func(*aggregator.Options)) *governed {
	t.Helper()
	g := &governed{people: &staff{}, log: make(records, 10_000), audit: filepath.Join(t.TempDir(), "audit.jsonl")}
	g.srv = upstreamtest.New(t, script)
	g.people.set("ann", "staff")
	file, err := audit.Open(audit.Options{Path: g.audit, Arguments: audit.Hashed, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g.closeAudit = func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { _ = file.Close() })
	g.opts = aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", g.srv.URL.String())}, Authenticate: g.people.authenticate,
		Policy: engineOf(t, text), Audit: file, Log: slog.New(slog.NewTextHandler(g.log, nil)),
	}
	for _, change := range edit {
		change(&g.opts)
	}
	g.Gateway, g.url = start(t, g.opts)
	g.modern, g.legacy = as(t, g.url, "ann"), as(t, g.url, "ann")
	g.legacy.initialize()
	return g
}

// call calls a tool, with arguments in JSON.
func (g *governed) call(era upstream.Era, tool, arguments string) reply {
	if era == upstream.LegacyEra {
		return g.legacy.request("tools/call", `{"name":"`+tool+`","arguments":`+arguments+`}`)
	}
	return g.modern.modern("tools/call", tool, `"name":"`+tool+`","arguments":`+arguments+`,`)
}

// lines are those of decisions in the audit file, which is closed for that.
func (g *governed) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	g.closeAudit()
	text, err := os.ReadFile(g.audit)
	if err != nil {
		t.Fatal(err)
	}
	for raw := range strings.Lines(string(text)) {
		var line map[string]any
		if err := json.Unmarshal([]byte(raw), &line); err != nil {
			t.Fatal(err)
		}
		if line["kind"] == "decision" {
			all = append(all, line)
		}
	}
	return all
}

var reference = regexp.MustCompile(`[A-Z2-7]{10}`)

// echo answers a call with its arguments.
func echo(r *upstreamtest.Request) upstreamtest.Reply {
	var params struct{ Arguments json.RawMessage }
	_ = json.Unmarshal(r.Params, &params)
	if params.Arguments == nil {
		return upstreamtest.Result(`{}`)
	}
	return upstreamtest.Result(`{"content":[],"structuredContent":{"got":` + string(params.Arguments) + `}}`)
}

// TestDenialsPeopleCanActOn denies a call for its arguments, and looks at what the model,
// its person and the operator get.
func TestDenialsPeopleCanActOn(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `
		@id("issues") permit(principal, action, resource);
		@id("no-secrets") @deny_message("Not in the vault; use another repository.")
		forbid(principal, action, resource) when { context.input.repo == "vault" };
		@id("quiet") forbid(principal, action, resource) when { context.input.repo == "quiet" };`)
	var references []string
	for _, era := range eras {
		for repo, message := range map[string]string{"vault": "Not in the vault; use another repository.", "quiet": "denied by policy"} {
			r := g.call(era, "up_create_issue", `{"repo":"`+repo+`","title":"private"}`)
			found := reference.FindString(r.body)
			references = append(references, found)
			want := `"result":{"content":[{"type":"text","text":"` + message + `\nReference: ` + found + `"}],"isError":true`
			if era == upstream.ModernEra {
				want += `,"resultType":"complete"`
			}
			if r.status != 200 || !strings.HasSuffix(r.body, want+"}}") {
				t.Errorf("%s: %d %s, want %s", era, r.status, r.body, want)
			}
		}
		if r := g.call(era, "up_create_issue", `{"repo":"web"}`); !strings.Contains(r.body, `"got":{"repo":"web"}`) {
			t.Errorf("%s: what is allowed gets %s", era, r.body)
		}
	}
	if n := len(g.srv.Requests("tools/call")); n != 2 {
		t.Errorf("the upstream got %d calls, want 2", n)
	}
	mine, log, lines := g.Denials(g.people.known["ann"]), strings.Join(drained(g.log), ""), g.lines(t)
	if len(mine) != 4 || len(lines) != 6 {
		t.Fatalf("there are %v and %v", mine, lines)
	}
	for _, of := range references {
		line := fmt.Sprint(lines)
		if strings.Count(log, "reference="+of) != 1 || strings.Count(line, of) != 1 || !strings.Contains(fmt.Sprint(mine), of) {
			t.Errorf("%s is not in the log, the audit file and on the person's page:\n%s\n%s\n%v", of, log, line, mine)
		}
	}
	if !strings.Contains(log, "policies=[no-secrets]") || strings.Contains(log, "private") || strings.Contains(fmt.Sprint(mine), "no-secrets") {
		t.Errorf("the log is %s, and the page %v", log, mine)
	}
}

// TestAuditOfDecisions reads what is recorded of an allowance and a denial.
func TestAuditOfDecisions(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `
		@id("issues") permit(principal, action, resource) when { context.input.repo == "web" };
		@id("watched") @observe forbid(principal, action, resource) when { context.bytes > 3 };`)
	g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`)
	g.call(upstream.ModernEra, "up_create_issue", `{"repo":"api"}`)
	g.call(upstream.ModernEra, "up_create_issue", `{}`)
	lines := g.lines(t)
	if len(lines) != 3 {
		t.Fatalf("there are %v", lines)
	}
	common := map[string]any{
		"kind": "decision", "caller": `User::"t/ann"`, "name": "ann", "action": "call_tool", "upstream": "up", "object": "create_issue",
		"published": "up_create_issue", "ip": "127.0.0.1", "policies": g.opts.Policy.Digest(), "generation": float64(g.Catalog().Generation),
		"principal": map[string]any{"groups": []any{"staff"}},
	}
	calls := map[string]any{"calls": 0.0}
	at := []any{map[string]any{"id": "issues", "file": "t.cedar", "line": 2.0}}
	watched := []any{map[string]any{"id": "watched", "file": "t.cedar", "line": 3.0}}
	for i, want := range []map[string]any{
		{"decision": "allow", "earlier": calls, "reasons": at, "observed": watched, "looked": map[string]any{"context.input.repo": "web", "context.bytes": 14.0}},
		{"decision": "deny", "earlier": calls, "observed": watched, "looked": map[string]any{"context.input.repo": "api", "context.bytes": 14.0}},
		{"decision": "deny", "why": "arguments: repo"},
	} {
		got := lines[i]
		if reference.MatchString(fmt.Sprint(got["reference"])) != (want["decision"] == "deny") {
			t.Errorf("line %d has the reference %v", i, got["reference"])
		}
		if i == 1 && got["why"] == "" {
			t.Errorf("line %d does not say why", i)
		}
		for _, varying := range []string{"time", "reference", "micros", "arguments_sha256", "arguments_bytes"} {
			delete(got, varying)
		}
		if i == 1 {
			delete(got, "why")
		}
		for name, value := range common {
			want[name] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i, diff)
		}
	}
	if f := g.Figures(); f.Allowed != 1 || f.Denied != 2 || f.WouldDeny != 0 {
		t.Errorf("counted are %+v", f)
	}
}

// TestAuditOfRefusals reads what is recorded of calls that are refused before policies
// are asked: for which argument, and a hash of them all; but no name that a client has
// made up.
func TestAuditOfRefusals(t *testing.T) {
	b, err := brake.Open(t.Context(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	script := upstreamtest.Script{Tools: []string{issueTool}, Prompts: []string{`{"name":"p"}`}, Resources: []string{`{"uri":"file:///r","name":"r"}`}, Reply: echo}
	g := govern(t, script, `permit(principal, action, resource) unless { context.input.repo == "vault" };`, func(o *aggregator.Options) { o.Brake = b })
	g.call(upstream.ModernEra, "up_create_issue", `{"repo":1}`)
	g.call(upstream.ModernEra, "up_create_issue", `{"title":"x"}`)
	g.call(upstream.ModernEra, "up_create_issue", `{"Repo":"x"}`)
	g.call(upstream.ModernEra, "up_create_issue", `{"repo":"x","n":9007199254740993}`)
	g.call(upstream.ModernEra, "up_create_issue", `{"repo":"x","a private thing":1}`)
	if err := b.Block(t.Context(), brake.Block{Kind: brake.Person, What: "ann"}); err != nil {
		t.Fatal(err)
	}
	g.call(upstream.ModernEra, "up_create_issue", `{"repo":"x"}`)
	g.modern.modern("prompts/get", "up_p", `"name":"up_p","arguments":{"a":"x"},`)
	g.modern.modern("resources/read", "up+file:///r", `"uri":"up+file:///r",`)
	g.legacy.request("tools/list", `{}`)
	var got []string
	log, lines := strings.Join(drained(g.log), ""), g.lines(t)
	for _, line := range lines {
		got = append(got, fmt.Sprint(line["object"], " ", line["why"], " ", line["arguments_bytes"]))
		if (line["arguments_sha256"] == nil) != (line["arguments_bytes"] == nil) || !strings.Contains(log, fmt.Sprint("reference=", line["reference"])) {
			t.Errorf("a line is %v", line)
		}
	}
	want := []string{
		"create_issue arguments: repo 10", "create_issue arguments: repo 13", "create_issue arguments: repo 12",
		"create_issue arguments: n 33", "create_issue arguments 32",
		"create_issue blocked 12", "p blocked 9", "file:///r blocked <nil>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded are (-want +got):\n%s", diff)
	}
	if strings.Contains(log+fmt.Sprint(lines), "private") || strings.Contains(log, `tool=""`) || !strings.Contains(log, "argument=n") || !strings.Contains(log, "method=tools/list") {
		t.Errorf("the log is %s", log)
	}
}

// TestWhoseMessage names the policy whose message a denied caller is told, which is a
// permit that might have permitted it, or a forbid. docs/audit.md shows the latter.
func TestWhoseMessage(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `
		@id("web") @deny_message("Only web.") permit(principal, action, resource) when { context.input.repo == "web" };
		@id("others") permit(principal, action, resource) when { context.input.repo == "vault" };
		@id("no-vault") @deny_message("Not in the vault.") forbid(principal, action, resource) when { context.input.repo == "vault" };`)
	for _, repo := range []string{"api", "vault"} {
		g.call(upstream.ModernEra, "up_create_issue", `{"repo":"`+repo+`"}`)
	}
	log, lines := strings.Join(drained(g.log), ""), g.lines(t)
	if !strings.Contains(log, `why="no policy permits it" told=web`) || !strings.Contains(log, `why="a policy forbids it" told=no-vault`) {
		t.Errorf("the log is %s", log)
	}
	page, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ why, told string }{{"no policy permits it", "web"}, {"a policy forbids it", "no-vault"}} {
		if lines[i]["why"] != want.why || lines[i]["told"] != want.told {
			t.Errorf("line %d is %v", i, lines[i])
		}
	}
	if !strings.Contains(string(page), fmt.Sprintf(`"why":%q`, lines[1]["why"])) {
		t.Errorf("the sample of docs/audit.md has another why than %q", lines[1]["why"])
	}
}

// TestNothingUnrecordedHappens refuses what cannot be recorded.
func TestNothingUnrecordedHappens(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `permit(principal, action, resource);`)
	g.closeAudit()
	if r := g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`); !strings.Contains(r.body, "-32000") || !strings.Contains(r.body, "cannot keep a record") {
		t.Errorf("it gets %s", r.body)
	}
	if n := len(g.srv.Requests("tools/call")); n != 0 {
		t.Errorf("the upstream got %d calls", n)
	}
}

// TestArgumentsMeanOneThing sends arguments that policies and upstream might read in
// different ways.
func TestArgumentsMeanOneThing(t *testing.T) {
	const looks = `permit(principal, action, resource) unless { context.input.repo == "vault" };`
	free := func(o *aggregator.Options) { o.Upstreams[0].ExtraArguments = true }
	fixed := func(o *aggregator.Options) {
		o.Upstreams[0].Tools.Overrides = map[string]aggregator.Override{"create_issue": {Set: map[string]json.RawMessage{"repo": json.RawMessage(`"vault"`)}}}
	}
	for _, tt := range []struct {
		name, policies, arguments string
		edit                      func(*aggregator.Options)
		want                      string // in the answer
	}{
		{"declared", looks, `{"repo":"web","n":9007199254740992}`, nil, `"got":{"repo":"web","n":9007199254740992}`},
		{"denied", looks, `{"repo":"vault"}`, nil, `denied by policy`},
		{"case", looks, `{"Repo":"vault","repo":"web"}`, nil, `"Repo\" at /Repo differs from the declared property \"repo\" in case only`},
		{"twice", looks, `{"repo":"web","repo":"vault"}`, nil, `duplicate key at /repo`},
		{"undeclared", looks, `{"repo":"web","repository":"vault"}`, nil, `\"repository\" is not declared in the input schema`},
		{"undeclared and allowed", looks, `{"repo":"web","repository":"vault"}`, free, `"got":{"repo":"web","repository":"vault"}`},
		{"undeclared where nobody looks", `permit(principal, action, resource);`, `{"repo":"web","repository":"vault"}`, nil, `"got":{"repo":"web","repository":"vault"}`},
		{"large", looks, `{"repo":"web","n":9007199254740993}`, nil, `an integer is beyond 2^53`},
		{"large and undeclared", looks, `{"repo":"web","more":[{"n":-9007199254740993}]}`, free, `an integer is beyond 2^53`},
		{"large where nobody looks", `permit(principal, action, resource);`, `{"repo":"web","n":9007199254740993}`, nil, `"got":{"repo":"web","n":9007199254740993}`},
		{"a default", `permit(principal, action, resource) when { !context.input.draft };`, `{"repo":"web"}`, nil, `"got":{"repo":"web"}`},
		{"a default that is denied", `permit(principal, action, resource) when { context.input.draft };`, `{"repo":"web"}`, nil, `denied by policy`},
		{"fixed", looks, `{}`, fixed, `denied by policy`},
		{"fixed and sent", looks, `{"repo":"web"}`, fixed, `\"repo\" is fixed by the gateway`},
		{"fixed and allowed", `permit(principal, action, resource) when { context.input.repo == "vault" };`, `{"title":"x"}`, fixed, `"got":{"title":"x","repo":"vault"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edit := tt.edit
			if edit == nil {
				edit = func(*aggregator.Options) {}
			}
			g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, tt.policies, edit)
			for _, era := range eras {
				if r := g.call(era, "up_create_issue", tt.arguments); !strings.Contains(r.body, tt.want) {
					t.Errorf("%s: %s, want %s", era, r.body, tt.want)
				}
			}
			if n := len(g.srv.Requests("tools/call")); (n > 0) != strings.Contains(tt.want, `"got"`) {
				t.Errorf("the upstream got %d calls", n)
			}
		})
	}
}

// TestObserve lets through what is denied where nothing is enforced, and says so.
func TestObserve(t *testing.T) {
	const deny = `@id("none") forbid(principal, action, resource);`
	for name, edit := range map[string]func(*aggregator.Options){
		"gateway": func(o *aggregator.Options) {
			o.Policy = engineOf(t, deny, func(p *policy.Options) { p.Observe = true })
		},
		"upstream": func(o *aggregator.Options) { o.Upstreams[0].Observe = true },
	} {
		g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo, Prompts: []string{`{"name":"p"}`}}, deny, edit)
		for _, era := range eras {
			if r := g.call(era, "up_create_issue", `{"repo":"web"}`); !strings.Contains(r.body, `"got"`) {
				t.Errorf("%s, %s: %s", name, era, r.body)
			}
		}
		if names, _ := namesIn(t, g.modern.modern("tools/list", "", "")); len(names) != 1 {
			t.Errorf("%s: lists %v", name, names)
		}
		if r := g.modern.modern("completion/complete", "", `"ref":{"type":"ref/prompt","name":"up_p"},"argument":{"name":"a","value":"b"},`); !strings.Contains(r.body, `"result"`) {
			t.Errorf("%s: completion gets %s", name, r.body)
		}
		g.opts.Policy = engineOf(t, `permit(principal, action, resource) when { context.input.repo == "web" };`, func(p *policy.Options) { p.Observe = true })
		if _, err := g.Reload(t.Context(), g.opts); err != nil {
			t.Fatal(err)
		}
		if r := g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web","undeclared":1}`); !strings.Contains(r.body, `"got"`) {
			t.Errorf("%s: an argument too many gets %s", name, r.body)
		}
		log, lines := strings.Join(drained(g.log), ""), g.lines(t)
		if strings.Count(log, `msg="would deny"`) != 3 || !strings.Contains(log, "policies=[none]") || len(lines) != 3 || lines[0]["decision"] != "would_deny" || lines[2]["why"] != "arguments" {
			t.Errorf("%s: the log is %s, and recorded %v", name, log, lines)
		}
		if n := g.Figures().WouldDeny; n != 3 || len(g.Denials(g.people.known["ann"])) != 0 {
			t.Errorf("%s: counted are %d", name, n)
		}
	}
}

// TestCandidate tells where policies that are not in effect decide otherwise, and only
// there.
func TestCandidate(t *testing.T) {
	const now = `permit(principal, action, resource);`
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, now, func(o *aggregator.Options) {
		o.Policy = engineOf(t, now, func(p *policy.Options) {
			p.Candidate = policiesOf(t, now+`@id("next") forbid(principal, action, resource) when { context.input.repo == "api" };`)
		})
	})
	for _, repo := range []string{"web", "api"} {
		if r := g.call(upstream.ModernEra, "up_create_issue", `{"repo":"`+repo+`"}`); !strings.Contains(r.body, `"got"`) {
			t.Errorf("%s: %s", repo, r.body)
		}
	}
	log, lines := strings.Join(drained(g.log), ""), g.lines(t)
	if strings.Count(log, "the candidate policies decide otherwise") != 1 || !strings.Contains(log, "policies=[next]") {
		t.Errorf("the log is %s", log)
	}
	if len(lines) != 2 || lines[0]["candidate"] != nil || !strings.Contains(fmt.Sprint(lines[1]["candidate"]), "decision:deny") {
		t.Errorf("recorded is %v", lines)
	}
}

// TestPromptsAndResources decides about what is no tool, in each way to use it.
func TestPromptsAndResources(t *testing.T) {
	script := upstreamtest.Script{
		Prompts:   []string{`{"name":"p","arguments":[{"name":"topic"}]}`},
		Resources: []string{`{"uri":"file:///a","name":"a"}`, `{"uri":"file:///b","name":"b"}`},
		Templates: []string{`{"uriTemplate":"db:///{table}","name":"t"}`},
	}
	g := govern(t, script, `
		permit(principal, action == Action::"get_prompt", resource) unless { context.input has topic && context.input.topic == "war" };
		permit(principal, action == Action::"read_resource", resource) when { resource.uri == "file:///a" };
		permit(principal, action == Action::"read_resource", resource) when { resource.uri == "db:///public" };
		@deny_message("Ask for b.") permit(principal, action == Action::"read_resource", resource) when { resource.uri == "file:///b" && context.auth.mfa };`)
	for _, tt := range []struct{ method, name, params, want string }{
		{"prompts/get", "up_p", `"name":"up_p","arguments":{"topic":"peace"}`, `"result"`},
		{"prompts/get", "up_p", `"name":"up_p","arguments":{"topic":"war"}`, `-32003,"message":"denied by policy","data":{"reference":"`},
		{"prompts/get", "up_p", `"name":"up_p","arguments":{"topics":"war"}`, `-32602,"message":"arguments of up_p: \"topics\" is not declared in the input schema","data":{"reference":"`},
		{"resources/read", "up+file:///a", `"uri":"up+file:///a"`, `"result"`},
		{"resources/read", "up+file:///b", `"uri":"up+file:///b"`, `-32003,"message":"Ask for b.","data":{"reference":"`},
		{"resources/read", "up+db:///public", `"uri":"up+db:///public"`, `"result"`},
		{"resources/read", "up+db:///private", `"uri":"up+db:///private"`, `unknown resource \"up+db:///private\"`},
		{"completion/complete", "", `"ref":{"type":"ref/prompt","name":"up_p"},"argument":{"name":"topic","value":"w"}`, `"result"`},
		{"completion/complete", "", `"ref":{"type":"ref/resource","uri":"up+db:///{table}"},"argument":{"name":"table","value":"p"}`, `"result"`},
		{"completion/complete", "", `"ref":{"type":"ref/resource","uri":"up+file:///b"},"argument":{"name":"table","value":"p"}`, `-32003,"message":"denied by policy","data":{"reference":"`},
	} {
		for era, r := range map[upstream.Era]reply{
			upstream.LegacyEra: g.legacy.request(tt.method, "{"+tt.params+"}"),
			upstream.ModernEra: g.modern.modern(tt.method, tt.name, tt.params+","),
		} {
			if !strings.Contains(r.body, tt.want) || r.status == 401 || r.status == 403 {
				t.Errorf("%s %s {%s}: %d %s, want %s", era, tt.method, tt.params, r.status, r.body, tt.want)
			}
		}
	}
	for uri, want := range map[string]string{
		"up+file:///a": `"result":{}`, "up+file:///b": "-32003", "up+file:///c": "-32002", "up+db:///public": `"result":{}`,
	} {
		if r := g.legacy.request("resources/subscribe", `{"uri":"`+uri+`"}`); !strings.Contains(r.body, want) {
			t.Errorf("subscribing to %s gets %s", uri, r.body)
		}
	}
	for _, method := range []string{"prompts/get", "resources/read", "resources/subscribe", "completion/complete"} {
		for _, r := range g.srv.Requests(method) {
			if body := string(r.Body); strings.Contains(body, "war") || strings.Contains(body, "///b") || strings.Contains(body, "private") {
				t.Errorf("the upstream got %s", body)
			}
		}
	}
}

// TestUpdatesAreForThoseWhoMayRead has two callers watch over a connection that they
// share, and takes it from one of them.
func TestUpdatesAreForThoseWhoMayRead(t *testing.T) {
	g := govern(t, upstreamtest.Script{LegacyOnly: true, Resources: []string{`{"uri":"file:///a","name":"a"}`}}, `
		permit(principal, action, resource) when { resource.uri like "file:///a*" && !(resource.uri like "*/private" && principal has name && principal.name == "bob") };
		permit(principal, action, resource == Resource::"up/file:///strong") when { context.auth.mfa };`,
		func(o *aggregator.Options) { o.Upstreams[0].Isolation = aggregator.Shared })
	g.people.set("bob")
	watch := func(name string) <-chan string {
		body := `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["up+file:///a","up+file:///z","up+file:///strong"]},` + modernMeta + `}}`
		stream := listen(t, as(t, g.url, name), "POST", body, func(r *http.Request) {
			r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
			r.Header.Set("Mcp-Method", "subscriptions/listen")
		})
		if got := await(t, stream); !strings.Contains(got, `"resourceSubscriptions":["up+file:///a"]`) {
			t.Errorf("%s is promised %s", name, got)
		}
		return stream
	}
	ann, bob := watch("ann"), watch("bob")
	hears := func(uri string, annDoes, bobDoes bool) {
		t.Helper()
		g.srv.Broadcast(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"` + uri + `"}}`)
		for name, of := range map[string]struct {
			stream <-chan string
			does   bool
		}{"ann": {ann, annDoes}, "bob": {bob, bobDoes}} {
			if of.does {
				if got := await(t, of.stream); !strings.Contains(got, `"uri":"up+`+uri+`"`) {
					t.Errorf("of %s %s hears %s", uri, name, got)
				}
				continue
			}
			select {
			case got := <-of.stream:
				t.Errorf("of %s %s hears %s", uri, name, got)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	awaitStream(t, g.srv)
	hears("file:///a", true, true)
	hears("file:///a/private", true, false)
	g.opts.Policy = engineOf(t, `permit(principal, action, resource) when { principal.name == "bob" };`)
	if _, err := g.Reload(t.Context(), g.opts); err != nil {
		t.Fatal(err)
	}
	hears("file:///a", false, true)
}

// TestUpdatesOfASessionsOwn takes the right to a resource from a session that watches it
// over a connection of its own; the client may still unsubscribe.
func TestUpdatesOfASessionsOwn(t *testing.T) {
	for _, isolation := range isolations {
		g := govern(t, upstreamtest.Script{LegacyOnly: true, Resources: []string{`{"uri":"file:///a","name":"a"}`, `{"uri":"file:///b","name":"b"}`}},
			`permit(principal in Group::"staff", action, resource); permit(principal, action, resource) when { resource.name == "b" };`,
			func(o *aggregator.Options) { o.Upstreams[0].Isolation = isolation })
		stream := listen(t, g.legacy, "GET", "", func(*http.Request) {})
		for _, uri := range []string{"a", "b"} {
			if r := g.legacy.request("resources/subscribe", `{"uri":"up+file:///`+uri+`"}`); !strings.Contains(r.body, `"result":{}`) {
				t.Fatalf("%s: subscribing gets %s", isolation, r.body)
			}
		}
		awaitUpdateOf(t, g.srv, stream, "file:///a")
		awaitUpdateOf(t, g.srv, stream, "file:///b")
		g.people.set("ann")
		g.legacy.request("tools/list", "{}") // which tells who it is now
		for len(drained(stream)) > 0 {
			time.Sleep(50 * time.Millisecond) // what was on its way
		}
		for range 3 {
			g.srv.Update("file:///a")
		}
		eventually(t, "an update of b arrives", func() bool {
			g.srv.Update("file:///b")
			got := strings.Join(drained(stream), "")
			if strings.Contains(got, "file:///a") {
				t.Errorf("%s: the client hears %s", isolation, got)
			}
			return strings.Contains(got, "file:///b")
		})
		for i, want := range []string{`"result":{}`, `unknown resource`} {
			if r := g.legacy.request("resources/unsubscribe", `{"uri":"up+file:///a"}`); !strings.Contains(r.body, want) {
				t.Errorf("%s: unsubscribing %d gets %s", isolation, i, r.body)
			}
		}
	}
}

// TestAnsweredCallsAreDecidedAgain takes the right to a call from its caller while it
// waits for an answer.
func TestAnsweredCallsAreDecidedAgain(t *testing.T) {
	ended := make(chan struct{})
	g := govern(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}, Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
		go func() {
			<-r.Context.Done()
			close(ended)
		}()
		return ask1(r)
	}}, `permit(principal in Group::"staff", action, resource); permit(principal, action, resource) when { context.auth.mfa };`,
		func(o *aggregator.Options) { o.Upstreams[0].Isolation = aggregator.PerUser })
	state := stateOf(t, callAsked(g.modern, ""))
	g.people.set("ann")
	r := callAsked(g.modern, accepted+`"requestState":"`+state+`",`)
	if !strings.Contains(r.body, `denied by policy\nReference: `) {
		t.Errorf("it goes on: %s", r.body)
	}
	<-ended
	g.people.set("ann", "staff")
	if r := callAsked(g.modern, accepted+`"requestState":"`+state+`",`); !strings.Contains(r.body, "-32602") {
		t.Errorf("the state is still good: %s", r.body)
	}
	eventually(t, "nothing is parked", func() bool { return g.Held().Parked == 0 })
}

// TestAnonymousIsInNoGroup decides about everybody while nobody signs in.
func TestAnonymousIsInNoGroup(t *testing.T) {
	g := govern(t, upstreamtest.Script{Tools: []string{issueTool}, Reply: echo}, `
		permit(principal == User::"anonymous", action, resource); forbid(principal in Group::"staff", action, resource);`,
		func(o *aggregator.Options) { o.Authenticate = nil })
	if r := g.call(upstream.ModernEra, "up_create_issue", `{"repo":"web"}`); !strings.Contains(r.body, `"got"`) {
		t.Errorf("it gets %s", r.body)
	}
	if n := len(g.Denials(oauth.Anonymous)); n != 0 {
		t.Errorf("remembered are %d", n)
	}
}
