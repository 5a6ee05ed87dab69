package guard

import (
	"errors"
	"net"
	"testing"
)

// TestControl has the dialer itself refuse an address that was not checked
// before, and a port.
func TestControl(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialer := net.Dialer{ControlContext: control}
	if conn, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
		t.Errorf("connected to %s", conn.RemoteAddr())
	}
	for _, address := range []string{"127.0.0.1:443", "[::1]:443", "[fe80::1%lo]:443", "[::ffff:127.0.0.1]:443"} {
		if err := control(t.Context(), "tcp", address, nil); !errors.Is(err, errNotPublic) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"93.184.216.34:22", "93.184.216.34", "app.example.com:443"} {
		if err := control(t.Context(), "tcp", address, nil); err == nil {
			t.Errorf("%s is let through", address)
		}
	}
	if err := control(t.Context(), "tcp", "93.184.216.34:443", nil); err != nil {
		t.Errorf("a public address: %v", err)
	}
}

// TestDefaultDialer sees that a client without a dialer of its own has the one
// that checks.
func TestDefaultDialer(t *testing.T) {
	opts := NewClient(Options{}).Transport.(*transport).opts
	if _, err := opts.Dial(t.Context(), "tcp", "127.0.0.1:443"); !errors.Is(err, errNotPublic) {
		t.Errorf("dialling loopback: %v", err)
	}
}
