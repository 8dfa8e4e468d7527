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

const (
	maxDocument  = 64 << 20 // bytes; 100,000 applications with two credentials each are 50 MB
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// silence is after how long without an answer people are told.
	silence = 60 * time.Second
)

// Follower keeps a State up to date from a server's feed.
type Follower struct {
	URL string // of the feed, without query
	// HTTP sends the gateway's own access token, and bounds no request to less
	// than Wait and some seconds.
	HTTP  *http.Client
	State *State
	// Witness keeps the server's checkpoints; may be nil.
	Witness *Witness
	// Wait is how long the server may keep quiet, in whole seconds, 1 to 20; zero
	// is 20. The state's age grows to it between two answers.
	Wait time.Duration
	Now  func() time.Time
	Log  *slog.Logger
}

// Run follows until ctx ends, and then returns nil. An answer that cannot be had
// or used changes nothing but the age of what is known; it is asked for again after a pause that
// grows from a tenth of a second to five, with jitter.
func (f *Follower) Run(ctx context.Context) error {
	backoff := firstBackoff
	told, alarmed := false, false
	for ctx.Err() == nil {
		asked, before := f.Now(), f.State.Current().Sequence()
		err := f.Poll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if told {
				f.Log.Info("the feed answers again", "sequence", f.State.Current().Sequence())
			}
			told, alarmed = false, false
			if f.State.Current().Sequence() != before || f.Now().Sub(asked) >= time.Second {
				backoff = firstBackoff
				continue
			}
			// A server that neither waits nor tells anything is not asked in a circle.
		case !told:
			f.Log.Warn("the feed does not answer", "cause", err)
			told = true
		case !alarmed && f.State.Age() > silence:
			f.Log.Error("the feed has been silent for 60 s: revocations are not known here", "cause", err)
			alarmed = true
		}
		pause(ctx, backoff)
		backoff = min(2*backoff, maxBackoff)
	}
	return nil
}

// pause waits between half of d and d.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Poll asks once and takes the answer. Until the first one a State is older than
// every bound, so that no route is served without knowing what ended.
func (f *Follower) Poll(ctx context.Context) error {
	wait := f.Wait
	if wait == 0 {
		wait = maxWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait+maxBehind+answerTime)
	defer cancel()
	after := f.State.Current().Sequence()
	url := f.URL + "?after=" + strconv.FormatInt(after, 10) + "&wait=" + strconv.Itoa(int(wait/time.Second))
	var held int64
	if f.Witness != nil {
		held = f.Witness.Held()
		url += "&checkpoint=" + strconv.FormatInt(held, 10)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	answer, err := f.HTTP.Do(request)
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("feed: status %d", answer.StatusCode)
	}
	document, err := readDocument(answer.Body)
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	if f.Witness != nil {
		f.Witness.Take(document.Statement, held)
	}
	if err := f.State.Apply(document, after, f.Now()); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	return nil
}

func readDocument(r io.Reader) (*Document, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxDocument {
		return nil, errors.New("a document beyond 64 MiB")
	}
	return ParseDocument(body)
}
