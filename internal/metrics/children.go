package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// children are the series of one metric, found without a lock once they exist.
type children[K comparable, V any] struct {
	most  int
	child func(K) V
	known atomic.Pointer[map[K]V]
	mu    sync.Mutex // held to add one
}

func newChildren[K comparable, V any](most int, child func(K) V) *children[K, V] {
	c := &children[K, V]{most: most, child: child}
	c.known.Store(&map[K]V{})
	return c
}

// of is the series of k, or of beyond when there are too many already.
func (c *children[K, V]) of(k, beyond K) V {
	if v, ok := (*c.known.Load())[k]; ok {
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := *c.known.Load()
	if _, ok := known[k]; !ok && len(known) >= c.most {
		k = beyond
	}
	if v, ok := known[k]; ok {
		return v
	}
	v := c.child(k)
	grown := maps.Clone(known)
	grown[k] = v
	c.known.Store(&grown)
	return v
}
