package config

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A clientID is that of an application at a provider.
type clientID struct{ identifier }

// scopeTexts say what scopes allow, by their names.
type scopeTexts struct {
	setting
	value   map[string]string
	entries []entry
}

func (v *scopeTexts) kind() kind { return mapKind("map of texts") }

func (v *scopeTexts) take(in input) {
	v.value = map[string]string{}
	v.entries, _ = in.entries()
	for _, e := range v.entries {
		v.value[e.name] = e.value.sentence(200)
	}
}

// checkNames refuses texts of scopes that there are not.
func (v *scopeTexts) checkNames(names []string) {
	for _, e := range v.entries {
		if !slices.Contains(names, e.name) {
			e.key.mistake("There is no %v among the scopes.%s", e.key, e.key.unless(didYouMean(e.name, names)))
		}
	}
}

// sentence is the input as text for people, of so many characters at most, or ""
// after noting a mistake.
func (in input) sentence(most int) string {
	s, ok := in.text()
	switch {
	case !ok:
	case strings.TrimSpace(s) == "":
		in.mistake("This must not be empty.")
	case utf8.RuneCountInString(s) > most:
		in.mistake("This is longer than %d characters.", most)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, isInvisible):
		in.mistake("%v has a line break or another invisible character in it, with which it could pass for something else.", in)
	default:
		return s
	}
	return ""
}

// isInvisible reports whether a character has no place in a line of text, or turns
// the direction of what is around it.
func isInvisible(r rune) bool { return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) }

// A displayName is what people read.
type displayName struct{ text }

func (v *displayName) take(in input) { v.value = in.sentence(60) }

// A prompt is what a provider asks of somebody who is signed in there already.
type prompt struct {
	text
	in input
}

const askConsent = "consent"

var prompts = []string{"select_account", "login", askConsent}

func (v *prompt) kind() kind { return kind{codeWords(prompts), map[string]any{"enum": prompts}} }

func (v *prompt) take(in input) { v.value, v.in = in.oneOf(prompts), in }

// requestScopes are those that a provider is asked for.
type requestScopes struct{ identifiers }

func (v *requestScopes) kind() kind { return listKind("scopes") }

func (v *requestScopes) take(in input) {
	for _, e := range in.filled() {
		s, ok := e.text()
		switch {
		case !ok:
		case !scopePattern.MatchString(s):
			e.mistake("%v is not a scope: each is a text of its own, without spaces, quotes and backslashes.", e)
		default:
			v.add(s, e)
		}
	}
	if len(v.value) > 0 && !slices.Contains(v.value, "openid") {
		in.mistake("There must be openid among these: without it, the provider does not say who has signed in.")
	}
}

// parameters are those of a page where people sign in, by name.
type parameters struct {
	setting
	value map[string]string
}

func (v *parameters) kind() kind { return mapKind("map of texts") }

// ownParameters are those that the gateway sets itself, with the attribute for
// them, or "" where there is none.
var ownParameters = map[string]string{
	"client_id": "client_id", "scope": "request_scopes of the kind oidc", "prompt": "prompt",
	"redirect_uri": "", "response_type": "", "response_mode": "", "state": "", "nonce": "", "code_challenge": "",
	"code_challenge_method": "", "claims": "", "login_hint": "", "resource": "", "request": "", "request_uri": "", "id_token_hint": "",
}

var parameterName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func (v *parameters) take(in input) {
	v.value = map[string]string{}
	entries, _ := in.entries()
	for _, e := range entries {
		name := strings.ToLower(e.name)
		attribute, own := ownParameters[name]
		switch {
		case !parameterName.MatchString(e.name):
			e.key.mistake("%v is not the name of a parameter.%s", e.key, e.key.unless(didYouMean(name, []string{"domain_hint", "access_type", "acr_values", "max_age"})))
		case attribute != "":
			e.key.mistake("The gateway sets %v itself. For this there is the attribute %s.", e.key, attribute)
		case own:
			e.key.mistake("The gateway sets %v itself.", e.key)
		default:
			v.value[e.name] = e.value.sentence(500)
		}
	}
}

// A storeKey is what encrypts all that is kept.
type storeKey struct{ secret }

// shortestKey is the length of a key in characters.
const shortestKey = 32

func (v *storeKey) take(in input) {
	v.secret.take(in)
	if s, ok := in.text(); ok && v.value != nil && s != "" && !isFetched(in.value) && len(s) < shortestKey {
		in.conceal = true
		in.mistake("This has %d characters, and others could guess it: a key has %d or more, such as what openssl rand -base64 32 prints.", len(s), shortestKey)
	}
}

// A rotation is how often something is made anew.
type rotation struct{ duration }

func (v *rotation) take(in input) {
	v.duration.take(in)
	v.within(in, 24*time.Hour, 2*365*24*time.Hour)
}

// within refuses a duration that is shorter or longer.
func (v *duration) within(in input, least, most time.Duration) {
	if v.value != 0 && (v.value < least || v.value > most) {
		in.mistake("%v is not between %s and %s.", in, inWords(least), inWords(most))
	}
}

// An accessTTL is how long a token of the gateway counts.
type accessTTL struct{ duration }

func (v *accessTTL) take(in input) {
	v.duration.take(in)
	v.within(in, 10*time.Second, 12*time.Hour)
}

// A sessionTTL is how long somebody stays signed in.
type sessionTTL struct{ duration }

func (v *sessionTTL) take(in input) {
	v.duration.take(in)
	v.within(in, 5*time.Minute, 365*24*time.Hour)
}

// inWords is a duration as the configuration has it.
func inWords(d time.Duration) string {
	s := d.String()
	if d >= time.Minute {
		s = strings.TrimSuffix(s, "0s")
	}
	if h, ok := strings.CutSuffix(s, "h0m"); ok {
		return h + "h"
	}
	return s
}
