package replay_test

import (
	"cmp"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/aggregator/audit"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/policytest"
	"github.com/mcpagg/mcpagg/policy/replay"
	"github.com/mcpagg/mcpagg/policy/source"
)

// file is an audit file on the disk.
func file(path string) replay.Log {
	return replay.Log{Name: filepath.Base(path), Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// recorded is what the gateway writes of a decision.
func recorded(r *policy.Request, d *policy.Decision) audit.Record {
	p := r.Principal
	told := audit.Principal{
		Groups: p.Groups, GroupIDs: p.GroupIDs, Unresolved: p.Unresolved, Roles: p.Roles, Scopes: p.Scopes, Guest: p.Guest,
		MFA: slices.Contains(p.Auth.Methods, "mfa"), Contexts: p.Auth.Contexts,
	}
	if !p.GroupsKnown {
		told.GroupsUnknown = cmp.Or(p.GroupsWhy, "?")
	}
	if !p.Auth.Time.IsZero() {
		told.SignedIn = p.Auth.Time.Format(time.RFC3339Nano)
	}
	o := r.Object.Entity()
	upstream := r.Object.Upstream()
	record := audit.Record{
		Time: r.Now, Kind: audit.KindDecision, Decision: audit.Deny, Action: string(r.Object.Action().ID),
		Caller: callerOf(p), Name: p.Name, Client: p.Client, Upstream: upstream, Object: string(o.UID.ID)[len(upstream)+1:],
		Why: d.Why, Policies: d.Digest, Principal: &told, Earlier: &audit.Earlier{Calls: r.Session.Calls, Labels: r.Session.Labels},
		Looked: d.Looked, Arguments: r.Raw,
	}
	if r.IP.IsValid() {
		record.IP = r.IP.String()
	}
	if d.Allow {
		record.Decision = audit.Allow
	}
	for _, reason := range d.Reasons {
		record.Reasons = append(record.Reasons, audit.Reason(reason))
	}
	return record
}

func callerOf(p *policy.Principal) string {
	kind := types.EntityType("User")
	if p.Workload {
		kind = "Workload"
	}
	return types.NewEntityUID(kind, types.String(p.ID)).String()
}

// A trial is a request that one engine decided, and that another is asked about.
type trial struct {
	request *policy.Request
	other   *policy.Engine
	text    string // the other's policies
}

// trials decides random requests by random policies, and writes what the gateway would.
func trials(t *testing.T, seed uint64, n int, mode audit.Arguments) ([]trial, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log, err := audit.Open(audit.Options{Path: path, Arguments: mode, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g := policytest.NewGenerator(seed)
	var all []trial
	for len(all) < n {
		c, next := g.Case(), g.Case()
		if c.Facts != next.Facts {
			continue
		}
		skip := g.IntN(2) == 0
		engine, err := c.Engine(skip)
		if err != nil {
			t.Fatal(err)
		}
		other, err := next.Engine(skip)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Request()
		if err != nil {
			t.Fatal(err)
		}
		record := recorded(r, engine.Decide(r))
		record.Reference = strconv.Itoa(len(all))
		if !log.Add(record) {
			t.Fatal("the record was not taken")
		}
		all = append(all, trial{r, other, next.Policies})
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return all, path
}

// TestClaims compares what can be claimed of random requests, as they are in the audit
// file, with what other random policies decide of the requests themselves. With all
// arguments, most has to be certain.
func TestClaims(t *testing.T) {
	for mode, least := range map[audit.Arguments]int{audit.None: 30, audit.Hashed: 50, audit.Full: 85} {
		t.Run(string(mode), func(t *testing.T) {
			all, path := trials(t, 3, 3000, mode)
			certain, random := 0, rand.New(rand.NewPCG(5, 5))
			read, err := replay.Each([]replay.Log{file(path)}, time.Time{}, func(r *replay.Record) error {
				i, err := strconv.Atoi(r.Reference)
				if err != nil {
					return err
				}
				if checkClaim(t, r, all[i]) {
					certain++
				}
				checkClaim(t, forget(random, r), all[i])
				return nil
			})
			if err != nil || read.Decisions != len(all) || read.Broken > 0 {
				t.Fatalf("read %+v, %v", read, err)
			}
			t.Logf("%d of %d are certain", certain, len(all))
			if certain*100 < least*len(all) {
				t.Errorf("%d of %d are certain, want %d %%", certain, len(all), least)
			}
		})
	}
}

// forget is a record that tells less, such as one of an earlier gateway.
func forget(random *rand.Rand, r *replay.Record) *replay.Record {
	less := *r
	if random.IntN(2) == 0 {
		less.Principal = nil
	}
	if random.IntN(2) == 0 {
		less.Earlier = nil
	}
	if random.IntN(4) == 0 {
		less.Mode = ""
	}
	if r.Arguments != nil && random.IntN(2) == 0 {
		less.Arguments, less.Bytes = nil, len(r.Arguments)
	}
	less.Looked = map[string]json.RawMessage{}
	for path, v := range r.Looked {
		if string(v) != "null" && random.IntN(4) > 0 {
			less.Looked[path] = v
		}
	}
	return &less
}

// checkClaim reports whether something is claimed of a trial, which has to be right.
func checkClaim(t *testing.T, r *replay.Record, of trial) bool {
	t.Helper()
	past := replay.PastOf(r, of.request.Object, nil)
	if past == nil {
		t.Fatalf("%s: nothing is known", r.Place())
	}
	j, d := of.other.Judge().Of(past), of.other.Decide(of.request)
	if d.Allow && !j.MayAllow || !d.Allow && !j.MayDeny {
		raw, _ := json.Marshal(r)
		t.Fatalf("%s may allow %v, deny %v, and it is %v (%s)\n%s\n%s\n%s", of.request.Object, j.MayAllow, j.MayDeny, d.Allow, d.Why, of.text, of.request.Raw, raw)
	}
	if !j.Certain() && len(j.Lacks) == 0 {
		t.Fatalf("%s: it is not certain and nothing is lacking\n%s\n%s", of.request.Object, of.text, of.request.Raw)
	}
	return j.Certain()
}

// engineOf is an engine of policies.
func engineOf(tb testing.TB, text string) *policy.Engine {
	tb.Helper()
	policies, _, err := source.Parse([]source.File{{Name: "a.cedar", Text: []byte(text)}}, source.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	e, err := policy.New(policy.Options{Policies: policies, Digest: "new"})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}
