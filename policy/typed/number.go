package typed

import (
	"errors"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
)

// maxInteger is the largest integer up to which each is a float64 of its own.
const maxInteger = 1 << 53

// A number is one of JSON, as it was written: digits × 10^exponent.
type number struct {
	negative bool
	digits   string // without zeros at either end; "" is 0
	exponent int
}

// parseNumber reads a number that is JSON.
func parseNumber(text string) number {
	text, negative := strings.CutPrefix(text, "-")
	n := number{negative: negative}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n.exponent = exponent(text[i+1:])
		text = text[:i]
	}
	before, after, _ := strings.Cut(text, ".")
	n.exponent -= len(after)
	digits := before + after
	n.digits = strings.TrimRight(digits, "0")
	n.exponent += len(digits) - len(n.digits)
	n.digits = strings.TrimLeft(n.digits, "0")
	return n
}

// exponent is limited to what no text is long enough to make up for.
func exponent(text string) int {
	const limit = 1 << 40
	e, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		e = limit
		if strings.HasPrefix(text, "-") {
			e = -limit
		}
	}
	return int(min(max(e, -limit), limit))
}

func (n number) whole() bool { return n.digits == "" || n.exponent >= 0 }

var (
	errFraction = errors.New("it has too many digits after the point")
	errRange    = errors.New("it is too large")

	errDecimal = &UnholdableError{Why: errRange.Error() + " for Cedar's decimal"}
)

// times is n × 10^power, if that is an integer of 64 bits.
func (n number) times(power int) (int64, error) {
	zeros := n.exponent + power
	switch {
	case n.digits == "":
		return 0, nil
	case zeros < 0:
		return 0, errFraction
	case len(n.digits)+zeros > 19:
		return 0, errRange
	}
	text := n.digits + strings.Repeat("0", zeros)
	if n.negative {
		text = "-" + text
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errRange
	}
	return i, nil
}

// long makes a Long of the text of a number. One that is not written as an
// integer has to be one that a float64 holds, too.
func long(text string) (types.Value, *UnholdableError) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return types.Long(i), nil
	}
	i, err := parseNumber(text).times(0)
	switch {
	case err == errFraction:
		return nil, &UnholdableError{Why: "it is not an integer"}
	case err != nil || i > maxInteger || i < -maxInteger:
		return nil, &UnholdableError{Why: errRange.Error() + " for an integer"}
	}
	return types.Long(i), nil
}

// decimal makes a decimal, which has four digits after the point.
func decimal(n number) (types.Value, *UnholdableError) {
	i, err := n.times(4)
	if err != nil {
		return nil, &UnholdableError{Why: err.Error() + " for Cedar's decimal"}
	}
	d, err := types.NewDecimal(i, -4)
	if err != nil {
		return nil, errDecimal
	}
	return d, nil
}
