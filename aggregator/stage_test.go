package aggregator_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
)

// A stage has the clients, the gateway and the upstreams of one transcript.
type stage struct {
	t       *testing.T
	gateway *aggregator.Gateway
	actors  map[string]actor
	inOrder []actor
}

// An actor is a client or an upstream.
type actor interface {
	// act does what a line says after "NAME> ".
	act(line string)
	// expect returns what has come, as the line after "NAME< " that would
	// expect it; line says what to wait for.
	expect(line string) string
	// rest is what came and no line has expected.
	rest() []string
}

// newStage builds what the setup of a transcript describes.
func newStage(t *testing.T, setup string) *stage {
	t.Helper()
	s := &stage{t: t, actors: map[string]actor{}}
	var ups []*upstreamActor
	var clients [][]string
	for line := range strings.Lines(setup) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case key == "" || key[0] == '#':
		case key == "upstream":
			ups = append(ups, newUpstreamActor(t, strings.Fields(value)))
		case key == "client":
			clients = append(clients, strings.SplitN(value, " ", 3))
		case len(ups) == 0 && key != "":
			t.Fatalf("setup: %q ahead of the first upstream", key)
		default:
			ups[len(ups)-1].configure(key, value)
		}
	}
	var opts aggregator.Options
	for _, u := range ups {
		opts.Upstreams = append(opts.Upstreams, u.start())
		s.add(u.name, u)
	}
	sealed := &states{}
	gateway, url := start(t, opts)
	s.gateway = gateway
	for _, fields := range clients {
		s.add(fields[0], newClientActor(t, url, fields, sealed))
	}
	return s
}

func (s *stage) add(name string, a actor) {
	s.actors[name] = a
	s.inOrder = append(s.inOrder, a)
}

// play performs a transcript, and returns it with what has really come.
func (s *stage) play(transcript string) string {
	var played strings.Builder
	for line := range strings.Lines(transcript) {
		line = strings.TrimRight(line, "\n")
		if strings.HasSuffix(line, "<") {
			line += " " // as a new transcript has it, before it is filled in
		}
		name, rest, sent := strings.Cut(line, "> ")
		if got, want, ok := strings.Cut(line, "< "); ok && (!sent || len(got) < len(name)) {
			played.WriteString(got + "< " + s.actor(got).expect(want) + "\n")
			continue
		}
		switch {
		case !sent || strings.HasPrefix(line, "#"):
		case name == "gateway" && rest == "drain":
			s.gateway.Drain()
		case name == "gateway" && rest == "pause":
			time.Sleep(600 * time.Millisecond)
		default:
			s.actor(name).act(rest)
		}
		played.WriteString(line + "\n")
	}
	s.end()
	return played.String()
}

func (s *stage) actor(name string) actor {
	a := s.actors[name]
	if a == nil {
		s.t.Fatalf("nobody is called %q", name)
	}
	return a
}

// end ends all sessions and streams, and looks for what nobody expected.
func (s *stage) end() {
	s.gateway.Drain()
	for _, a := range s.inOrder {
		if c, ok := a.(*clientActor); ok {
			c.leave()
		}
	}
	for name, a := range s.actors {
		for _, line := range a.rest() {
			s.t.Errorf("the transcript does not have: %s< %s", name, line)
		}
	}
}

// patience is how long a message may take.
const patience = 10 * time.Second

// await takes the next message of a queue.
func await(t *testing.T, queue <-chan string) string {
	select {
	case m := <-queue:
		return m
	case <-time.After(patience):
		t.Error("a message that the transcript expects has not come")
		return "(nothing)"
	}
}

func drained(queue <-chan string) (rest []string) {
	for {
		select {
		case m := <-queue:
			rest = append(rest, m)
		default:
			return rest
		}
	}
}

// number is the request that a line is about.
func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%q is no number of a request", text)
	}
	return n
}
