package main

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/upstream"
)

// newMetrics is a registry of all that /metrics tells.
func newMetrics(o *operated) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&metrics{o},
	)
	return registry
}

// metrics reads all figures when they are asked for: nothing is counted twice.
// Only the labels of upstreams become labels, so that clients cannot make new
// series.
type metrics struct{ *operated }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mcpagg_"+name, help, labels, nil)
}

// The metrics, none of which changes.
var (
	buildInfo = describe("build_info", "Always 1; the labels say what is running.", "version", "goversion")

	upstreamUp       = describe("upstream_up", "Whether the gateway is connected to the upstream.", "upstream")
	upstreamState    = describe("upstream_state", "1 for the state the upstream is in, 0 for the others.", "upstream", "state")
	upstreamSince    = describe("upstream_state_since_timestamp_seconds", "When the upstream entered its state: where it is connected, the last connect.", "upstream")
	upstreamRestarts = describe("upstream_restarts_total", "How often the upstream was lost and came back.", "upstream")
	upstreamOwn      = describe("upstream_instances", "Connections or processes that sessions and callers have of their own.", "upstream")
	upstreamInFlight = describe("upstream_calls_in_flight", "Calls that are under way.", "upstream")
	upstreamCalls    = describe("upstream_calls_total", "Calls that have ended: answered, also with an error of the upstream's, or failed without an answer. Those whose caller left are neither.", "upstream", "outcome")
	upstreamDuration = describe("upstream_call_duration_seconds", "How long calls took that were answered, with the wait for a connection.", "upstream")
	upstreamEgress   = describe("upstream_egress_total", "Connections that containers with network = \"egress\" have asked for: allowed, or refused as not listed or because they could not be made.", "upstream", "outcome")

	sessionsOpen = describe("sessions", "Open sessions of clients of the revisions up to 2025-11-25.")
	streamsOpen  = describe("streams", "Streams that clients hold open to hear of changes.")

	brokerSessions   = describe("broker_sessions", "Sign-ins of people with a client, in the mode broker. There only in that mode, as the others of the broker are.")
	brokerKeyCreated = describe("broker_signing_key_created_timestamp_seconds", "When the key was made that the gateway signs its tokens with.")
	brokerStore      = describe("broker_store_writable", "Whether the gateway could keep lately what it has to: 0 if nobody can sign in.")
	brokerProvider   = describe("broker_provider_up", "Whether the identity provider gave tokens the last time that it was asked, or refused a person: 0 if it could not be asked, or did not take the gateway for its client.")

	blocksInForce = describe("blocks", "What the operator has stopped, such as people and tools.", "kind")

	catalogEntries    = describe("catalog_entries", "What is published.", "kind")
	catalogHidden     = describe("catalog_not_published", "Definitions of upstreams that are not published, such as those whose name is taken.")
	toolsDrifted      = describe("tools_drifted", "Tools that are not as they were reviewed, though others of their upstream were; see mcpagg lock.", "upstream")
	catalogGeneration = describe("catalog_generation", "Counts the changes of what is published.")

	decisions     = describe("decisions_total", "What was decided of requests: would_deny are those that were let through only since nothing is enforced.", "decision")
	auditLost     = describe("audit_lost_total", "Records that are not in the audit log, of calls that were refused for it and of what operators did. There only with an audit log, as the other of it is.")
	auditWritable = describe("audit_writable", "Whether the audit log can be written: once too much waits for it, calls are refused.")

	containerMemory      = describe("container_memory_bytes", "What the containers that run may use together.")
	containerMemoryLimit = describe("container_memory_limit_bytes", "What all containers may use together; 0 means any amount.")

	policyInfo     = describe("policy_info", "Always 1; the labels say which policies decide, and whether what they deny is denied. There only with policies.", "digest", "mode")
	policyCount    = describe("policies", "How many policies decide. There only with policies.")
	policyWarnings = describe("policy_warnings", "What of the policies does not fit the tools that are published, up to 20. There only with policies.")

	reloadSuccess = describe("config_last_reload_successful", "Whether the last attempt to load the configuration went well.")
	reloadTime    = describe("config_last_reload_success_timestamp_seconds", "When the configuration that is served was loaded.")
)

