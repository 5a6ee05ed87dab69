package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/control"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
)

// An operated gateway is one that runs, as its operator sees it.
type operated struct {
	gateway *aggregator.Gateway
	reloads *reloader
	signIns *signIns
	// policies says what they come to.
	policies *policyTeller
	started  time.Time
	audit    *auditLog
}

// listenControl makes the control socket. Only one that the configuration names
// is worth failing for: a second gateway needs none to serve.
func listenControl(s config.Server, log *slog.Logger) (net.Listener, error) {
	err := errors.New("neither XDG_STATE_HOME nor HOME is set")
	if s.Socket != "" {
		var ln net.Listener
		if ln, err = control.Listen(s.Socket); err == nil {
			return ln, nil
		}
		err = fmt.Errorf("making the control socket %s: %w", s.Socket, err)
	}
	if s.SocketFrom != "" {
		return nil, &exitError{Code: exitRunTime, Err: fmt.Errorf("%w; its place is from %s", err, s.SocketFrom)}
	}
	log.Warn("mcpagg status and reload cannot reach this gateway; give it a socket of its own with server.socket", "err", err)
	return nil, nil
}

// controlHandler serves the commands of the gateway's own user.
func controlHandler(o *operated) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, o.status()) })
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		asked := o.reloads.request(who(r))
		select {
		case <-asked.done:
			writeJSON(w, http.StatusOK, asked.result)
		case <-r.Context().Done(): // nobody waits, or the gateway stops
		}
	})
	mux.HandleFunc("GET /sessions", o.brokered(listSessions))
	mux.HandleFunc("POST /sessions/revoke", o.brokered(o.revokeSessions))
	mux.HandleFunc("POST /keys/rotate", o.brokered(o.rotateKeys))
	mux.HandleFunc("GET /blocks", o.listBlocks)
	mux.HandleFunc("POST /block", o.block)
	mux.HandleFunc("POST /unblock", o.unblock)
	return mux
}

// who is the user that sent a request to the control socket.
func who(r *http.Request) string {
	uid, ok := control.Peer(r.Context())
	if !ok {
		return "unknown"
	}
	return fmt.Sprintf("uid %d", uid)
}

