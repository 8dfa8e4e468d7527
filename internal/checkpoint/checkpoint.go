// Package checkpoint signs where the audit chain ends, every now and then, with a
// key that signs nothing else. A node signs only what it has itself verified to
// continue the last checkpoint; a chain that does not is left unsigned and raises
// an alarm.
package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

// Interval is how often a node looks whether the chain has grown.
const Interval = 30 * time.Second

// page is how many events are read at once.
const page = 1000

// Store keeps chain and checkpoints.
type Store interface {
	Head(ctx context.Context) (audit.Head, error)
	Events(ctx context.Context, after int64, limit int) ([]audit.Event, error)
	// EventHash is directory.ErrNotFound of an event that is not there.
	EventHash(ctx context.Context, sequence int64) ([32]byte, error)
	// NewestCheckpoint is directory.ErrNotFound when there is none.
	NewestCheckpoint(ctx context.Context) (audit.SignedCheckpoint, error)
	Handovers(ctx context.Context) ([]audit.SignedCheckpoint, error)
	// AddCheckpoint is directory.ErrExists when another node was faster.
	AddCheckpoint(ctx context.Context, c *audit.Checkpoint) error
}

// Config of a Maker. Every field is required.
type Config struct {
	Issuer string
	Ring   *keyring.Ring
	Store  Store
	Now    func() time.Time
	Log    *slog.Logger
}

// Maker makes the checkpoints of one node. Safe for concurrent use.
type Maker struct {
	Config
	making  chan struct{} // full while a checkpoint is made
	known   atomic.Pointer[known]
	problem atomic.Pointer[string]
	alarms  atomic.Int64
}

// known is what this node last saw of the checkpoints.
type known struct {
	keys      []signingKey
	newest    *audit.Checkpoint // nil: none
	handovers []string          // JWS
}

// Open loads the keys and what was signed so far. It makes nothing.
func Open(ctx context.Context, c Config) (*Maker, error) {
	keys, err := loadKeys(ctx, c.Ring)
	if err != nil {
		return nil, err
	}
	m := &Maker{Config: c, making: make(chan struct{}, 1)}
	m.known.Store(&known{keys: keys})
	return m, nil
}

// BrokenError is a chain that does not continue what was signed. Nobody signs it.
type BrokenError struct{ Err error }

func (e *BrokenError) Error() string {
	return "the audit chain does not continue its last checkpoint: " + e.Err.Error()
}

func (e *BrokenError) Unwrap() error { return e.Err }

// attempts at a checkpoint that other nodes are faster with.
const attempts = 5

// Make signs the head of the chain if it has grown since the last checkpoint,
// after it has verified all that came between. Once it returns nil there is a
// checkpoint of the head that it found. A *BrokenError has raised the alarm.
func (m *Maker) Make(ctx context.Context) error {
	if err := m.turn(ctx); err != nil {
		return err
	}
	defer func() { <-m.making }()
	err := directory.ErrExists
	for i := 0; i < attempts && errors.Is(err, directory.ErrExists); i++ {
		err = m.make(ctx)
	}
	broken, ok := errors.AsType[*BrokenError](err)
	switch {
	case ok:
		m.alarm(ctx, broken)
	case err == nil:
		if m.problem.Swap(nil) != nil {
			m.Log.InfoContext(ctx, "the audit chain continues its last checkpoint again")
		}
	}
	return err
}

func (m *Maker) alarm(ctx context.Context, broken *BrokenError) {
	text := broken.Error()
	m.alarms.Add(1)
	if before := m.problem.Swap(&text); before == nil || *before != text {
		m.Log.ErrorContext(ctx, "audit alarm", "reason", "chain_broken", "cause", text)
	}
}

// Problem is what is wrong with the chain, "" for nothing that is known.
func (m *Maker) Problem() string {
	if p := m.problem.Load(); p != nil {
		return *p
	}
	return ""
}

// Alarms is how often a checkpoint was refused because the chain is broken.
func (m *Maker) Alarms() int64 { return m.alarms.Load() }

