package verify

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// ErrReplayFull is a replay store that has no room until some of what it
// remembers expires. It never forgets before.
var ErrReplayFull = errors.New("replay store is full")

const (
	replayShards = 64
	replaySlot   = 10 * time.Second // what expires within one slot is forgotten together

	// DefaultReplay is room for 10,000 proofs a second, in some 100 MB when full.
	DefaultReplay = 1 << 20
)

// MemoryReplay is a ReplayStore for one process. It is exact: an id is
// remembered until its time, and when there is no more room FirstUse fails.
type MemoryReplay struct {
	now    func() time.Time
	most   int          // ids of one shard
	seed   maphash.Seed // so that nobody can make ids that all belong to one shard
	shards [replayShards]replayShard
}

type replayShard struct {
	mu    sync.Mutex
	seen  map[[32]byte]struct{} // guarded by mu
	slots map[int64][][32]byte  // guarded by mu: the same ids, by when they may be forgotten
	swept int64                 // guarded by mu: the slot up to which everything is forgotten
}

// NewMemoryReplay makes a store of at most most ids, rounded up to a multiple of 64.
func NewMemoryReplay(now func() time.Time, most int) *MemoryReplay {
	m := &MemoryReplay{now: now, most: max(1, (most+replayShards-1)/replayShards), seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].seen = make(map[[32]byte]struct{})
		m.shards[i].slots = make(map[int64][][32]byte)
	}
	return m
}

// FirstUse is part of ReplayStore.
func (m *MemoryReplay) FirstUse(_ context.Context, key [32]byte, until time.Time) (bool, error) {
	now := slotOf(m.now())
	s := &m.shards[maphash.Bytes(m.seed, key[:])%replayShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if now > s.swept {
		s.sweep(now)
	}
	if _, used := s.seen[key]; used {
		return false, nil
	}
	if len(s.seen) >= m.most {
		return false, ErrReplayFull
	}
	s.seen[key] = struct{}{}
	slot := slotOf(until)
	s.slots[slot] = append(s.slots[slot], key)
	return true, nil
}

func slotOf(t time.Time) int64 { return t.UnixNano() / int64(replaySlot) }

// sweep forgets the slots that are wholly over. Caller holds mu.
func (s *replayShard) sweep(now int64) {
	for slot, keys := range s.slots {
		if slot >= now {
			continue
		}
		for _, k := range keys {
			delete(s.seen, k)
		}
		delete(s.slots, slot)
	}
	s.swept = now
}

// Len counts what is remembered.
func (m *MemoryReplay) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.seen)
		s.mu.Unlock()
	}
	return n
}
