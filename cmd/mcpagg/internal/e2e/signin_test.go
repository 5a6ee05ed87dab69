//go:build e2e

package e2e

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// accessTTL is how long access tokens are good for: short enough to wait for
// their end, and long enough for a client to make a call on a busy machine.
const accessTTL = 8 * time.Second

// A signInClient is a real client that one user has in front of one gateway.
type signInClient interface {
	// signIn makes it sign in, for the first time or because it asks for it.
	signIn(t testing.TB)
	// use has it list the tools and call them with a message, and returns the names
	// of the tools and what the calls gave.
	use(t testing.TB, message string) (tools, results []string)
	// refused has it try to use the tools when its tokens are no longer good for
	// anything, and returns in words what it does and whether that is to ask its
	// user to sign in.
	refused(t testing.TB) (how string, asks bool)
}

// A seat is a user in front of a gateway, with a home.
type seat struct {
	sandbox
	user    string
	gateway string      // URL of the MCP endpoint
	id      string      // the client id that the gateway knows it by; "" if it knows none
	port    *sync.Mutex // held while a client is called back at a port that all of its kind have
}

// processors bounds how many clients work at the same time.
var processors = make(chan struct{}, 3)

// run and try wait for a processor first.
func (s seat) run(t testing.TB, env []string, argv ...string) string {
	t.Helper()
	processors <- struct{}{}
	defer func() { <-processors }()
	return s.sandbox.run(t, env, argv...)
}

func (s seat) try(t testing.TB, env []string, argv ...string) (stdout, stderr string, code int) {
	t.Helper()
	processors <- struct{}{}
	defer func() { <-processors }()
	return s.sandbox.try(t, env, argv...)
}

// login runs a program that signs in and then ends. It must have a browser, and
// print something.
func (s seat) login(t testing.TB, want string, env []string, argv ...string) {
	t.Helper()
	processors <- struct{}{}
	defer func() { <-processors }()
	d := s.start(t, nil, append(s.withBrowser(t, s.user), env...), argv...)
	select {
	case <-d.exited:
	case <-time.After(time.Minute):
	}
	if text := d.stderr.String(); !regexp.MustCompile(want).MatchString(text) {
		t.Fatalf("%s ends with %v and without %q:\n%s\nthe browser says: %s", strings.Join(argv, " "), d.err, want, excerpt(text, 30), s.browserSays())
	}
}

// signInClients are those of the matrix. The redirect URIs of some are those of
// the programs that use them, here those of these tests.
var signInClients = []struct {
	name         string
	ownRedirects bool
	open         func(testing.TB, seat) signInClient
}{
	{"Claude Code 2.1.330", true, openClaude},
	{"OpenCode 1.18.33", true, openOpenCode},
	{"mcp-remote 0.15.1", true, openRemote},
	{"MCP Inspector 2.12.0", true, openInspector},
	{"TypeScript SDK 1.32.2", false, openTypeScript("1")},
	{"TypeScript client 2.4.0", false, openTypeScript("2")},
	{"Go SDK 1.8.0", false, openGo},
}

// A signInMode is a way in which a gateway has people sign in.
type signInMode struct {
	name  string
	title string // in the table
	open  func(testing.TB) (*signInGateway, provider)
	// ttl is how long access tokens are good for, and atOnce says that they end when
	// the user's sign-in does.
	ttl    time.Duration
	atOnce bool
	// fixed are clients whose ids the gateway knows beforehand.
	fixed map[string]string
}

var signInModes = []signInMode{
	{"broker", "`broker`, Entra", openBroker(brokeredEntra), brokerTTL, true, fixedClients},
	{"broker with another provider", "`broker`, oidc-provider", openBroker(brokeredOpenID), brokerTTL, true, fixedClients},
	{"entra-compat", "`entra-compat`", openEntraCompat("access_token"), accessTTL, false, nil},
	{"entra-compat with ID tokens", "`entra-compat`, ID tokens", openEntraCompat("id_token"), accessTTL, false, nil},
	{"resource-server", "`resource-server`", openResourceServer, accessTTL, false, nil},
}

// A provider is an identity provider that keeps a journal.
type provider interface {
	// journal is what has been asked of it so far, in order.
	journal() []journalEntry
	// asks are the user's requests for a code that clients made, of the provider or
	// of what stands before it.
	asks(user string) []journalEntry
	// endRefresh makes it refuse all refresh tokens that a user has so far.
	endRefresh(t testing.TB, user string)
}

// about selects the entries of a journal about a user.
func about(user string, entries []journalEntry) []journalEntry {
	return slices.DeleteFunc(entries, func(e journalEntry) bool { return e.User != user })
}

// requests selects those that ask for a code.
func requests(entries []journalEntry) []journalEntry {
	return slices.DeleteFunc(entries, func(e journalEntry) bool { return e.Redirect == "" || e.Route == "token" })
}