// A status is what mcpagg status prints.
type status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`

	Config  configStatus  `json:"config"`
	Clients clientsStatus `json:"clients"`
	Catalog catalogStatus `json:"catalog"`
	Memory  memoryStatus  `json:"container_memory"`
	// SignIn are the identity providers; null if nobody signs in.
	SignIn []providerStatus `json:"sign_in"`
	// Broker is how the gateway does as an authorization server; null if it is none.
	Broker *brokerStatus `json:"broker"`
	// Audit is how the audit log does; null if there is none.
	Audit *auditStatus `json:"audit"`
	// Policy says which policies decide; null if everything is allowed.
	Policy *policyStatus `json:"policy"`
	// Blocks are what the operator has stopped, and BlocksKept says that they outlive
	// the gateway.
	Blocks     []brake.Block `json:"blocks"`
	BlocksKept bool          `json:"blocks_kept"`

	Upstreams []upstreamStatus `json:"upstreams"`
}

// A providerStatus says whether the tokens of an identity provider can be verified.
type providerStatus struct {
	Name    string    `json:"name"`
	Issuer  string    `json:"issuer"`
	Keys    int       `json:"keys"`
	Fetched time.Time `json:"keys_fetched,omitzero"`
	// LastError is why the keys could not be fetched lately. Those that are known
	// keep counting for a day.
	LastError     string   `json:"last_error,omitempty"`
	UnknownGroups []string `json:"unknown_groups,omitempty"` // aliases that the directory does not know
}

// A configStatus says which configuration is served.
type configStatus struct {
	Paths  []string  `json:"paths"` // of --config, whole
	Files  []string  `json:"files"` // that were read
	Digest string    `json:"digest"`
	Loaded time.Time `json:"loaded"`
	// RestartNeeded are the attributes whose change shows only after a restart.
	RestartNeeded []string `json:"restart_needed"`
	// Failure is why the last reload changed nothing.
	Failure *failure `json:"failure,omitempty"`
}

type clientsStatus struct {
	Sessions int `json:"sessions"`
	Streams  int `json:"streams"`
}

type catalogStatus struct {
	Generation uint64 `json:"generation"`
	Tools      int    `json:"tools"`
	Prompts    int    `json:"prompts"`
	Resources  int    `json:"resources"`
	Templates  int    `json:"templates"`
	Hidden     int    `json:"not_published"`
	Drifted    int    `json:"drifted"` // tools that are not as they were reviewed
}

// A memoryStatus is what the containers that run may use together, and what all
// may, in bytes; 0 means any amount.
type memoryStatus struct {
	Used  int64 `json:"used_bytes"`
	Limit int64 `json:"limit_bytes"`
}

// An upstreamStatus is one upstream's. The latency is that of calls that were
// answered, null before the first one.
type upstreamStatus struct {
	Name      string         `json:"name"`
	State     upstream.State `json:"state"`
	Since     time.Time      `json:"since"`
	Era       upstream.Era   `json:"era,omitempty"`
	Instances int            `json:"instances"`
	Most      int            `json:"max_instances"`
	Restarts  int            `json:"restarts"`
	InFlight  int            `json:"in_flight"`
	Calls     uint64         `json:"calls"`
	Failed    uint64         `json:"failed"`
	Latency   *latency       `json:"latency"`
	LastError string         `json:"last_error,omitempty"`
	Doing     string         `json:"doing,omitempty"` // what takes long, such as pulling an image
	Next      time.Time      `json:"next_attempt,omitzero"`
	// Drifted are the tools, by original name, that are not as they were reviewed.
	Drifted []string `json:"drifted,omitempty"`
}

// A latency is in milliseconds.
type latency struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
}

func (o *operated) status() status {
	f := o.gateway.Figures()
	s := status{
		Version: programVersion(), PID: os.Getpid(), Started: o.started, Config: o.reloads.status(),
		Clients: clientsStatus{f.Sessions, f.Streams},
		Catalog: catalogStatus{f.Generation, f.Tools, f.Prompts, f.Resources, f.Templates, f.Hidden, f.Drifted},
		Memory:  memoryStatus{f.Memory, f.MemoryLimit}, SignIn: providerStatuses(o.signIns.status()),
		Broker: o.signIns.brokerStatus(), Policy: o.policies.status(), Audit: o.audit.status(),
		Blocks: o.signIns.kept.brake.Blocks(), BlocksKept: o.signIns.kept.brake.Kept(),
	}
	catalog := o.gateway.Catalog()
	for _, u := range o.gateway.Upstreams() {
		s.Upstreams = append(s.Upstreams, upstreamStatus{
			Name: u.Name, State: u.State, Since: u.Since, Era: u.Era, Instances: u.Instances, Most: u.MaxInstances,
			Restarts: u.Restarts, InFlight: u.InFlight, Calls: u.Calls, Failed: u.Failed, Latency: latencyOf(u.Latency),
			LastError: u.LastError, Doing: u.Doing, Next: u.NextAttempt, Drifted: catalog.Drifted(u.Name),
		})
	}
	return s
}

func providerStatuses(providers []oauth.ProviderStatus) []providerStatus {
	var all []providerStatus
	for _, p := range providers {
		one := providerStatus{Name: p.Name, Issuer: p.Issuer, Keys: p.Keys, Fetched: p.Fetched, UnknownGroups: p.UnknownGroups}
		if p.Error != nil {
			one.LastError = p.Error.Error()
		}
		all = append(all, one)
	}
	return all
}

func latencyOf(l upstream.Latency) *latency {
	if l.Count() == 0 {
		return nil
	}
	ms := func(q float64) float64 { return float64(l.Quantile(q).Microseconds()) / 1000 }
	return &latency{ms(0.5), ms(0.95)}
}
