# A gateway for a team, with most of what a configuration can say. It needs npx,
# and GITHUB_TOKEN and WIKI_KEY in the environment:
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
    url  = "https://${upstream.value}.wiki.${local.domain}/mcp"
    tags = ["docs"]
    headers = {
      X-Api-Key    = env("WIKI_KEY")
      X-Department = upstream.value
    }

    tools {
      allow = ["search_*", "read_*"]
    }
  }
}
