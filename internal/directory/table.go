package directory

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"

	"github.com/holdfast-auth/holdfast/cnf"
)

// shardCount bounds what one change copies: a 256th of the records of its kind.
const shardCount = 256

// table is an immutable map in shards. Whoever changes it makes an edit, which
// shares the shards that it does not touch.
type table[K comparable, V any] struct {
	shard  func(K) uint8
	shards []map[K]V // shardCount long
}

func newTable[K comparable, V any](shard func(K) uint8) table[K, V] {
	return table[K, V]{shard, make([]map[K]V, shardCount)}
}

func (t *table[K, V]) get(k K) (V, bool) {
	v, ok := t.shards[t.shard(k)][k]
	return v, ok
}

func (t *table[K, V]) all() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, shard := range t.shards {
			for _, v := range shard {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// edit is a table that is being made. It must not be used once its table is shared.
type edit[K comparable, V any] struct {
	table[K, V]
	own [shardCount]bool
	any bool
}

func (t table[K, V]) edit() *edit[K, V] { return &edit[K, V]{table: t} }

// writable makes the shard its own, once.
func (e *edit[K, V]) writable(i uint8) map[K]V {
	if e.own[i] {
		return e.shards[i]
	}
	if !e.any {
		e.shards, e.any = slices.Clone(e.shards), true
	}
	if e.shards[i] == nil {
		e.shards[i] = map[K]V{}
	} else {
		e.shards[i] = maps.Clone(e.shards[i])
	}
	e.own[i] = true
	return e.shards[i]
}

func (e *edit[K, V]) set(k K, v V) { e.writable(e.shard(k))[k] = v }

func (e *edit[K, V]) delete(k K) {
	if _, ok := e.get(k); ok {
		delete(e.writable(e.shard(k)), k)
	}
}

// byText spreads string keys over the shards.
func byText[K ~string](seed maphash.Seed) func(K) uint8 {
	return func(k K) uint8 { return uint8(maphash.String(seed, string(k))) }
}

// byDigest spreads thumbprints, which are evenly spread themselves.
func byDigest(t cnf.Thumbprint) uint8 { return t[0] }

// clientKey is a thumbprint within one application.
type clientKey struct {
	client     ClientID
	thumbprint cnf.Thumbprint
}

// tokenKey is a jti within one application: what another says of it ends nothing.
type tokenKey struct {
	client ClientID
	id     string
}

func byTokenKey(seed maphash.Seed) func(tokenKey) uint8 {
	text := byText[string](seed)
	return func(k tokenKey) uint8 { return text(k.id) }
}

func byClientKey(k clientKey) uint8 { return k.thumbprint[0] }
