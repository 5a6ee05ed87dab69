# A small team: shared files and a wiki. People sign in with Microsoft Entra, and who
# may do what follows from their groups.
#
#   mcpagg policy test -c gateway.hcl --catalog catalog.json

server {
  listen     = "127.0.0.1:8080"
  public_url = "https://mcp.contoso.com"
}

auth "entra" "contoso" {
  mode      = "resource-server"
  tenant_id = "6c1f6c8e-0000-0000-0000-000000000000"
  client_id = "0b7a2f1c-0000-0000-0000-000000000000"
}

group "team" {
  id = "4f1c2d3e-0000-0000-0000-000000000001"
}

group "leads" {
  id = "4f1c2d3e-0000-0000-0000-000000000002"
}

policy {
  dir          = "policies"
  deny_message = "Ask in the channel #mcp if you need this."
}

upstream "files" {
  command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/project"]
  tools {
    allow = ["read_text_file", "list_directory", "search_files", "write_file", "edit_file", "move_file"]
  }
}

upstream "wiki" {
  command = ["npx", "-y", "@notionhq/notion-mcp-server"]
  tools {
    allow = [
      "API-get-user", "API-retrieve-a-page", "API-retrieve-a-comment",
      "API-create-a-comment", "API-patch-page", "API-delete-a-block",
    ]
  }
}
