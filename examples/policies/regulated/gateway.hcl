# A company under regulation: a cluster in production, and a database with personal data.
#
#   mcpagg policy test -c gateway.hcl --catalog catalog.json

server {
  listen     = "127.0.0.1:8443"
  public_url = "https://mcp.contoso.com"
}

auth "entra" "contoso" {
  mode      = "resource-server"
  tenant_id = "6c1f6c8e-0000-0000-0000-000000000000"
  client_id = "0b7a2f1c-0000-0000-0000-000000000000"
}

group "engineers" {
  id = "4f1c2d3e-0000-0000-0000-000000000001"
}

group "on-call" {
  id = "4f1c2d3e-0000-0000-0000-000000000002"
}

group "analysts" {
  id = "4f1c2d3e-0000-0000-0000-000000000003"
}

group "break-glass" {
  id = "4f1c2d3e-0000-0000-0000-000000000004"
}

policy {
  dir           = "policies"
  require_tests = true           # with others the gateway does not start, and keeps those it has
  catalog       = "catalog.json" # the tools that the tests are about
  deny_message  = "Ask for access at https://access.contoso.com/mcp"
  labels_ttl    = "24h"
}

audit "file" "main" {
  path = "/var/log/mcpagg/audit.jsonl"
}

upstream "cluster" {
  command = ["npx", "-y", "kubernetes-mcp-server@0.0.67"]
  tags    = ["production"]
  tools {
    allow = [
      "pods_list_in_namespace", "pods_log", "pods_delete", "pods_exec",
      "resources_get", "resources_list", "resources_scale",
    ]
  }
}

upstream "ledger" {
  command = ["npx", "-y", "mongodb-mcp-server@3.0.4"]
  tags    = ["personal-data"]
  tools {
    allow = ["find", "count", "list-collections", "aggregate-db", "update-many", "drop-collection"]

    # Whoever has called one of these has seen personal data, and is marked.
    override "find" {
      labels = ["personal-data"]
    }
    override "aggregate-db" {
      labels = ["personal-data"]
    }
  }
}

# What is asked here leaves the company.
upstream "web" {
  command = ["npx", "-y", "@upstash/context7-mcp@4.1.1"]
}
