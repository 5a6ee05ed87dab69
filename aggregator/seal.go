package aggregator

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A requestState goes to the client and comes back with its answers (MCP
// 2026-07-28, "Multi Round-Trip Requests"). Clients must not read it, change
// it, or use one call's in another, and nobody must use someone else's: so it
// is sealed, and opens for the same caller, client and call only.

const (
	// stateLife is how long a client, and the person before it, may take to answer.
	stateLife = 30 * time.Minute
	// maxState bounds what an upstream may have the client keep.
	maxState = 1 << 20

	// stateVersion begins a sealed state, and names its format.
	stateVersion = "m1."
)

// A stateKind says what is sealed.
type stateKind byte

const (
	upstreamState stateKind = 'u' // the upstream's own state
	parkedState   stateKind = 'p' // the id of a parked call
)

// errState says nothing of why, which only somebody who tries out states
// would want to know.
var errState = invalidParams("the requestState is not valid for this call, or no longer; make the call anew without it")

// A sealer seals states with a key of its own: those of a gateway that has been
// restarted are no longer valid.
type sealer struct{ aead cipher.AEAD }

func newSealer() sealer {
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // of the length of the key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // of the cipher's block size
	}
	return sealer{aead}
}

// seal makes the state of a call that only the call's own retry opens.
func (s sealer) seal(of binding, kind stateKind, state string) string {
	sealed := s.aead.Seal(nil, nil, sealedState(kind, state, time.Now().Add(stateLife)), of[:])
	return stateVersion + base64.RawURLEncoding.EncodeToString(sealed)
}

func sealedState(kind stateKind, state string, expires time.Time) []byte {
	plain := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	return append(append(plain, byte(kind)), state...)
}

// open is the opposite of seal. Its error is for the log.
func (s sealer) open(of binding, text string) (kind stateKind, state string, err error) {
	encoded, ok := strings.CutPrefix(text, stateVersion)
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil {
		return 0, "", errors.New("it is not one that the gateway has made")
	}
	plain, err := s.aead.Open(nil, nil, sealed, of[:])
	if err != nil {
		return 0, "", errors.New("it was altered, or belongs to another caller, client or call, or to the time before a restart")
	}
	if len(plain) < 9 || time.Now().Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return 0, "", errors.New("it has expired")
	}
	return stateKind(plain[8]), string(plain[9:]), nil
}

// A binding is what a state belongs to: a digest of the caller, the client and the
// call.
type binding [sha256.Size]byte

// bindingOf is that of a request whose names are the original ones by now. How
// the arguments are written, in which order and with what white space, makes no
// difference. The client is known by the id that its tokens have, which it keeps
// when it renews them.
func bindingOf(r Request, m *member) binding {
	name, _ := r.Params.GetString("name")
	uri, _ := r.Params.GetString("uri")
	h := sha256.New()
	for _, field := range []string{r.Caller.ID, r.Caller.Client.ID, m.Name, r.Method, name, uri, string(canonical(r.Params.Get("arguments")))} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(field))) // a hash takes all
		h.Write([]byte(field))
	}
	return binding(h.Sum(nil))
}

// canonical is JSON in one way of writing it, but for numbers, which stay as
// they are: those beyond 2^53 must not become equal.
func canonical(raw json.RawMessage) json.RawMessage {
	value := jsontext.Value(raw).Clone()
	if value.Format(jsontext.ReorderRawObjects(true), jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)) != nil {
		return raw // absent, or none that an upstream would understand
	}
	return json.RawMessage(value)
}
