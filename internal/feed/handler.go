package feed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// Source is the directory, of which a *directory.Directory is one.
type Source interface {
	Current() *directory.Snapshot
	// Changed is closed when a newer snapshot than s is in force.
	Changed(s *directory.Snapshot) <-chan struct{}
	// Delta reads what changed after the sequence; after 0, everything.
	Delta(ctx context.Context, after int64) (directory.Delta, error)
	// Age is how long ago the snapshot was last known to be the newest.
	Age() time.Duration
}

const (
	maxWait = 20 * time.Second
	// maxBehind is how long a server may be behind a gateway that heard of a change
	// from another node, before it must have been restored from a backup.
	maxBehind = 5 * time.Second
	// answerTime is for writing the answer after the wait.
	answerTime = 20 * time.Second
)

var (
	errCutOff = errors.New("the snapshot is older than 10 s")
	errEnding = errors.New("the server is about to end")
)

// Handler answers GET /feed; signed may be nil. It asks nobody who they are: it is mounted behind the
// verifier. It prolongs the connection's deadlines, counted from the event's time.
// Once ending is closed nobody waits any more but is sent away, so that a server
// that drains is not held up.
func Handler(d Source, signed Checkpoints, ending <-chan struct{}) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		q, err := parseQuery(r.URL.RawQuery)
		if err != nil {
			return oauth.Refuse(oauth.InvalidRequest, "feed_query", "after and checkpoint must be numbers, wait 1 to 20 seconds", err)
		}
		// Where deadlines cannot be set there are none.
		deadline, control := r.Event.Time.Add(q.wait+maxBehind+answerTime), http.NewResponseController(w)
		_ = control.SetReadDeadline(deadline)
		_ = control.SetWriteDeadline(deadline)
		document, err := next(r.Context(), d, q, ending)
		if err != nil {
			return &oauth.Error{
				Code: oauth.TemporarilyUnavailable, Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
				Reason: "feed_unavailable", Description: "the directory cannot be read", Cause: err,
			}
		}
		if signed != nil {
			document.Statement = state(r.Context(), signed, q.held)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = document.writeTo(w) // a reader that is gone asks again
		return nil
	}
}

// query is what a gateway asks for.
type query struct {
	after int64
	wait  time.Duration
	held  int64 // the event of the newest checkpoint that it keeps; 0 for none
}

func parseQuery(raw string) (query, error) {
	q := query{wait: maxWait}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, err
	}
	for name, v := range values {
		if len(v) != 1 {
			return q, errors.New("a parameter twice")
		}
		n, err := strconv.ParseUint(v[0], 10, 63)
		if err != nil || strconv.FormatUint(n, 10) != v[0] {
			return q, errors.New("not a number")
		}
		switch {
		case name == "after":
			q.after = int64(n)
		case name == "checkpoint":
			q.held = int64(n)
		case name == "wait" && n >= 1 && n <= uint64(maxWait/time.Second):
			q.wait = time.Duration(n) * time.Second
		default:
			return q, errors.New("an unknown parameter, or one out of bounds")
		}
	}
	if !values.Has("after") {
		return q, errors.New("after is missing")
	}
	return q, nil
}

// next waits for something newer than q.after.
func next(ctx context.Context, d Source, q query, ending <-chan struct{}) (*Document, error) {
	enough := time.NewTimer(q.wait)
	defer enough.Stop()
	behind := time.NewTimer(maxBehind)
	defer behind.Stop()
	for over := false; ; {
		// The channel first: what changes from here on closes it.
		s := d.Current()
		changed, at := d.Changed(s), s.Sequence()
		switch {
		case at > q.after:
			return read(ctx, d, q.after)
		case over && at < q.after:
			return read(ctx, d, 0)
		case over:
			return unchanged(d, at)
		}
		restored := behind.C
		if at == q.after {
			restored = nil
		}
		select {
		case <-changed:
		case <-enough.C:
			over = true
		case <-restored:
			over = true
		case <-ending:
			return nil, errEnding
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func read(ctx context.Context, d Source, after int64) (*Document, error) {
	delta, err := d.Delta(ctx, after)
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	delta.Credentials = append(delta.Credentials, endedKeys(delta.Credentials)...)
	return &Document{Full: after == 0, Delta: delta}, nil
}

// endedKeys are records of the keys in certificates that were revoked or
// compromised. A document has thumbprints and no certificates, and tokens may be
// bound to the key.
func endedKeys(all []directory.Credential) (keys []directory.Credential) {
	for i := range all {
		c := &all[i]
		if len(c.Certificate) == 0 || c.State != directory.Revoked && c.State != directory.Compromised {
			continue
		}
		for _, t := range c.Thumbprints() {
			if t != c.Thumbprint {
				keys = append(keys, directory.Credential{
					ID: directory.UnregisteredKey(c.ClientID, t), ClientID: c.ClientID, Kind: directory.PublishedKey, State: c.State, Thumbprint: t,
				})
			}
		}
	}
	return keys
}

// unchanged says that at is still the newest, if that is known.
func unchanged(d Source, at int64) (*Document, error) {
	age := d.Age()
	if age > directory.MaxAge {
		return nil, errCutOff
	}
	return &Document{Age: max(age, 0), Delta: directory.Delta{Sequence: at}}, nil
}
