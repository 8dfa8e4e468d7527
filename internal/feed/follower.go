package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Between tries after a failure: from first, doubling to most, half of it drawn
// by chance so that many gateways do not return at once.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
	// askWithin is longer than the server holds a question.
	askWithin = MaxWait + 10*time.Second
)

// Follower keeps a State up to date.
type Follower struct {
	URL   string       // of the feed
	HTTP  *http.Client // adds the token; does not follow redirects
	State *State
	Now   func() time.Time
	Log   *slog.Logger
}

// Run asks again and again until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	pause := firstPause
	failing := false
	for ctx.Err() == nil {
		err := f.ask(ctx)
		if err == nil {
			if failing {
				f.Log.InfoContext(ctx, "feed", "outcome", "recovered")
			}
			pause, failing = firstPause, false
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if !failing { // once an outage, not once a try
			f.Log.WarnContext(ctx, "feed", "outcome", "failed", "cause", err.Error())
			failing = true
		}
		wait := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
		pause = min(2*pause, mostPause)
	}
	return nil
}

// ask asks once for what is newer.
func (f *Follower) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	after := f.State.Current().Sequence()
	target := f.URL + "?after=" + strconv.FormatInt(after, 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	resp, err := f.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("ask the feed: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can serve again
		return fmt.Errorf("ask the feed: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	answered := f.Now()
	switch {
	case err != nil:
		return fmt.Errorf("read the feed: %w", err)
	case len(body) > maxDocument:
		return errors.New("read the feed: the answer is too large")
	}
	doc, err := parseDocument(body)
	if err != nil {
		return err
	}
	// The answer tells what was so when it was written, which is at most the
	// transfer ago; the question may have been held for MaxWait.
	return f.State.apply(doc, answered)
}
