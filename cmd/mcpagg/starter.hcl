# The MCP servers behind this gateway. After a change: mcpagg validate
#
# Every upstream is one MCP server. Its tools are published under its label:
# the tool "add" of the upstream "notes" is "notes_add".

# A small server that comes with mcpagg, so that there is something to try.
upstream "notes" {
  command = ["mcpagg", "dev", "upstream", "notes"]
}

# A server that is a program: the gateway starts it and speaks to it over
# standard input and output. The program gets the variables in env, and
# otherwise only PATH, HOME and LANG.
#
# upstream "files" {
#   command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"]
# }
#
# upstream "notion" {
#   command = ["npx", "-y", "@notionhq/notion-mcp-server"]
#   env     = { NOTION_TOKEN = env("NOTION_TOKEN") }
# }

# A server at a URL. Secrets stay out of this file: env() takes them from the
# environment, file() from a file.
#
# upstream "github" {
#   url   = "https://api.githubcopilot.com/mcp/"
#   token = env("GITHUB_TOKEN")
#
#   # Publish only some of its tools.
#   tools {
#     deny = ["delete_*"]
#   }
# }

# Where the gateway listens. This is the default.
#
# server {
#   listen = "127.0.0.1:8080"
# }

# People sign in with Microsoft Entra ID. Other machines may then reach the
# gateway, under the URL in server.public_url. The app registration has one
# redirect URI, of the platform Web: that URL with /oauth2/callback behind it.
#
# auth "entra" "contoso" {
#   tenant_id     = "6c1f6c8e-0000-0000-0000-000000000000"
#   client_id     = "0b7a2f1c-0000-0000-0000-000000000000"
#   client_secret = env("MCPAGG_ENTRA_SECRET")
# }

# Who may use which tools: policies in the language Cedar, in the files
# policies/*.cedar. Without this block everything is allowed; with people who sign
# in, it has to be there.
#
# policy {
#   dir = "policies"
# }