// Describe implements [prometheus.Collector]: what there is depends on the
// configuration, but it is always of the same kinds.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildInfo, upstreamUp, upstreamState, upstreamSince, upstreamRestarts, upstreamOwn, upstreamInFlight, upstreamCalls, upstreamDuration, upstreamEgress,
		sessionsOpen, streamsOpen, catalogEntries, catalogHidden, toolsDrifted, catalogGeneration, containerMemory, containerMemoryLimit, reloadSuccess, reloadTime,
		blocksInForce, brokerSessions, brokerKeyCreated, brokerStore, brokerProvider, decisions, auditLost, auditWritable,
		policyInfo, policyCount, policyWarnings,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge(buildInfo, 1, programVersion(), runtime.Version())
	catalog := m.gateway.Catalog()
	for _, u := range m.gateway.Upstreams() {
		collectUpstream(ch, gauge, counter, u)
		gauge(toolsDrifted, float64(len(catalog.Drifted(u.Name))), u.Name)
	}
	f := m.gateway.Figures()
	gauge(sessionsOpen, float64(f.Sessions))
	gauge(streamsOpen, float64(f.Streams))
	gauge(catalogEntries, float64(f.Tools), "tool")
	gauge(catalogEntries, float64(f.Prompts), "prompt")
	gauge(catalogEntries, float64(f.Resources), "resource")
	gauge(catalogEntries, float64(f.Templates), "template")
	gauge(catalogHidden, float64(f.Hidden))
	gauge(catalogGeneration, float64(f.Generation))
	gauge(containerMemory, float64(f.Memory))
	gauge(containerMemoryLimit, float64(f.MemoryLimit))
	blocks := m.signIns.kept.brake.Blocks()
	for _, kind := range brake.Kinds() {
		n := 0
		for _, b := range blocks {
			if b.Kind == kind {
				n++
			}
		}
		gauge(blocksInForce, float64(n), string(kind))
	}
	if b := m.signIns.brokerStatus(); b != nil {
		gauge(brokerSessions, float64(b.Sessions))
		gauge(brokerKeyCreated, seconds(b.KeyCreated))
		gauge(brokerStore, oneIf(b.LastError == ""))
		gauge(brokerProvider, oneIf(b.ProviderError == ""))
	}
	counter(decisions, f.Allowed, string(audit.Allow))
	counter(decisions, f.Denied, string(audit.Deny))
	counter(decisions, f.WouldDeny, string(audit.WouldDeny))
	if a := m.audit.status(); a != nil {
		counter(auditLost, uint64(a.Lost))
		gauge(auditWritable, oneIf(a.LastError == ""))
	}
	if p := m.policies.status(); p != nil {
		gauge(policyInfo, 1, p.Digest, p.Mode)
		gauge(policyCount, float64(p.Policies))
		gauge(policyWarnings, float64(len(p.Warnings)))
	}
	c := m.reloads.status()
	gauge(reloadSuccess, oneIf(c.Failure == nil))
	gauge(reloadTime, seconds(c.Loaded))
}

func collectUpstream(ch chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, uint64, ...string), u aggregator.UpstreamStatus) {
	gauge(upstreamUp, oneIf(u.State == upstream.Connected), u.Name)
	for _, s := range []upstream.State{upstream.Connecting, upstream.Connected, upstream.Lost, upstream.Stopped} {
		gauge(upstreamState, oneIf(u.State == s), u.Name, string(s))
	}
	gauge(upstreamSince, seconds(u.Since), u.Name)
	counter(upstreamRestarts, uint64(u.Restarts), u.Name)
	gauge(upstreamOwn, float64(u.Instances), u.Name)
	gauge(upstreamInFlight, float64(u.InFlight), u.Name)
	counter(upstreamCalls, u.Latency.Count(), u.Name, "answered")
	counter(upstreamCalls, u.Failed, u.Name, "failed")
	ch <- durations(u.Latency, u.Name)
	counter(upstreamEgress, u.EgressAllowed, u.Name, "allowed")
	counter(upstreamEgress, u.EgressRefused, u.Name, "refused")
}

// durations is a latency as a histogram, whose buckets hold those before them.
func durations(l upstream.Latency, label string) prometheus.Metric {
	buckets, n := map[float64]uint64{}, uint64(0)
	for i, bound := range upstream.LatencyBounds {
		n += l.Counts[i]
		buckets[bound.Seconds()] = n
	}
	return prometheus.MustNewConstHistogram(upstreamDuration, l.Count(), l.Sum.Seconds(), buckets, label)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
