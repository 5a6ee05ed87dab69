package pages_test

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/pages"
)

// TestContrast holds colours to WCAG 2.2: 4.5 to 1 for text, also on buttons,
// and 3 to 1 for what shows where a control is.
func TestContrast(t *testing.T) {
	style := inlineStyle.FindStringSubmatch(bodyOf(t, written(func(w http.ResponseWriter) { pages.SignIn(w, pages.SignInPage{}) })))[1]
	light, dark, ok := strings.Cut(style, "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("there is no dark scheme")
	}
	for scheme, colours := range map[string]map[string]float64{"light": luminances(t, light), "dark": luminances(t, dark)} {
		for pair, least := range map[string]float64{
			"ink ground": 4.5, "ink card": 4.5, "ink panel": 4.5, "ink warn": 4.5,
			"soft ground": 4.5, "soft card": 4.5, "soft panel": 4.5,
			"link card": 4.5, "good card": 4.5, "good panel": 4.5, "bad panel": 4.5, "bad warn": 4.5,
			"on-main main": 4.5, "on-main hover": 4.5,
			"edge card": 3, "link ground": 3, "main card": 3,
		} {
			a, b, _ := strings.Cut(pair, " ")
			if got := contrast(t, colours, a, b); got < least {
				t.Errorf("%s: %s on %s has %.2f to 1, want %.1f", scheme, a, b, got, least)
			}
		}
	}
}

var variable = regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`)

// luminances are how bright the first colour of each name is, from 0 to 1.
func luminances(t *testing.T, css string) map[string]float64 {
	t.Helper()
	found := make(map[string]float64)
	for _, m := range variable.FindAllStringSubmatch(css, -1) {
		if _, again := found[m[1]]; again {
			continue
		}
		rgb, err := strconv.ParseUint(m[2], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		found[m[1]] = 0.2126*linear(rgb>>16) + 0.7152*linear(rgb>>8&0xff) + 0.0722*linear(rgb&0xff)
	}
	return found
}

// linear is the light of a byte of sRGB.
func linear(b uint64) float64 {
	c := float64(b) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}

func contrast(t *testing.T, colours map[string]float64, a, b string) float64 {
	t.Helper()
	x, okX := colours[a]
	y, okY := colours[b]
	if !okX || !okY {
		t.Fatalf("there is no colour %s or %s", a, b)
	}
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestLogicalProperties keeps the style the same for both directions of writing.
func TestLogicalProperties(t *testing.T) {
	style := inlineStyle.FindString(bodyOf(t, written(func(w http.ResponseWriter) { pages.SignIn(w, pages.SignInPage{}) })))
	if found := regexp.MustCompile(`(?:-|\b)(?:left|right)\b|url\(|@import|expression`).FindString(style); found != "" {
		t.Errorf("the style has %q", found)
	}
}
