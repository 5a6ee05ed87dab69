# Two small MCP servers that come with mcpagg, behind one URL. Nothing else
# needs to be installed:
#
#   mcpagg serve -c examples/quickstart/gateway.hcl
#
# Without sign-in, the gateway listens on this machine only, at
# http://127.0.0.1:8080/mcp, and everybody there may call every tool.

# Every upstream block is one MCP server. This one is a program: the gateway
# starts it, speaks to it over standard input and output, and stops it again.
# "mcpagg" stands for the gateway's own program.
upstream "notes" {
  command = ["mcpagg", "dev", "upstream", "notes"]
}

# Clients see all tools in one list. The label comes first in their names, so
# that they never collide: notes_add, notes_list, clock_now.
upstream "clock" {
  command = ["mcpagg", "dev", "upstream", "clock"]
}
