# The mode entra-compat, in which clients get the tokens of Entra, and the gateway has
# no secret and keeps nothing. Entra is the stand-in that comes with mcpagg:
#
#   ENTRA_DEMO_CONFIG=compat.hcl make entra-demo
#
# With a tenant of your own, tenant_id, client_id and audiences are other ones, and
# there is no custom_cloud. docs/entra.md has what to do in the tenant.

locals {
  entra = env("ENTRA_DEMO", "http://127.0.0.1:9400")
}

server {
  listen = "127.0.0.1:8081"
}

auth "entra" "demo" {
  mode      = "entra-compat"
  tenant_id = "10000000-7e57-4000-8000-000000000001"
  client_id = "20000000-7e57-4000-8000-0000000000c1"   # the app that clients sign in as
  audiences = ["20000000-7e57-4000-8000-0000000000a1"] # the app that has the scope
  scopes    = ["mcp.access"]

  custom_cloud {
    authority = local.entra
    sts       = "${local.entra}/sts"
    graph     = "${local.entra}/graph"
  }

  # Dave is in 300 groups, which are too many for a token. As this app, the gateway
  # asks Microsoft Graph for them.
  graph {
    client_id     = "20000000-7e57-4000-8000-0000000000c2"
    client_secret = env("DEMO_GRAPH_SECRET", "demo-graph-secret") # as everybody knows it, it is none
  }
}

# Groups have ids, which nobody can read. These are names for them.
group "platform" {
  id = "30000000-7e57-4000-8000-000000000001"
}

group "data" {
  id = "30000000-7e57-4000-8000-000000000002"
}

# Who may do what: everybody reads, and the two groups write.
policy {
  dir = "policies"
}

# Policies believe what these say of their tools, such as that one only reads.
defaults "upstream" {
  trust = "hints"
}

upstream "notes" {
  command = ["mcpagg", "dev", "upstream", "notes"]
}

upstream "clock" {
  command = ["mcpagg", "dev", "upstream", "clock"]
}
