# A public gateway: everybody reads documentation, with or without a sign-in of their
# own, at a pace that leaves something for others. Maintainers write it.
#
#   mcpagg policy test -c gateway.hcl --catalog catalog.json

server {
  listen     = "127.0.0.1:8080"
  public_url = "https://docs.contoso.com"
}

auth "entra" "contoso" {
  mode      = "resource-server"
  tenant_id = "6c1f6c8e-0000-0000-0000-000000000000"
  client_id = "0b7a2f1c-0000-0000-0000-000000000000"
}

group "maintainers" {
  id = "4f1c2d3e-0000-0000-0000-000000000001"
}

policy {
  dir          = "policies"
  deny_message = "This gateway is for reading documentation. See https://docs.contoso.com/mcp"
}

upstream "docs" {
  command = ["npx", "-y", "@upstash/context7-mcp@4.1.1"]
}

upstream "files" {
  command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"]
  tools {
    allow = ["read_text_file", "list_directory", "search_files", "get_file_info", "write_file"]
  }
}
