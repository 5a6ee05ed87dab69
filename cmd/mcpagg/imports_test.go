package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mcpagg/mcpagg/"

// allowed lists, for each package, what of the module it may import.
var allowed = map[string][]string{
	"upstream/rawjson":              nil,
	"upstream":                      {"upstream/egress", "upstream/entry", "upstream/rawjson"},
	"upstream/entry":                nil,
	"upstream/egress":               nil,
	"upstream/upstreamtest":         {"upstream/rawjson"},
	"policy/ast":                    nil,
	"policy/typed":                  nil,
	"policy/syntax":                 nil,
	"policy/format":                 {"policy/syntax"},
	"policy/source":                 {"policy/ast", "policy/syntax"},
	"policy/schema":                 {"policy", "policy/ast", "policy/facts", "policy/source", "policy/typed"},
	"policy/check":                  {"policy", "policy/ast", "policy/facts", "policy/may", "policy/source", "policy/syntax", "policy/typed"},
	"policy/lsp":                    {"policy", "policy/check", "policy/format", "policy/source", "policy/syntax", "policy/typed"},
	"policy/replay":                 {"policy", "policy/ast", "policy/may", "policy/source", "policy/typed"},
	"policy/may":                    {"policy/ast", "policy/typed"},
	"policy/facts":                  {"policy/ast", "policy/source"},
	"policy/lock":                   nil,
	"policy/explain":                {"policy", "policy/ast", "policy/may", "policy/source", "policy/typed"},
	"policy/block":                  {"policy/source"},
	"policy/persona":                {"policy", "policy/ast", "policy/block", "policy/source"},
	"policy/suite":                  {"policy", "policy/ast", "policy/block", "policy/persona", "policy/source"},
	"policy/policytest":             {"policy", "policy/ast", "policy/facts", "policy/source", "policy/syntax", "policy/typed"},
	"policy/survey":                 {"policy", "policy/ast", "policy/explain", "policy/persona", "policy/source"},
	"policy":                        {"policy/ast", "policy/facts", "policy/may", "policy/source", "policy/typed"},
	"aggregator/audit":              nil,
	"aggregator/brake":              {"oauth/store"},
	"aggregator/labels":             {"oauth/store"},
	"oauth":                         {"oauth/entra"},
	"oauth/authserver":              {"oauth/pages", "oauth/redirect"},
	"oauth/broker":                  {"oauth", "oauth/authserver", "oauth/client", "oauth/clientdoc", "oauth/entra", "oauth/pages", "oauth/redirect", "oauth/store"},
	"oauth/client":                  nil,
	"oauth/clientdoc":               {"oauth/guard", "oauth/redirect"},
	"oauth/compat":                  {"oauth/authserver", "oauth/client", "oauth/entra", "oauth/redirect"},
	"oauth/entra":                   {"oauth/client"},
	"oauth/fakeentra":               nil,
	"oauth/guard":                   nil,
	"oauth/pages":                   nil,
	"oauth/redirect":                nil,
	"oauth/store":                   nil,
	"aggregator":                    {"aggregator/audit", "aggregator/brake", "aggregator/labels", "oauth", "policy", "policy/lock", "policy/source", "upstream", "upstream/rawjson"},
	"cmd/mcpagg/internal/config":    {"aggregator", "aggregator/audit", "policy", "policy/facts", "policy/lock", "policy/source", "policy/suite", "oauth", "oauth/broker", "oauth/client", "oauth/compat", "oauth/entra", "oauth/redirect", "oauth/store", "upstream", "upstream/egress", "cmd/mcpagg/internal/control", "cmd/mcpagg/internal/secrets"},
	"cmd/mcpagg/internal/cli":       nil,
	"cmd/mcpagg/internal/policycmd": {"aggregator", "cmd/mcpagg/internal/cli", "cmd/mcpagg/internal/workspace", "policy", "policy/ast", "policy/check", "policy/explain", "policy/format", "policy/lsp", "policy/persona", "policy/replay", "policy/schema", "policy/source", "policy/suite", "policy/survey", "policy/syntax", "policy/typed"},
	"cmd/mcpagg/internal/workspace": {"policy", "policy/source", "cmd/mcpagg/internal/cli", "cmd/mcpagg/internal/config"},
	"cmd/mcpagg/internal/importer":  {"cmd/mcpagg/internal/config"},
	"cmd/mcpagg/internal/control":   nil,
	"cmd/mcpagg/internal/secrets":   nil,
	"cmd/mcpagg/internal/bench":     nil,
	"cmd/mcpagg/internal/doctor":    {"oauth", "oauth/client", "oauth/entra"},
	"cmd/mcpagg/internal/e2e":       {"oauth/store"},
	"cmd/mcpagg":                    {"cmd/mcpagg/internal/workspace", "aggregator", "aggregator/audit", "aggregator/brake", "aggregator/labels", "cmd/mcpagg/internal/cli", "cmd/mcpagg/internal/config", "cmd/mcpagg/internal/control", "cmd/mcpagg/internal/doctor", "cmd/mcpagg/internal/importer", "cmd/mcpagg/internal/policycmd", "oauth", "oauth/broker", "oauth/compat", "oauth/entra", "oauth/fakeentra", "oauth/pages", "oauth/store", "policy", "policy/check", "policy/facts", "policy/lock", "policy/source", "policy/suite", "upstream", "upstream/egress", "upstream/entry", "upstream/rawjson"},
}

// readHCL are the packages that may import HCL.
var readHCL = []string{"cmd/mcpagg/internal/config", "policy/block"}

// TestImports keeps the arrows of CONTRIBUTING.md, and HCL where it is read.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		may, known := allowed[pkg]
		if !known && !strings.HasPrefix(pkg, "examples/") { // which import nothing of ours
			t.Errorf("package %s is not in the list of arrows", pkg)
		}
		for _, imported := range fields[1:] {
			if own, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(may, own) {
				t.Errorf("%s must not import %s", pkg, own)
			}
			if strings.HasPrefix(imported, "github.com/hashicorp/hcl/") && !slices.Contains(readHCL, pkg) {
				t.Errorf("%s must not import HCL; only %s do", pkg, strings.Join(readHCL, " and "))
			}
		}
	}
}
