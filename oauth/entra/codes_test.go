package entra_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

func TestExplain(t *testing.T) {
	c, ok := entra.Explain(9010010)
	if !ok || c.Name() != "AADSTS9010010" || c.Error != "invalid_target" || !strings.Contains(c.Meaning, "resource") || c.OnPage {
		t.Errorf("AADSTS9010010 is %+v, %v", c, ok)
	}
	if c, ok := entra.Explain(50011); !ok || !c.OnPage {
		t.Errorf("AADSTS50011 is %+v, %v; it is shown on a page only", c, ok)
	}
	if c, ok := entra.Explain(1); ok {
		t.Errorf("AADSTS1 is %+v", c)
	}
}

func TestCodesAreWholeSentencesAndUnique(t *testing.T) {
	codes := entra.Codes()
	if len(codes) < 70 {
		t.Errorf("there are %d codes", len(codes))
	}
	for i, c := range codes {
		if i > 0 && codes[i-1].Number >= c.Number {
			t.Errorf("%s comes after %s", c.Name(), codes[i-1].Name())
		}
		for _, text := range []string{c.Meaning, c.Remedy} {
			if !strings.HasSuffix(text, ".") || text[0] < 'A' || text[0] > 'Z' {
				t.Errorf("%s: %q is not a sentence", c.Name(), text)
			}
		}
		if c.Error == "" && !c.OnPage {
			t.Errorf("%s comes with no error, and is on no page", c.Name())
		}
		if got, ok := entra.Explain(c.Number); !ok || got != c {
			t.Errorf("%s is explained as %+v", c.Name(), got)
		}
	}
}

func TestCodesIn(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []int
	}{
		{"AADSTS50011: The redirect URI", []int{50011}},
		{"(AADSTS65001) and AADSTS65001, AADSTS90094.", []int{65001, 90094}},
		{"no code, XAADSTS50011, AADSTS, AADSTS99999999999999", nil},
		{strings.Repeat("AADSTS50011 ", 1000), []int{50011}},
	} {
		if got := entra.CodesIn(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("in %.40q are %v, want %v", tt.text, got, tt.want)
		}
	}
}
