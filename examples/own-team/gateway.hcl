# People change the repositories of their own team, and only those: what belongs to
# whom is in teams.json, and one policy says the rest. Entra is the stand-in that comes
# with mcpagg, and the server is a small one that is like GitHub's. Both are started by
#
#   examples/own-team/run.sh

locals {
  entra = env("ENTRA_DEMO", "http://127.0.0.1:9400")
}

server {
  listen = "127.0.0.1:8082"
}

auth "entra" "demo" {
  tenant_id     = "10000000-7e57-4000-8000-000000000001"
  client_id     = "20000000-7e57-4000-8000-0000000000c4"          # the app that the gateway is
  client_secret = env("DEMO_BROKER_SECRET", "demo-broker-secret") # as everybody knows it, it is none
  ephemeral     = true

  custom_cloud {
    authority = local.entra
    sts       = "${local.entra}/sts"
    graph     = "${local.entra}/graph"
  }

  graph {
    client_id     = "20000000-7e57-4000-8000-0000000000c2"
    client_secret = env("DEMO_GRAPH_SECRET", "demo-graph-secret")
  }
}

# The teams are groups of the directory.
group "platform" {
  id = "30000000-7e57-4000-8000-000000000001"
}

group "data" {
  id = "30000000-7e57-4000-8000-000000000002"
}

policy {
  dir          = "policies"
  entities     = ["teams.json", "teams.cedarschema"]
  deny_message = "Ask for access at https://access.contoso.com/mcp"

  # Policies find the repository that a call is about as context.target. GitHub does
  # not tell upper from lower case in names, so both have to be the same here.
  bind "target" {
    type = "Repo"
    id   = "${lower(input.owner)}/${lower(input.repo)}"
  }
}

upstream "github" {
  command   = ["go", "run", "."]
  dir       = "../enterprise/github"
  env       = { GITHUB_PERSONAL_ACCESS_TOKEN = "example" } # it only looks whether there is one
  isolation = "shared"                                     # one for all people: they have its repositories in common
  trust     = "hints"                                      # policies believe its tools that they only read

  # The first time, Go has to build it.
  connect_timeout = "2m"
}