// Newest is the last checkpoint that this node saw; nil for none.
func (m *Maker) Newest() *audit.Checkpoint { return m.known.Load().newest }

// Handovers are the checkpoints, as JWS and in order, by which one key follows another.
func (m *Maker) Handovers() []string { return m.known.Load().handovers }

// Keys are the public keys of all checkpoints, oldest first.
func (m *Maker) Keys() []*jose.PublicKey {
	var public []*jose.PublicKey
	for _, k := range m.known.Load().keys {
		public = append(public, k.Public())
	}
	return public
}

// make is one attempt.
func (m *Maker) make(ctx context.Context) error {
	if err := m.renewKeys(ctx); err != nil {
		return err
	}
	before := m.known.Load()
	signer, next, last, err := m.load(ctx)
	if err != nil {
		return err
	}
	head, err := m.verify(ctx, before.newest, last)
	if err != nil || last != nil && head.Sequence == last.Sequence || head.Sequence == 0 {
		return err
	}
	c := &audit.Checkpoint{Issuer: m.Issuer, Head: head, At: m.Now()}
	if last != nil {
		c.Previous = last.Sequence
	}
	if next != nil {
		c.Next = next.Public()
	}
	if err := c.Sign(signer.Signer); err != nil {
		return err
	}
	if err := m.Store.AddCheckpoint(ctx, c); err != nil {
		return err
	}
	after := *m.known.Load()
	after.newest = c
	if next != nil {
		after.handovers = append(after.handovers[:len(after.handovers):len(after.handovers)], c.JWS)
	}
	m.known.Store(&after)
	return nil
}

// renewKeys makes the first key, or the next one in time.
func (m *Maker) renewKeys(ctx context.Context) error {
	keys, err := loadKeys(ctx, m.Ring)
	if err != nil {
		return err
	}
	if n := len(keys); n == 0 || !m.Now().Before(keys[n-1].notAfter.Add(-renewBefore)) {
		if err := createKey(ctx, m.Ring, n); err != nil {
			return err
		}
		if keys, err = loadKeys(ctx, m.Ring); err != nil {
			return err
		}
	}
	k := *m.known.Load()
	k.keys = keys
	m.known.Store(&k)
	return nil
}

