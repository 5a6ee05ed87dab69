package aggregator

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// guard refuses requests that a web page of somebody else may have caused: a
// foreign Origin, or, on a loopback listener, a Host that DNS rebinding would
// leave (MCP "Security Warning" of the Streamable HTTP transport).
func (g *Gateway) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = &deadlineWriter{ResponseWriter: w}
		if !g.hostAllowed(r) {
			refuse(w, http.StatusForbidden, jsonrpc.CodeInvalidRequest, "the Host header does not name this gateway; use its address or set server.public_url")
			return
		}
		if origins := r.Header.Values("Origin"); len(origins) > 0 {
			origin := origins[0]
			if len(origins) > 1 || !g.originAllowed(origin, r.Host) {
				refuse(w, http.StatusForbidden, jsonrpc.CodeInvalidRequest, "requests from this Origin are not allowed; see server.allowed_origins")
				return
			}
			allowCrossOrigin(w.Header(), origin, r.Header.Get("Access-Control-Request-Headers"))
		}
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", "GET, POST, DELETE, OPTIONS")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gateway) hostAllowed(r *http.Request) bool {
	switch local := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		if !local.IP.IsLoopback() {
			return true
		}
	case net.Addr:
		if !isLoopback(local.String()) {
			return true
		}
	default:
		return true
	}
	return isLoopback(r.Host) || g.Catalog().PublicURL != nil && sameHost(r.Host, g.Catalog().PublicURL)
}

func (g *Gateway) originAllowed(origin, host string) bool {
	if slices.Contains(g.Catalog().AllowedOrigins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || origin != u.Scheme+"://"+u.Host {
		return false // more, or something else, than an origin
	}
	return strings.EqualFold(u.Host, host) || g.Catalog().PublicURL != nil && u.Scheme == g.Catalog().PublicURL.Scheme && sameHost(u.Host, g.Catalog().PublicURL)
}

// allowCrossOrigin lets the origin's pages read the answer. Of the headers that
// a preflight asks for, those with arguments are known by their beginning only.
func allowCrossOrigin(h http.Header, origin, asked string) {
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	allowed := "Authorization, Content-Type, Last-Event-ID, Mcp-Method, Mcp-Name, Mcp-Protocol-Version, Mcp-Session-Id"
	for name := range strings.SplitSeq(asked, ",") {
		if name = strings.TrimSpace(name); strings.HasPrefix(strings.ToLower(name), "mcp-param-") {
			allowed += ", " + name
		}
	}
	h.Set("Access-Control-Allow-Headers", allowed)
	h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate")
	h.Set("Access-Control-Max-Age", "600")
}

// isLoopback takes a host with or without a port.
func isLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// sameHost compares a Host header with a URL, whose port may be the default one.
func sameHost(host string, u *url.URL) bool {
	return strings.EqualFold(host, u.Host) || strings.EqualFold(host, u.Hostname()) && u.Port() == ""
}

// clientAddr is the address of the client. What proxies in front say of it
// counts as far as they are trusted.
func (g *Gateway) clientAddr(r *http.Request) string {
	addr, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		addr = r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if _, err := netip.ParseAddr(hop); err != nil || !g.trusted(addr) {
			break
		}
		addr = hop
	}
	return addr
}

// clientIP is clientAddr for policies and the audit file; the zero value without.
func (g *Gateway) clientIP(r *http.Request, c *configuration) netip.Addr {
	if c.Policy == nil && c.Audit == nil {
		return netip.Addr{}
	}
	ip, _ := netip.ParseAddr(g.clientAddr(r)) // of the zero value policies see nothing
	return ip.Unmap().WithZone("")
}

func (g *Gateway) trusted(addr string) bool {
	ip, err := netip.ParseAddr(addr)
	return err == nil && slices.ContainsFunc(g.Catalog().TrustedProxies, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}
