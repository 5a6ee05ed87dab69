// Package suite runs tests of policies, which are written in files beside them:
//
//	persona "dev" { groups = ["platform"] }
//
//	test "engineers write issues" {
//	  as = "dev"
//	  call "github/create_issue" {
//	    input  = { owner = "contoso", repo = "web", title = "x" }
//	    expect = "allow"
//	    by     = ["engineers-open-issues"]
//	  }
//	}
//
// [Read] reads such files, and [Suite.Run] decides each case with an engine of its own,
// as the gateway would. A [Report] says what failed, and what no test looked at.
package suite

import (
	"net/netip"
	"time"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/block"
	"github.com/mcpagg/mcpagg/policy/persona"
)

// DefaultNow is the time of requests in tests that do not say one: a Thursday at noon,
// so that a test means the same whenever it runs.
func DefaultNow() time.Time { return time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC) }

// A Suite is all tests of some files. It does not change.
type Suite struct {
	// Personas are those of all files.
	Personas []*persona.Persona
	Tests    []*Test
}

// A Test is a test block: some cases, for the same callers in the same circumstances.
type Test struct {
	Name    string
	As      []*persona.Persona
	Now     time.Time
	IP      netip.Addr // the zero value for that of the persona
	Session policy.Session
	Cases   []*Case

	at block.Place
}

// File is the file that the test is in, and Line the line at which it begins.
func (t *Test) File() string { return t.at.File }

// Line is described with [Test.File].
func (t *Test) Line() int { return t.at.Line }

// A Verb is what a case does.
type Verb string

// The verbs of cases.
const (
	Call Verb = "call"
	Get  Verb = "get"
	Read Verb = "read"
	List Verb = "list"
)

// A Case is one request, or one list, and what must come of it.
type Case struct {
	Verb Verb
	// Name is what is called, got or read, by its origin or its published name. Of a list
	// it is what is listed: tools, prompts, resources or templates.
	Name string

	// Input are the arguments; nil for none.
	Input map[string]any
	// Expect is allow or deny; "" if nothing is said, which is a failure.
	Expect string
	// By are the ids of the policies that decide it, all of them; nil if they do not
	// matter.
	By []string
	// Message is what the caller is told of a denial, nil if that does not matter. It is ""
	// where they do not see what they asked for.
	Message *string

	// Includes and Excludes are names or patterns of what is in the list and what is
	// not, Count is how many are; -1 if that does not matter.
	Includes, Excludes []string
	Count              int

	at     block.Place
	places map[string]block.Place // of the values of attributes
	close  block.Place            // the end of the block
}

// Line is where the case begins.
func (c *Case) Line() int { return c.at.Line }
