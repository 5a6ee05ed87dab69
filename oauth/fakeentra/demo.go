package fakeentra

import "fmt"

// A Demo is the data of the demonstration: people that differ in what matters to
// a gateway, and the app registrations that one needs.
type Demo struct {
	// API is the app that exposes mcp.access, and Client the public client that
	// people's programs use.
	API, Client App
	// Broker is the confidential app of a gateway that signs people in itself, at
	// port 8080 of this machine.
	Broker App
	// Graph is the confidential app that may ask Microsoft Graph about groups, and
	// Daemon a program that nobody is behind, with the app role Mcp.Agent.
	Graph, Daemon App
	// Groups are platform and data.
	Groups []Group
	// Users are alice (platform and data, role Mcp.Admin), bob (data), carol (a
	// guest), dave (300 groups, which is more than a token lists) and erin (disabled).
	Users []User
}

const (
	demoAPI    = "20000000-7e57-4000-8000-0000000000a1"
	demoClient = "20000000-7e57-4000-8000-0000000000c1"
	demoBroker = "20000000-7e57-4000-8000-0000000000c4"
	demoGraph  = "20000000-7e57-4000-8000-0000000000c2"
	demoDaemon = "20000000-7e57-4000-8000-0000000000c3"

	demoPlatform = "30000000-7e57-4000-8000-000000000001"
	demoData     = "30000000-7e57-4000-8000-000000000002"
)

// demoRedirects are the shapes of redirect URIs that MCP clients have.
var demoRedirects = []string{
	"http://localhost/callback",
	"http://localhost/oauth/callback",
	"http://localhost/oauth/callback/debug",
	"http://127.0.0.1/mcp/oauth/callback",
	"http://127.0.0.1/oauth/callback",
	"http://127.0.0.1/callback",
	"http://127.0.0.1/",
	"https://vscode.dev/redirect",
	"https://insiders.vscode.dev/redirect",
	"cursor://anysphere.cursor-mcp/oauth/callback",
}

// AddDemo adds the data of the demonstration, which is the same each time. Where it
// is there already, it becomes what it was.
func (s *Server) AddDemo() Demo {
	d := s.addDemoApps()
	d.Groups = []Group{
		s.AddGroup(Group{ID: demoPlatform, Name: "platform"}),
		s.AddGroup(Group{ID: demoData, Name: "data"}),
	}
	many := []string{demoData}
	for i := range 299 {
		many = append(many, s.AddGroup(Group{Name: fmt.Sprintf("project-%03d", i+1)}).ID)
	}
	admin := map[string][]string{demoAPI: {"Mcp.Admin"}, demoClient: {"Mcp.Admin"}, demoBroker: {"Mcp.Admin"}}
	for i, u := range []User{
		{Name: "alice", DisplayName: "Alice Young", Groups: []string{demoPlatform, demoData}, Roles: admin},
		{Name: "bob", DisplayName: "Bob Hansen", Groups: []string{demoData}},
		{Name: "carol", DisplayName: "Carol Guest", HomeTenant: id("tenant", "fabrikam.example")},
		{Name: "dave", DisplayName: "Dave Moreno", Groups: many},
		{Name: "erin", DisplayName: "Erin Okafor", Disabled: true},
	} {
		u.ID = fmt.Sprintf("40000000-7e57-4000-8000-%012d", i+1)
		u.Name += "@" + DefaultDomain
		d.Users = append(d.Users, s.AddUser(u))
	}
	return d
}

func (s *Server) addDemoApps() Demo {
	var redirects []Redirect
	for _, uri := range demoRedirects {
		redirects = append(redirects, Redirect{URI: uri, Platform: Native})
	}
	return Demo{
		API: s.AddApp(App{
			ClientID: demoAPI, Name: "MCP gateway", TokenVersion: 2, Scopes: []string{"mcp.access"}, AppRoles: []string{"Mcp.Admin", "Mcp.Agent"},
			AccessTokenGroups: true, Preauthorized: []string{demoClient}, OptionalClaims: []string{"acct", "idtyp"},
		}),
		Client: s.AddApp(App{
			ClientID: demoClient, Name: "MCP clients", Redirects: redirects, Permissions: []string{demoAPI + "/mcp.access"},
			AppRoles: []string{"Mcp.Admin"}, IDTokenGroups: true,
		}),
		Broker: s.AddApp(App{
			ClientID: demoBroker, Name: "MCP gateway, sign-in", Secrets: []string{"demo-broker-secret"}, AppRoles: []string{"Mcp.Admin"}, IDTokenGroups: true,
			Redirects: []Redirect{
				{URI: "http://localhost:8080/oauth2/callback", Platform: Web}, {URI: "http://127.0.0.1:8080/oauth2/callback", Platform: Web},
			},
		}),
		Graph: s.AddApp(App{
			ClientID: demoGraph, Name: "MCP gateway, groups", Secrets: []string{"demo-graph-secret"},
			Roles: map[string][]string{GraphApp: {"GroupMember.Read.All"}},
		}),
		Daemon: s.AddApp(App{
			ClientID: demoDaemon, Name: "Nightly agent", Secrets: []string{"demo-daemon-secret"},
			Roles: map[string][]string{demoAPI: {"Mcp.Agent"}},
		}),
	}
}
