package verify_test

import (
	"testing"

	"github.com/holdfast-auth/holdfast/verify"
)

func BenchmarkVerify(b *testing.B) {
	run := func(b *testing.B, w *world, request func() *verify.Request) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.verify(request()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("mtls known token", func(b *testing.B) {
		w := newWorld(b)
		r := w.overMTLS(w.certToken())
		run(b, w, func() *verify.Request { return r })
	})
	b.Run("mtls known token, parallel", func(b *testing.B) {
		w := newWorld(b)
		r := w.overMTLS(w.certToken())
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := w.verify(r); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("mtls new token", func(b *testing.B) {
		w := newWorld(b)
		token := w.certToken()
		set := w.issuer.Keys(b)
		w.config.Keys = keySource{func(string) (*verify.KeySet, error) { // another set each time: nothing is remembered
			s := *set
			return &s, nil
		}, nil}
		w.verifier, w.policy = w.make()
		r := w.overMTLS(token)
		run(b, w, func() *verify.Request { return r })
	})
	b.Run("dpop known token", func(b *testing.B) {
		w := newWorld(b, func(w *world) { w.config.Replay = alwaysFirst{} })
		r := w.withProof(w.keyToken())
		run(b, w, func() *verify.Request { return r })
	})
}

func BenchmarkMemoryReplay(b *testing.B) {
	w := newWorld(b)
	m := verify.NewMemoryReplay(w.clock.Now, 1<<20)
	until := w.clock.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%(1<<19) == 0 {
			m = verify.NewMemoryReplay(w.clock.Now, 1<<20)
		}
		_, _ = m.FirstUse(b.Context(), id(i), until)
	}
}
