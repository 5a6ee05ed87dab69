package typed_test

import (
	"math"
	"reflect"
	"testing"

	"github.com/mcpagg/mcpagg/policy/typed"
)

func TestDecode(t *testing.T) {
	got, err := typed.Decode([]byte(`{"a": 9007199254740993, "b": [1.5, {"c": 1e400}]}`))
	want := map[string]any{"a": int64(9007199254740993), "b": []any{1.5, map[string]any{"c": math.Inf(1)}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, wrong := range []string{"", "[]", "1", `{"a": 1} {}`, `{"a": 1`} {
		if got, err := typed.Decode([]byte(wrong)); err == nil {
			t.Errorf("%q is read as %v", wrong, got)
		}
	}
}
