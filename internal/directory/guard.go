package directory

import (
	"context"
	"time"
)

type guardKey struct{}

// Guarded has every change that is made with the context decided under the guard,
// too: it looks at the very snapshot that the change is stored on. Whoever asks for
// a change was let in on an earlier one, and may have lost what let them in.
func Guarded(ctx context.Context, g Guard) context.Context {
	earlier, _ := ctx.Value(guardKey{}).([]Guard)
	return context.WithValue(ctx, guardKey{}, append(earlier[:len(earlier):len(earlier)], g))
}

// guard asks the guards of the context.
func guard(ctx context.Context, s *Snapshot, now time.Time) error {
	guards, _ := ctx.Value(guardKey{}).([]Guard)
	return pass(guards, s, now)
}