// load reads what was signed so far, and takes it into what is known when it holds.
func (m *Maker) load(ctx context.Context) (signer, next *signingKey, last *audit.Checkpoint, err error) {
	k := *m.known.Load()
	handovers, err := m.Store.Handovers(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	trust := audit.NewTrust(m.Issuer, m.Keys()...)
	if signer, next, err = chooseKeys(k.keys, handovers, trust); err != nil {
		return nil, nil, nil, &BrokenError{err}
	}
	newest, err := m.Store.NewestCheckpoint(ctx)
	switch {
	case errors.Is(err, directory.ErrNotFound):
	case err != nil:
		return nil, nil, nil, err
	default:
		last, err = trust.Open(newest.JWS)
		if err == nil && last.Sequence != newest.Sequence {
			err = fmt.Errorf("it is of event %d", last.Sequence)
		}
		if err != nil {
			return nil, nil, nil, &BrokenError{fmt.Errorf("the stored checkpoint of event %d: %w", newest.Sequence, err)}
		}
	}
	return signer, next, last, nil
}

// verify walks from the last checkpoint to the head. remembered is the newest
// that this process has seen itself.
func (m *Maker) verify(ctx context.Context, remembered, last *audit.Checkpoint) (audit.Head, error) {
	if remembered != nil && (last == nil || last.Sequence < remembered.Sequence) {
		return audit.Head{}, &BrokenError{fmt.Errorf("the checkpoint of event %d is gone", remembered.Sequence)}
	}
	if remembered != nil && last.Sequence == remembered.Sequence && last.Hash != remembered.Hash {
		return audit.Head{}, &BrokenError{fmt.Errorf("the checkpoint of event %d is another one than before", last.Sequence)}
	}
	end, err := m.Store.Head(ctx)
	if err != nil {
		return audit.Head{}, err
	}
	var from audit.Head
	if last != nil {
		from = last.Head
		hash, err := m.Store.EventHash(ctx, from.Sequence)
		switch {
		case errors.Is(err, directory.ErrNotFound) || err == nil && end.Sequence < from.Sequence:
			return audit.Head{}, &BrokenError{&audit.ChainError{Sequence: from.Sequence, Reason: "has a checkpoint and is missing"}}
		case err != nil:
			return audit.Head{}, err
		case hash != from.Hash:
			return audit.Head{}, &BrokenError{&audit.ChainError{Sequence: from.Sequence, Reason: "has another hash than its checkpoint"}}
		}
	}
	if remembered != nil && last.Sequence > remembered.Sequence { // another node's
		switch hash, err := m.Store.EventHash(ctx, remembered.Sequence); {
		case errors.Is(err, directory.ErrNotFound) || err == nil && hash != remembered.Hash:
			return audit.Head{}, &BrokenError{&audit.ChainError{Sequence: remembered.Sequence, Reason: "is not the one that a checkpoint was seen of"}}
		case err != nil:
			return audit.Head{}, err
		}
	}
	if err := m.walk(ctx, from, end); err != nil {
		return audit.Head{}, err
	}
	m.take(ctx, last)
	return end, nil
}

// walk verifies every event between two heads.
func (m *Maker) walk(ctx context.Context, from, end audit.Head) error {
	v := audit.NewVerification(from)
	for v.Head().Sequence < end.Sequence {
		events, err := m.Store.Events(ctx, v.Head().Sequence, int(min(page, end.Sequence-v.Head().Sequence)))
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := v.Event(e); err != nil {
				return &BrokenError{err}
			}
		}
		if len(events) == 0 {
			return &BrokenError{&audit.ChainError{Sequence: v.Head().Sequence + 1, Reason: fmt.Sprintf("is missing: the head of the chain is at %d", end.Sequence)}}
		}
	}
	if v.Head() != end {
		return &BrokenError{&audit.ChainError{Sequence: end.Sequence, Reason: "has another hash than the head of the chain"}}
	}
	return nil
}

// take remembers the newest stored checkpoint, and the handovers.
func (m *Maker) take(ctx context.Context, last *audit.Checkpoint) {
	k := *m.known.Load()
	k.newest = last
	if handovers, err := m.Store.Handovers(ctx); err == nil { // else those of before
		k.handovers = nil
		for _, h := range handovers {
			k.handovers = append(k.handovers, h.JWS)
		}
	}
	m.known.Store(&k)
}

// Run makes a checkpoint at once and every Interval until ctx ends. What fails is
// told, once for each time that it begins to, and tried again.
func (m *Maker) Run(ctx context.Context) error {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	failing := false
	for {
		err := m.Make(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if _, broken := errors.AsType[*BrokenError](err); err != nil && !broken && !failing {
			m.Log.ErrorContext(ctx, "no checkpoint could be made", "cause", err.Error())
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Hash is the hash of an event as it stands in the chain now; ok is false when
// there is no such event.
func (m *Maker) Hash(ctx context.Context, sequence int64) (hash [32]byte, ok bool, err error) {
	hash, err = m.Store.EventHash(ctx, sequence)
	if errors.Is(err, directory.ErrNotFound) {
		return hash, false, nil
	}
	return hash, err == nil, err
}

// turn waits until nobody else makes a checkpoint, or ctx ends.
func (m *Maker) turn(ctx context.Context) error {
	select {
	case m.making <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Refresh takes in what other nodes made.
func (m *Maker) Refresh(ctx context.Context) error {
	if err := m.turn(ctx); err != nil {
		return err
	}
	defer func() { <-m.making }()
	keys, err := loadKeys(ctx, m.Ring)
	if err != nil || len(keys) == 0 { // without a key nothing was signed
		return err
	}
	k := *m.known.Load()
	k.keys = keys
	m.known.Store(&k)
	before := k.newest
	_, _, last, err := m.load(ctx)
	if err != nil || last == nil || before != nil && last.Sequence <= before.Sequence {
		return err
	}
	m.take(ctx, last)
	return nil
}
