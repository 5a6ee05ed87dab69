# Signing in with Microsoft Entra on one machine, without Microsoft: Entra is the
# stand-in that comes with mcpagg. Both are started by
#
#   make entra-demo
#
# With a tenant of your own, tenant_id, client_id and client_secret are other ones,
# there is no custom_cloud, and nothing is ephemeral. docs/entra.md has what to do in
# the tenant. compat.hcl is the same in the mode entra-compat.

locals {
  entra = env("ENTRA_DEMO", "http://127.0.0.1:9400")
}

server {
  listen = "127.0.0.1:8081"
}

auth "entra" "demo" {
  tenant_id     = "10000000-7e57-4000-8000-000000000001"
  client_id     = "20000000-7e57-4000-8000-0000000000c4"          # the app that the gateway is
  client_secret = env("DEMO_BROKER_SECRET", "demo-broker-secret") # as everybody knows it, it is none
  scope_texts   = { "mcp.access" = "use the notes and the clock of this demo" }
  ephemeral     = true # so that the demo leaves nothing behind

  custom_cloud {
    authority = local.entra
    sts       = "${local.entra}/sts"
    graph     = "${local.entra}/graph"
  }

  # Dave is in 300 groups, which are too many for a token. As this app, the gateway
  # asks Microsoft Graph for them.
  graph {
    client_id     = "20000000-7e57-4000-8000-0000000000c2"
    client_secret = env("DEMO_GRAPH_SECRET", "demo-graph-secret")
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
