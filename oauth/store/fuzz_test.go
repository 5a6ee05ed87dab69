package store

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzOpen opens values and keyrings that somebody made up.
func FuzzOpen(f *testing.F) {
	k, err := newDataKey()
	if err != nil {
		f.Fatal(err)
	}
	m, err := newMaster(rand.Text())
	if err != nil {
		f.Fatal(err)
	}
	ring, err := m.seal([]*dataKey{k})
	if err != nil {
		f.Fatal(err)
	}
	whole := k.seal("session", "a", value{expires: time.UnixMilli(1), revision: 7, data: []byte("one")})
	f.Add("session", "a", whole)
	f.Add("", "", ring)
	f.Add("session", "a", whole[:9])
	f.Add("session", "a", []byte{})
	var all keys
	all.set([]*dataKey{k}, 1)
	f.Fuzz(func(t *testing.T, kind, key string, sealed []byte) {
		v, err := all.open(kind, key, sealed)
		if (err == nil) != (bytes.Equal(sealed, whole) && kind == "session" && key == "a") {
			t.Errorf("%q opens as %s %s: %v (%v)", sealed, kind, key, v, err)
		}
		if _, err := m.open(sealed); (err == nil) != bytes.Equal(sealed, ring) {
			t.Errorf("the keyring %q opens: %v", sealed, err)
		}
		v, err = newValue(sealed, time.Hour, longAgo)
		if err != nil {
			return
		}
		got, err := all.open(kind, key, k.seal(kind, key, v))
		if err != nil || !bytes.Equal(got.data, sealed) || !got.expires.Equal(v.expires) {
			t.Errorf("sealed and opened, it is %v (%v)", got, err)
		}
	})
}

// FuzzSubject has names be split out of subjects.
func FuzzSubject(f *testing.F) {
	for _, s := range []string{subject("session", "a-Z_9"), keyring, "$KV.mcpagg.a.b.c", "$KV.mcpagg..", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		kind, key, ok := splitSubject(s)
		if ok && (checkName(kind, key) != nil || subject(kind, key) != s) {
			t.Errorf("%q has kind %q and key %q", s, kind, key)
		}
	})
}

// FuzzBlock looks at files that are none of the engine's.
func FuzzBlock(f *testing.F) {
	f.Add([]byte("\x24\x00\x00\x00 and more of a record than its head"))
	f.Add(bytes.Repeat([]byte{0xff}, 60))
	f.Add(make([]byte, 60))
	key := sha256.Sum256([]byte(streamName + "-1"))
	f.Fuzz(func(t *testing.T, block []byte) {
		whole, _ := checkBlock(block, 1)
		if whole < 0 || whole > len(block) || whole < len(block) && wholeRecord(block[whole:], key[:]) != 0 {
			t.Errorf("%d of %d bytes are whole", whole, len(block))
		}
		unfinished(block[whole:])
		again, _ := checkBlock(block[:whole], 1)
		if diff := cmp.Diff(whole, again); diff != "" {
			t.Error(diff)
		}
	})
}
