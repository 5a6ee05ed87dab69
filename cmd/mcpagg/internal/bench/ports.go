package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// ports hands out free TCP ports of the loopback interface, each only once.
// They lie below the range from which the kernel gives outgoing connections
// theirs: a client's connection could otherwise take a port between its choice
// and its use.
type ports struct {
	next, tried, low, high int
}

func newPorts() *ports {
	low, high := 10000, 30000
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		high = portCeiling(string(text), low, high)
	}
	// Two runs at once begin at different places.
	return &ports{next: low + rand.IntN(high-low), low: low, high: high}
}

// portCeiling lowers high to the start of the ephemeral range, unless that
// leaves too little.
func portCeiling(ephemeral string, low, high int) int {
	var first, last int
	if _, err := fmt.Sscan(ephemeral, &first, &last); err != nil || first < low+1000 {
		return high
	}
	return min(high, first)
}

// address returns a free address such as "127.0.0.1:20417".
func (p *ports) address() (string, error) {
	for ; p.tried < p.high-p.low; p.tried++ {
		address := fmt.Sprintf("127.0.0.1:%d", p.next)
		if p.next++; p.next >= p.high {
			p.next = p.low
		}
		ln, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		return address, ln.Close()
	}
	return "", errors.New("no free port on 127.0.0.1")
}
