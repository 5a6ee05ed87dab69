package config

import "testing"

// TestPublicURLAsClientsWriteIt has URLs that clients write in another way, which
// compare them with what they are told.
func TestPublicURLAsClientsWriteIt(t *testing.T) {
	for written, want := range map[string]string{
		"https://MCP.Contoso.com":      "https://mcp.contoso.com",
		"https://mcp.contoso.com:443":  "https://mcp.contoso.com",
		"https://mcp.contoso.com:8443": "https://mcp.contoso.com:8443",
		"https://mcp.contoso.com:":     "https://mcp.contoso.com",
		"http://LOCALHOST:80":          "http://localhost",
		"https://[2001:DB8::1]:443":    "https://[2001:db8::1]",
	} {
		c := loadText(t, "server {\n  public_url = \""+written+"\"\n}")
		if got := c.Gateway.PublicURL.String(); got != want {
			t.Errorf("%s becomes %s, want %s", written, got, want)
		}
	}
}
