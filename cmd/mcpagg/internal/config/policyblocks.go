package config

import (
	"time"

	"github.com/mcpagg/mcpagg/policy"
)

// noPolicyLabelsTTL is the default of labels_ttl where there is no policy block.
const noPolicyLabelsTTL = 24 * time.Hour

// Who may use which tools, with which arguments: policies in the language Cedar, in
// files of their own (`dir`), here (`inline`), or as ToolHive has them (`toolhive`);
// at least one of these, and they add up. What no policy permits is denied, and what
// one forbids is denied whatever else permits it. Without this block everything is
// allowed, so that it must be there as soon as there is an `auth` block. How to write
// them is in [policies](policies.md).
//
//	policy {
//	  inline       = "permit(principal, action, resource is Tool) when { resource.read_only };"
//	  deny_message = "Ask for access at https://access.contoso.com/mcp"
//	}
type policyBlock struct {
	header
	// A folder whose `*.cedar` files, and those in folders in it, are policies,
	// relative to the folder of the configuration file. A change of them is
	// loaded as one of the configuration is.
	Dir policyFolder `hcl:"dir"`
	// Policies that are written out here.
	Inline inlinePolicies `hcl:"inline"`
	// The authorization file of a ToolHive server, in JSON or YAML, relative to the
	// folder of the configuration file. Its policies count as they stand.
	ToolHive policyFile `hcl:"toolhive"`
	// The upstream whose tools policies mean that name a tool alone, as those for
	// ToolHive do: `Tool::"weather"`. Without it, the only upstream that there is; and
	// with several, tools are named with their upstream: `Tool::"github/create_issue"`.
	ToolHiveUpstream text `hcl:"toolhive_upstream"`
	// Files with entities of your own, relative to the folder of the configuration
	// file: `*.json` in Cedar's format for entities, and `*.cedarschema` that declare
	// their types.
	Entities policyFiles `hcl:"entities"`
	// With `observe` everything is let through, and what would have been denied is
	// said in the log and in audit records.
	Mode policyMode `hcl:"mode" default:"enforce"`
	// What a `forbid` does that cannot be evaluated for a request, for instance since
	// it looks at an argument that is not there: with `deny` it forbids, and with
	// `cedar` it is skipped, as Cedar itself has it. A `permit` that cannot be
	// evaluated permits nothing.
	OnError policyErrors `hcl:"on_error" default:"deny"`
	// A folder with policies that would be in effect instead of these: each request is
	// decided by them, too, and where they say something else, that is logged.
	Candidate policyFolder `hcl:"candidate"`
	// What somebody is told whose request is denied, if the policy that did it has no
	// `@deny_message`.
	DenyMessage text `hcl:"deny_message"`
	// Has the gateway take only policies whose tests pass, which are in `*_test.hcl` files
	// in `dir`, and at least one of them: with others it does not start, and one that runs
	// keeps the policies it has. It needs a `catalog`: upstreams that are down, or have
	// other tools than they had, neither keep the gateway from starting nor open it with
	// policies that nobody tested. `mcpagg policy test` says what is wrong.
	RequireTests boolean `hcl:"require_tests"`
	// The file with the tools that the tests are about, as `mcpagg catalog pull` writes it,
	// relative to the folder of the configuration file.
	Catalog catalogFile `hcl:"catalog"`
	// For how long a caller has the `labels` of tools that they called with a client.
	LabelsTTL duration    `hcl:"labels_ttl" default:"24h"`
	Binds     []bindBlock `hcl:"bind,block"`

	tests  *PolicyTests    // by decoder.policies; nil if none are required
	made   *policy.Options // by decoder.policies; nil if there are mistakes
	set    *PolicySet      // that it was made of
	places []string        // what policies were read from, as people know it
	warned []string        // what their writer may not be aware of, the first of it
	unsaid int             // how much more there is
}

// Makes an entity of arguments, which policies find in the context under the label:
// with this, `context.target` is such as `Repo::"contoso/web"`. Where policies look at
// it, a call is denied whose arguments lead to none of the `entities`.
//
//	bind "target" {
//	  type  = "Repo"
//	  id    = "${lower(input.owner)}/${lower(input.repo)}"
//	  tools = ["*/create_*"]
//	}
type bindBlock struct {
	header
	// The type of the entity.
	Type entityType `hcl:"type"`
	// Its id: text, and in it arguments by their path, such as `${input.repo}`, with
	// `lower()`, `upper()` or `trim()` around them if need be; here `trim()` takes off
	// ASCII white space only. Between two of them there has to be text, which neither may
	// hold.
	ID bindTemplate `hcl:"id"`
	// The tools that have it, as patterns of upstream and the upstream's own name.
	// Without it, those that declare all these arguments.
	Tools globs `hcl:"tools"`
}

// Where every decision, and what operators do, is written, of the kind `file`:
// one line of JSON each. There can be one.
//
//	audit "file" "main" {
//	  path      = "/var/log/mcpagg/audit.jsonl"
//	  arguments = "hashed"
//	}
type auditBlock struct {
	header
	// The file, relative to the folder of the configuration file. It and its folder
	// are made if need be, for nobody but the gateway's user. It must be given.
	Path path `hcl:"path"`
	// What is written of the arguments of calls: nothing, what tells equal ones from
	// others, or all of them.
	Arguments auditArguments `hcl:"arguments" default:"hashed"`
}
