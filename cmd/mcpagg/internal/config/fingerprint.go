package config

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/zclconf/go-cty/cty"

	"github.com/mcpagg/mcpagg/upstream"
)

// fingerprintKey makes fingerprints reveal nothing of the secrets in them: they
// are equal within this process only. It never changes.
var fingerprintKey = []byte(rand.Text())

// fingerprint is equal for upstreams whose connection is the same, in hex: it
// covers all that o says so far, none of how the upstream is published.
func fingerprint(o upstream.Options) string {
	connection := map[string]any{
		"name": o.Name, "command": o.Command, "env": values(o.Env), "dir": o.Dir,
		"headers": values(o.Headers), "token": values(map[string]upstream.Secret{"": o.Token}),
		"container": o.Container, "protocol": o.Protocol, "bytes": o.MaxMessageBytes,
		"connect": o.ConnectTimeout, "call": o.CallTimeout, "grace": o.ToolsGrace,
	}
	if o.URL != nil {
		connection["url"] = o.URL.String()
	}
	text, err := json.Marshal(connection) // maps in the order of their keys
	if err != nil {
		panic(err) // texts and numbers can be written as JSON
	}
	mac := hmac.New(sha256.New, fingerprintKey)
	mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil))
}

// signInFingerprint is equal for configurations that say the same of sign-in, in
// hex; "" if there is none.
func (d *decoder) signInFingerprint(f *fileBlock) string {
	if len(f.Auth) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, fingerprintKey)
	fmt.Fprintf(mac, "%v", f.publicURL())
	describe := func(b block) {
		fmt.Fprintf(mac, " %T %q %q", b, b.head().kind, b.head().label)
		d.describe(mac, reflect.ValueOf(b).Elem())
	}
	for i := range f.Auth {
		describe(&f.Auth[i])
	}
	for i := range f.Groups {
		describe(&f.Groups[i])
	}
	for i := range f.Apps {
		describe(&f.Apps[i])
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// attributeFingerprint is equal for attributes that say the same, in hex; "" for one
// that is not given.
func (d *decoder) attributeFingerprint(v value) string {
	if v.rawValue() == cty.NilVal {
		return ""
	}
	mac := hmac.New(sha256.New, fingerprintKey)
	d.describeOne(mac, "", v.rawValue())
	return hex.EncodeToString(mac.Sum(nil))
}

// values are those of the secrets that are given. What is fetched later stands
// for itself as the definition of where it comes from.
func values(secrets map[string]upstream.Secret) map[string]string {
	all := map[string]string{}
	for name, s := range secrets {
		if s == nil {
			continue
		}
		all[name], _ = s(withoutFetching(context.Background())) // fetches nothing, so it cannot fail
	}
	return all
}
