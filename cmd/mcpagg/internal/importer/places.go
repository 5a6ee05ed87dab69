package importer

import "path/filepath"

// Places are where clients keep their servers: in a project's folder, and in the
// home directory.
func Places(project, home string) []string {
	var places []string
	for _, name := range []string{".mcp.json", ".vscode/mcp.json", ".cursor/mcp.json", "opencode.json", "opencode.jsonc"} {
		places = append(places, filepath.Join(project, name))
	}
	if home == "" {
		return places
	}
	for _, name := range []string{
		".claude.json",
		"Library/Application Support/Claude/claude_desktop_config.json",
		"AppData/Roaming/Claude/claude_desktop_config.json",
		".config/Claude/claude_desktop_config.json",
		"Library/Application Support/Code/User/mcp.json",
		"AppData/Roaming/Code/User/mcp.json",
		".config/Code/User/mcp.json",
		".cursor/mcp.json",
		".config/opencode/opencode.json",
		".config/opencode/opencode.jsonc",
	} {
		places = append(places, filepath.Join(home, name))
	}
	return places
}
