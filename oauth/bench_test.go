package oauth_test

import "testing"

func BenchmarkSeenToken(b *testing.B) {
	s := start(b, newInternet(), entraProvider())
	r := request(sign(b, accessToken(), nil))
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := s.Authenticate(r); refused != nil {
			b.Fatal(refused.Message)
		}
	}
}

func BenchmarkNewToken(b *testing.B) {
	s := start(b, newInternet(), entraProvider())
	token := sign(b, accessToken(), nil)
	s.admit(token)
	b.ReportAllocs()
	for b.Loop() {
		if r := s.Inspect(b.Context(), token); r.Problem != nil { // which remembers nothing
			b.Fatal(r.Problem)
		}
	}
}

func BenchmarkSeenTokenParallel(b *testing.B) {
	s := start(b, newInternet(), entraProvider())
	token := sign(b, accessToken(), nil)
	b.RunParallel(func(pb *testing.PB) {
		r := request(token)
		for pb.Next() {
			if _, refused := s.Authenticate(r); refused != nil {
				b.Error(refused.Message)
			}
		}
	})
}
