# The servers of a company in containers: one that is like GitHub's and speaks over
# standard input and output, and one that is like Atlassian's and speaks HTTP. One
# command builds their images and starts the gateway, with podman or docker:
#
#   make enterprise

server {
  listen = "127.0.0.1:8080"
}

containers {
  runtime = env("ENGINE", null) # or else podman, or docker, whichever is there
  memory  = "2GiB"              # what all of them may use together
}

# What every upstream has that does not say otherwise.
defaults "upstream" {
  connect_timeout = "30s"
  call_timeout    = "60s"
}

# Where secrets are fetched from when a server needs them: a folder with a file for
# each, as Kubernetes and systemd have one. It could be a Vault or a Key Vault.
secrets "file" "atlassian" {
  dir = env("SECRETS", "secrets")
}

# What may be called is up to the policies in policies/.
policy {
  dir = "policies"
}

# Containers have no privileges, no capabilities, a read-only root and no network,
# whatever is here. These reach one host each, through the gateway, and have less of
# everything else than they would otherwise.
upstream "github" {
  tags = ["scm", "production"]

  container {
    image   = "localhost/mcpagg-example/github:1"
    pull    = "never" # it is in no registry
    network = "egress"
    memory  = "64MiB"
    pids    = 64
    cpus    = 0.5

    # The value is on no command line, and mcpagg config show does not print it.
    env = { GITHUB_PERSONAL_ACCESS_TOKEN = env("GITHUB_PERSONAL_ACCESS_TOKEN") }

    egress {
      allow = ["api.github.com:443"]
    }
  }

  tools {
    # Nobody deletes a repository through the gateway.
    deny = ["delete_repository"]

    override "create_issue" {
      description = "Open an issue in one of Contoso's repositories."

      arguments {
        set = { owner = "contoso" }
      }
    }

    override "merge_pull_request" {
      annotations {
        destructive = true
      }
    }
  }
}

upstream "atlassian" {
  prefix = "" # its tools begin with jira_ and confluence_ already
  tags   = ["tracker", "wiki", "production"]

  container {
    image   = "localhost/mcpagg-example/atlassian:1"
    pull    = "never"
    port    = 8080 # it listens there for HTTP, at /mcp
    network = "egress"
    memory  = "128MiB"
    pids    = 64

    env = {
      JIRA_URL             = "https://contoso.atlassian.net"
      JIRA_USERNAME        = "gateway@contoso.com"
      JIRA_API_TOKEN       = secret("atlassian", "jira-token")
      CONFLUENCE_URL       = "https://contoso.atlassian.net/wiki"
      CONFLUENCE_API_TOKEN = secret("atlassian", "confluence-token")
    }

    egress {
      allow = ["contoso.atlassian.net:443"]
    }
  }

  tools {
    deny = ["confluence_delete_page"]

    # Deleting stays possible, under a name that says what it does, and clients
    # that ask before destructive calls ask.
    override "jira_delete_issue" {
      name        = "jira_delete_issue_forever"
      description = "Delete an issue, its comments and its attachments. It cannot be brought back."

      annotations {
        destructive = true
        idempotent  = true
      }
    }
  }
}

# A program beside them, as the gateway's own user.
upstream "notes" {
  command = ["mcpagg", "dev", "upstream", "notes"]
  tags    = ["example"]
}
