// Package config turns configuration files into checked options.
//
// [Load] reads every file, reports all mistakes of all of them at once, and
// returns the options of the packages that do the work:
//
//	c, err := config.Load([]string{"gateway.hcl"}, os.LookupEnv)
//	if err != nil {
//		return err // a *Mistakes, which prints each one with its place in the file
//	}
//	gateway := c.Gateway // an aggregator.Options
//
// The shape of the file is the block structs of blocks.go and authblocks.go:
// their tags name the attributes and defaults, their types check the values, and
// their comments are the reference in docs/configuration.md. A new attribute is a
// field there and a line in options.go, signin.go or broker.go.
//
// The package fills the structs itself instead of with gohcl, which panics on
// marked values; marks are how a value from the environment is kept out of
// everything that is printed.
package config

//go:generate go test -run TestReference -update .

import (
	_ "embed" // for schema.json
	"fmt"
	"path/filepath"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/policy"
)

// Config is everything a configuration says, checked.
type Config struct {
	Server Server
	// Gateway lacks Log, Version and Authenticate, and its upstreams lack
	// what the gateway gives them.
	Gateway aggregator.Options
	// Inputs are the files that all of it comes from.
	Inputs *Inputs
	// SignInFingerprint is equal where the configurations of one process say the same
	// of sign-in; "" if there is none.
	SignInFingerprint string
	// State says what keeps what has to outlive the gateway. It is not nil.
	State *State
	// Policy is what policies are decided by; nil if there is no policy block, and
	// everything is allowed.
	Policy *policy.Options
	// PolicyTests have to pass before the policies count; nil if none have to.
	PolicyTests *PolicyTests
	// PolicySet is what Policy was made of; nil if that is nil.
	PolicySet *PolicySet
	// PolicyPlaces are where policies were read from, as people know it, such as
	// policies/.
	PolicyPlaces []string
	// LabelsTTL is for how long callers have the labels of tools that they called.
	LabelsTTL time.Duration
	// Audit says where decisions are written, without the Log: one file or none.
	Audit []audit.Options
	// LockFile is the whole path of the mcpagg.lock that belongs to it, which need not
	// be there.
	LockFile string
	// Warnings are what its writer may not be aware of, though it is no mistake,
	// each in a sentence without a full stop.
	Warnings []string

	file    *fileBlock               // what the rest was made of
	secrets map[string]*secretSource // by name
}

// Server says where the gateway listens and how it stops.
type Server struct {
	// Listen and Admin are addresses for [net.Listen]; an empty Admin is not
	// listened on.
	Listen, Admin string
	// Socket is the path of the control socket, "" if there is no place for one.
	Socket string
	// SocketFrom is the attribute that says so, server.socket or store.dir, or
	// "" for the default.
	SocketFrom string
	// Drain is how long calls in flight may take to finish when it stops.
	Drain time.Duration
	// Watch says that changed files are loaded by themselves.
	Watch bool
}

// Load reads the configuration in paths, each a *.hcl or *.hcl.json file or a
// directory of them, as one. The function env looks an environment variable
// up, as [os.LookupEnv] does. The error is a [*Mistakes].
func Load(paths []string, env func(string) (string, bool)) (*Config, error) {
	return loadWith(paths, env, true)
}

// LoadUpstreams is [Load] for who wants to ask the upstreams and nothing else: what
// policies say is not looked at, and there is no Policy.
func LoadUpstreams(paths []string, env func(string) (string, bool)) (*Config, error) {
	return loadWith(paths, env, false)
}

func loadWith(paths []string, env func(string) (string, bool), policies bool) (*Config, error) {
	d := newDecoder(paths, env)
	d.emptyFolders = !policies
	files := d.parse(paths)
	if d.unreadable {
		return nil, d.finish()
	}
	var file fileBlock
	d.decodeFiles(files, &file)
	if policies {
		d.policies(&file)
	}
	reviewed := d.reviewed()
	if d.mistakes.Len() > 0 {
		return nil, d.finish()
	}
	d.connectSecrets(&file)
	c := &Config{
		Server: file.server(env), Gateway: file.gateway(), Inputs: d.inputs,
		SignInFingerprint: d.signInFingerprint(&file), Warnings: file.warnings(),
		LabelsTTL: noPolicyLabelsTTL, Audit: file.audits(), LockFile: d.lockFile(),
		file: &file, secrets: d.fetched.sources,
	}
	if file.Policy != nil {
		c.PolicyTests = file.Policy.tests
		c.PolicySet = file.Policy.set
		c.Policy, c.PolicyPlaces, c.LabelsTTL = file.Policy.made, file.Policy.places, file.Policy.LabelsTTL.value
	}
	pin(c.Gateway.Upstreams, reviewed)
	c.State = d.state(&file, c.Gateway.Upstreams)
	if c.Server.Socket != "" {
		c.Gateway.ContainerDir = filepath.Join(filepath.Dir(c.Server.Socket), "containers")
	}
	return c, nil
}

// Socket is where a gateway with the configuration in paths has its control
// socket, and the attribute that says so, as in [Server]. The configuration may
// have mistakes, as long as the place shows: what the gateway takes from its
// environment is often missing in that of others.
func Socket(paths []string, env func(string) (string, bool)) (path, from string, err error) {
	d := newDecoder(paths, env)
	var file fileBlock
	d.decodeFiles(d.parse(paths), &file)
	path, from = file.socket(env)
	if len(d.inputs.Files) == 0 || from != "" && path == "" {
		return "", "", d.finish()
	}
	return path, from, nil
}

// CheckListen reports why the gateway cannot listen for clients on an address, or
// nil, and CheckAdmin why it cannot serve metrics there. Other machines may reach
// it only where people sign in, and those who do must know it by a URL.
func (c *Config) CheckListen(addr string) error {
	if err := c.CheckAdmin(addr); err != nil {
		return err
	}
	if isReachable(addr) && c.file.Server.PublicURL.value == nil {
		return fmt.Errorf("%q can be reached from other machines, and clients are told where to sign in by the URL that they know the gateway under: set server.public_url", addr)
	}
	return nil
}

// CheckAdmin is described with [Config.CheckListen].
func (c *Config) CheckAdmin(addr string) error {
	problem, hint := addressProblem(addr)
	if problem == "" && isReachable(addr) && len(c.file.Auth) == 0 {
		problem, hint = reachProblem, reachHint(addr)
	}
	if problem != "" {
		return fmt.Errorf("%q %s%s", addr, problem, hint)
	}
	return nil
}

// CheckProfiles reports why the gateway cannot serve profiles of itself on an
// address: nobody signs in there, and who has them sees how the gateway works, and
// can slow it down.
func CheckProfiles(addr string) error {
	if addr == "" || !isReachable(addr) {
		return nil
	}
	return fmt.Errorf("%q can be reached from other machines, and nobody signs in to the admin address: profiles are served on loopback only.%s", addr, reachHint(addr))
}

//go:embed schema.json
var schemaJSON []byte

// Schema is a JSON schema of *.hcl.json files, for editors.
func Schema() []byte { return schemaJSON }
