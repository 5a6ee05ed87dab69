package importer

import (
	"regexp"
	"strings"
	"unicode"
)

// What may be a secret is taken for one: a variable too many is a small nuisance,
// a secret in a file that people commit is not.

// secretNames are what names of variables, headers, options and fields contain
// whose values are secret.
var secretNames = regexp.MustCompile(`(?i)token|secret|passw|passphrase|pwd|passwd|api_?-?key|access_?-?key|private_?-?key|` +
	`credential|auth|cookie|session|bearer|signature|jwt|dsn|conn(ection)?_?-?str|webhook|license|salt|nonce|` +
	`(^|[_.-])(key|keys|pat|pass|sig|pin|pw|apikey|code)$|^(x-)?key|(^|[_-])cert`)

func isSecretName(name string) bool { return secretNames.MatchString(camelApart(name)) }

// camelApart is apiKey as api_Key.
func camelApart(name string) string {
	var b strings.Builder
	before := ' '
	for _, r := range name {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte('_')
		}
		b.WriteRune(r)
		before = r
	}
	return b.String()
}

// tokens are what secrets begin with, or how they are written, wherever they
// stand in a text.
var tokens = regexp.MustCompile(`(^|[^A-Za-z0-9])(` +
	`gh[pousr]_|github_pat_|gl(?:pat|cbt|ptt|rt|ft|oas|soat|agent|imt)-|sk[-_]|pk_|rk_|xox[a-z]-|xapp-|eyJ|AKIA|ASIA|AIza|ya29\.|1//|ATATT|ATCTT|ATBB|` +
	`ntn_|secret_|lin_(api|oauth)_|hf_|npm_|pypi-|dop_v1_|SG\.|figd_|shp(at|ca|pa|ss)_|sb[ps]_|tvly-|pplx-|gsk_|r8_|whsec_|` +
	`dckr_|do[po]_|hvs\.|hvb\.|s\.[A-Za-z0-9]{20}|AGE-SECRET-KEY|exa_)[A-Za-z0-9]` +
	`|-----BEGIN` +
	`|(?i:(bearer|basic|token|apikey)\s+[A-Za-z0-9._~+/=-]{6,})` +
	`|://[^/?#\s]*:[^/?#\s]*@` + // a password in a URL
	`|(?i:[?&;,\s"'{]|^)(?i:[a-z0-9_.-]*(token|secret|passw(or)?d|passwd|pwd|api[_-]?key|access[_-]?key|accountkey|sharedaccesskey|sig|signature|credential|auth|key|code))["']?\s*[=:]\s*["']?[^\s"',;&]`)

// alphanumeric is a run that is long for a word.
var alphanumeric = regexp.MustCompile(`[A-Za-z0-9]{16,}`)

// encoded is a run of what base64 in either alphabet is written with.
var encoded = regexp.MustCompile(`[A-Za-z0-9+/_=-]{24,}`)

// digest is what pins an image or a package, and is known to everybody.
var digest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// uuid is how many services name whoever holds a URL, which is all they ask.
var uuid = regexp.MustCompile(`(?i)[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}`)

// looksSecret reports whether a text may hold a secret, whatever it is called.
func looksSecret(text string) bool {
	text = digest.ReplaceAllString(text, "")
	if tokens.MatchString(text) {
		return true
	}
	for _, run := range alphanumeric.FindAllString(text, -1) {
		if isRandom(run) {
			return true
		}
	}
	if isPath(text) {
		return false
	}
	for _, run := range encoded.FindAllString(text, -1) {
		if strings.ContainsAny(run, "0123456789") && hasUpper(run) && hasLower(run) {
			return true
		}
	}
	return false
}

// isToken reports whether what should be the name of a variable is a token, which
// somebody put between the braces.
func isToken(name string) bool {
	return looksSecret(name) && strings.ContainsAny(name, "0123456789")
}

// isRandom reports whether a run of letters and digits is no word.
func isRandom(run string) bool {
	digits := strings.ContainsAny(run, "0123456789")
	letters := hasUpper(run) || hasLower(run)
	return digits && letters || digits && len(run) >= 20 || len(run) >= 32
}

// isPath reports whether text is a path or the name of a package, whose parts are
// words.
func isPath(text string) bool {
	for _, start := range []string{"/", "./", "../", "~", "@", "http://", "https://", "file://"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return len(text) > 2 && text[1] == ':' && (text[2] == '\\' || text[2] == '/')
}

func hasUpper(s string) bool { return strings.ContainsFunc(s, unicode.IsUpper) }
func hasLower(s string) bool { return strings.ContainsFunc(s, unicode.IsLower) }

// plain are values that are no secrets, whatever they are called: nothing, words
// that turn something on or off, and what stands before a token.
var plain = regexp.MustCompile(`(?i)^[\s"':;,/&?=-]*(true|false|yes|no|on|off|0|1|none|null|bearer|basic|token|bot|apikey)?[\s"':;,/&?=-]*$`)

// isSecret reports whether a part of the value called name may be a secret.
func isSecret(name, text string) bool {
	return !plain.MatchString(text) && (isSecretName(name) || looksSecret(text))
}

// shown is a name for people to read, or … if it may be a secret or is not fit to
// be printed.
func shown(name string) string {
	if name == "" || len(name) > 120 || looksSecret(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "…"
	}
	return name
}
