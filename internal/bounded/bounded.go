// Package bounded remembers values under SHA-256 digests, never more of them
// than it was told. What was not asked for lately is forgotten first, so it is
// for what can be made again: verdicts and grants, never what must not be lost.
package bounded

import "sync"

const shards = 16

// Key is a SHA-256 digest, or random bytes: its first byte chooses the shard.
type Key = [32]byte

// Map remembers at most as many values as New was told. Safe for concurrent use.
type Map[V any] struct {
	shards [shards]shard[V]
}

// shard keeps two generations: reading moves a value into the young one, and
// when that is full the old one is dropped.
type shard[V any] struct {
	mu         sync.RWMutex
	young, old map[Key]V // guarded by mu
	most       int       // values of one generation
}

// New makes a map of at most most values, and room for one in each shard.
func New[V any](most int) *Map[V] {
	m := new(Map[V])
	for i := range m.shards {
		m.shards[i].most = max(1, most/(2*shards))
		m.shards[i].young = make(map[Key]V)
	}
	return m
}

// Load finds the value of key.
func (m *Map[V]) Load(key Key) (value V, ok bool) {
	s := &m.shards[key[0]%shards]
	s.mu.RLock()
	value, ok = s.young[key]
	aged := false
	if !ok {
		value, aged = s.old[key]
	}
	s.mu.RUnlock()
	if aged {
		m.Store(key, value)
	}
	return value, ok || aged
}

// Store remembers value under key, in place of what was there.
func (m *Map[V]) Store(key Key, value V) {
	s := &m.shards[key[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.young[key]; !ok && len(s.young) >= s.most {
		s.young, s.old = make(map[Key]V, s.most), s.young
	}
	s.young[key] = value
}

// Len counts the values, those of both generations twice.
func (m *Map[V]) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.RLock()
		n += len(s.young) + len(s.old)
		s.mu.RUnlock()
	}
	return n
}
