package adminclient

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/audit"
)

// Trail reads the audit over the API, every byte as it is stored, so that it can
// be verified here.
type Trail struct{ *Client }

// Events is audit.Trail's.
func (t Trail) Events(ctx context.Context, after int64, limit int) ([]audit.Event, error) {
	p, err := t.AuditEvents(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	events := make([]audit.Event, len(p.Items))
	for i := range p.Items {
		if events[i], err = EventOf(&p.Items[i]); err != nil {
			return nil, fmt.Errorf("audit event %d: %w", p.Items[i].Sequence, err)
		}
	}
	return events, nil
}

// Checkpoints is audit.Trail's.
func (t Trail) Checkpoints(ctx context.Context, after int64, limit int) ([]audit.SignedCheckpoint, error) {
	p, err := t.Client.Checkpoints(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	all := make([]audit.SignedCheckpoint, len(p.Items))
	for i, c := range p.Items {
		all[i] = audit.SignedCheckpoint{Sequence: c.Sequence, JWS: c.Checkpoint}
	}
	return all, nil
}

// EventOf is an event as it stands in the chain.
func EventOf(e *admin.AuditEvent) (audit.Event, error) {
	one := audit.Event{
		Sequence: e.Sequence, At: e.At, Actor: e.Actor, Action: e.Action, Organisation: e.Organisation, Subject: e.Subject, Detail: string(e.Detail),
	}
	if bytes.HasPrefix(e.Detail, []byte(`"`)) { // a detail that is no compact object comes as text
		if err := json.Unmarshal(e.Detail, &one.Detail); err != nil {
			return one, errors.New("the detail cannot be read")
		}
	}
	for _, h := range []struct {
		text string
		into []byte
	}{{e.Previous, one.Previous[:]}, {e.Hash, one.Hash[:]}} {
		if n, err := hex.Decode(h.into, []byte(h.text[:min(len(h.text), 2*len(h.into))])); err != nil || n != len(h.into) || len(h.text) != 2*n {
			return one, errors.New("a hash cannot be read")
		}
	}
	return one, nil
}
