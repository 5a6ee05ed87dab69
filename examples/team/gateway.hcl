# A gateway for a team, with most of what a configuration can say. It needs npx,
# GITHUB_TOKEN and WIKI_KEY in the environment, and a key vault:
#
#   mcpagg validate -c examples/team/gateway.hcl
#   mcpagg config show -c examples/team/gateway.hcl

locals {
  domain = "contoso.com"

  # One wiki per department, all of one kind.
  wikis = {
    wiki-sales  = "sales"
    wiki-people = "people"
  }
}

server {
  listen = "127.0.0.1:8080"
  admin  = "127.0.0.1:9090" # /health/ready
  drain  = "30s"

  # A web application that may use the gateway from a browser.
  allowed_origins = ["https://inspector.${local.domain}"]

  # The reverse proxy in front of the gateway, which is what clients connect to.
  public_url      = "https://mcp.${local.domain}"
  trusted_proxies = ["127.0.0.1/32"]

  limits {
    request_bytes    = "4MiB"
    response_bytes   = "16MiB"
    calls_per_minute = 600
  }
}

# Where secrets are kept; they are fetched when they are used, and can change.
secrets "azure_key_vault" "kv" {
  url = "https://contoso-mcp.vault.azure.net"
  ttl = "15m"
}

# Who is signed in outlives a restart here, encrypted.
store {
  dir = "/var/lib/mcpagg"
  key = secret("kv", "mcpagg-store")
}

# People sign in with Microsoft Entra. The gateway signs them in itself, as one app
# with one redirect URI: public_url with /oauth2/callback behind it.
auth "entra" "contoso" {
  mode          = "broker" # the default
  tenant_id     = "6c1f6c8e-0000-0000-0000-000000000000"
  client_id     = "0b7a2f1c-0000-0000-0000-000000000000"
  client_secret = secret("kv", "mcpagg-entra")
  scopes        = ["mcp.access"]
  scope_texts   = { "mcp.access" = "use the tools of your team" }
  access_ttl    = "15m" # so soon a change of somebody's groups, or their leaving, counts

  # Somebody in more than 200 groups has a token that does not list them.
  group_overage  = "graph"
  groups_max_age = "5m"
  graph {
    client_id     = "5e8c4d2a-0000-0000-0000-000000000000"
    client_secret = secret("kv", "mcpagg-graph")
  }
}

group "platform" {
  id = "4f1c2d3e-0000-0000-0000-000000000001"
}

# A client that is known by the URL of a document about it,
app "vscode" {
  client_id = "https://vscode.dev/oauth/client-metadata.json"
}

# and one that is set up here, and need not register.
app "portal" {
  client_id = "portal"
  name      = "Contoso portal"
  redirects = ["https://portal.contoso.com/callback"]
}

# Who may use what: the policies in policies/. They call groups and apps by the labels
# above.
policy {
  dir          = "policies"
  deny_message = "Ask for access at https://access.contoso.com/mcp"
}

# What they decide, and why, one line for each request.
audit "file" "main" {
  path = "/var/log/mcpagg/audit.jsonl"
}

# Model APIs take names of up to 64 characters, of which clients use some.
names {
  max       = 50
  separator = "_"
}

# What every upstream has that does not say otherwise.
defaults "upstream" {
  connect_timeout = "15s"
  call_timeout    = "60s"
  tools_grace     = "10m"
}

# A server at a URL, with a shorter prefix for its tools: gh_open_issue.
upstream "github" {
  url          = "https://api.githubcopilot.com/mcp/"
  token        = env("GITHUB_TOKEN")
  prefix       = "gh"
  tags         = ["scm", "production"]
  trust        = "hints" # policies believe its tools that they only read
  protocol     = "auto"
  call_timeout = "2m"

  tools {
    allow = ["*"]
    deny  = ["delete_*", "merge_pull_request"]

    # Issues are opened in our own organization only, and always in a named
    # repository. Clients do not see the argument "owner".
    override "create_issue" {
      name        = "open_issue"
      description = "Open an issue in one of our repositories."

      annotations {
        read_only   = false
        destructive = false
      }

      arguments {
        require = ["repo"]
        set     = { owner = "contoso" }
      }
    }
  }
}

# A server that is a program. dir, like any path here, is relative to the folder
# of this file.
upstream "memory" {
  command = ["npx", "-y", "@modelcontextprotocol/server-memory"]
  dir     = "."
  env     = { MEMORY_FILE_PATH = env("MEMORY_FILE_PATH", "/tmp/memory.json") }
  tags    = ["data"]
}

# One upstream for each of the wikis above, with a header of its own.
dynamic "upstream" {
  for_each = local.wikis
  labels   = [upstream.key]
  content {
    url   = "https://${upstream.value}.wiki.${local.domain}/mcp"
    tags  = ["docs"]
    trust = "hints"
    headers = {
      X-Api-Key    = env("WIKI_KEY")
      X-Department = upstream.value
    }

    tools {
      allow = ["search_*", "read_*"]
    }
  }
}
