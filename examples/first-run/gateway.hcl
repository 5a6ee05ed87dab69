# First run: without auth it listens on loopback only, and without policy it allows everything, and says both.
upstream "files" {
  command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"]
}

upstream "github" {
  url   = "https://api.githubcopilot.com/mcp/"
  token = env("GITHUB_TOKEN")
}
