package directory

import (
	"context"
	"errors"
	"fmt"
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

type expectedKey struct{}

// Under makes a change that is no change of the directory's records, and of which
// another package stores the one event: under the guards of the context, and only
// if nothing has changed since they looked. change may be called again; it makes
// its change with the context that it gets.
func (d *Directory) Under(ctx context.Context, change func(context.Context) error) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	for range attempts {
		s := d.Current()
		err := guard(ctx, s, d.now())
		if err == nil {
			err = change(context.WithValue(ctx, expectedKey{}, s.Sequence()+1))
		}
		refreshed := d.refreshNow(ctx)
		if err == nil {
			return refreshed
		}
		if refreshed != nil || ctx.Err() != nil || !errors.Is(err, ErrStale) && d.Current() == s {
			return err
		}
	}
	return fmt.Errorf("other changes came first %d times: %w", attempts, ErrStale)
}

// Expected is the number that an event must get which is stored with the context:
// the store's for an event without a Sequence. 0: any.
func Expected(ctx context.Context) int64 {
	n, _ := ctx.Value(expectedKey{}).(int64)
	return n
}