// A journalEntry is one request to a provider. Members are "" where they do not
// matter or are not known.
type journalEntry struct {
	Route    string // "registration", "authorization", "resume" or "token"
	At       time.Time
	User     string
	Grant    string // of a request to the token endpoint
	Prompt   string
	Scope    string
	Resource string
	Redirect string
	Client   string   // its id
	Error    string   // that it was answered with
	Secrets  []string // that were in the request or in the answer
}

func (e journalEntry) String() string {
	return strings.Join(strings.Fields(e.Route+" "+e.Grant+" "+e.User), " ")
}

// TestSignIn has every client sign in in every mode.
func TestSignIn(t *testing.T) {
	t.Parallel()
	m := &matrix{}
	ports := map[string]*sync.Mutex{}
	for _, c := range signInClients {
		ports[c.name] = new(sync.Mutex)
	}
	var modes sync.WaitGroup
	for _, mode := range signInModes {
		// Parallel subtests would wait for a free processor while they wait for
		// tokens to end.
		modes.Go(func() {
			t.Run(mode.name, func(t *testing.T) {
				g, p := mode.open(t)
				var cells sync.WaitGroup
				for _, c := range signInClients {
					cells.Go(func() {
						t.Run(c.name, func(t *testing.T) {
							cell := &cell{row: m.row(c.name, mode.name), mode: mode, provider: p}
							cell.seat = seat{newSandbox(t), userName(c.name), g.public, mode.fixed[c.name], ports[c.name]}
							cell.run(t, c.open(t, cell.seat))
						})
					})
				}
				cells.Wait()
				g.checkSecrets(t, p)
			})
		})
	}
	modes.Wait()
	m.check(t)
}

// userName makes a name for the user of a client.
func userName(client string) string {
	name, _, _ := strings.Cut(strings.ToLower(client), " ")
	return name + "-" + strings.NewReplacer(" ", "-", ".", "-").Replace(client[strings.LastIndex(client, " ")+1:])
}

// A cell is one client in one mode.
type cell struct {
	seat
	row      *row
	mode     signInMode
	provider provider
}

func (c *cell) run(t *testing.T, client signInClient) {
	c.signIn(t, func() { client.signIn(t) })
	c.row.done(stepSignIn)
	c.use(t, client, "first")
	c.row.done(stepUse)

	before := c.granted("refresh_token")
	c.awaitExpiry(t)
	c.use(t, client, "after the token's end")
	if c.granted("refresh_token") == before {
		t.Fatal("the provider has seen no refresh")
	}
	c.row.done(stepRefresh)

	c.provider.endRefresh(t, c.user)
	if !c.mode.atOnce {
		c.awaitExpiry(t)
	}
	c.signIn(t, func() {
		how, asks := client.refused(t)
		if c.row.Refused = how; asks {
			c.row.done(stepRefused)
		}
		client.signIn(t)
	})
	c.use(t, client, "after signing in again")
	c.row.done(stepAgain)
	c.row.note(t, c.provider.asks(c.user))
}

// signIn does something that has to make the user sign in.
func (c *cell) signIn(t testing.TB, work func()) {
	t.Helper()
	before := c.granted("authorization_code")
	work()
	if c.granted("authorization_code") == before {
		t.Fatalf("the provider has given no token for a code\nthe browser says: %s", c.browserSays())
	}
}

func (c *cell) use(t testing.TB, client signInClient, message string) {
	t.Helper()
	message = c.user + " " + message
	tools, results := client.use(t, message)
	for _, want := range upstreamTools {
		if !slices.ContainsFunc(tools, func(name string) bool { return strings.HasSuffix(name, want) }) {
			t.Fatalf("%s: no %s among %v", message, want, tools)
		}
	}
	for i, want := range upstreamTools {
		if len(results) != len(upstreamTools) || !strings.Contains(results[i], message) {
			t.Fatalf("%s: %s gives %q", message, want, results)
		}
	}
}

// entries are those of the provider's journal about the user.
func (c *cell) entries() []journalEntry { return about(c.user, c.provider.journal()) }

// tokens are the answers in which the user got an access token.
func (c *cell) tokens() []journalEntry {
	return slices.DeleteFunc(c.entries(), func(e journalEntry) bool { return e.Route != "token" || e.Error != "" })
}

// granted counts the tokens that the user got by a grant.
func (c *cell) granted(grant string) int {
	return len(slices.DeleteFunc(c.tokens(), func(e journalEntry) bool { return e.Grant != grant }))
}

// awaitExpiry waits until none of the user's access tokens is good any more.
func (c *cell) awaitExpiry(t testing.TB) {
	t.Helper()
	tokens := c.tokens()
	end := tokens[len(tokens)-1].At.Add(c.mode.ttl + clockSkew + time.Second)
	select {
	case <-time.After(time.Until(end)):
	case <-t.Context().Done():
	}
}

// echoes are the calls that a user has the tools make.
func echoes(prefix, message string) []scriptedCall {
	var calls []scriptedCall
	for _, tool := range upstreamTools {
		calls = append(calls, scriptedCall{prefix + tool, object{"message": message}})
	}
	return calls
}
