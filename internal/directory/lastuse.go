package directory

import (
	"cmp"
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxUses bounds how many credentials are remembered: what is beyond is not
	// counted, and said so.
	maxUses = 100_000
	// useStep is how exact a last use is: a credential that is used a thousand times
	// a second is written down once.
	useStep = time.Second
	// usesAtOnce is how many go into one transaction, so that no token request waits
	// for a long one.
	usesAtOnce = 1000
	useShards  = 4096 // some 25 credentials in each at most, which a new one copies
)

// LastUse is when a credential last authenticated. Its id is a credential's, or,
// of one that has no record, "x5t-" and "jkt-" with the thumbprint.
type LastUse struct {
	ClientID     ClientID
	CredentialID CredentialID
	At           time.Time
}

// LastUses counts in memory when credentials were last used. Noting a use takes
// no lock and allocates nothing, but for the first use of a credential. Safe for
// concurrent use.
type LastUses struct {
	seed     maphash.Seed
	shards   [useShards]useShard
	count    atomic.Int64
	dropped  atomic.Int64
	flushing sync.Mutex
}

// useShard is an immutable map that is replaced for each new credential.
type useShard struct {
	current atomic.Pointer[map[useKey]*useEntry]
	adding  sync.Mutex // held while current is replaced
}

type useKey struct {
	client     ClientID
	credential CredentialID
}

type useEntry struct {
	at      atomic.Int64 // microseconds
	flushed int64        // the at that is stored; guarded by LastUses.flushing
}

// NewLastUses begins with nothing.
func NewLastUses() *LastUses {
	u := &LastUses{seed: maphash.MakeSeed()}
	for i := range u.shards {
		u.shards[i].current.Store(&map[useKey]*useEntry{})
	}
	return u
}

func (u *LastUses) shard(k useKey) *useShard {
	return &u.shards[maphash.String(u.seed, string(k.credential))%useShards]
}

// Note counts a use at now.
func (u *LastUses) Note(client ClientID, credential CredentialID, now time.Time) {
	k := useKey{client, credential}
	shard := u.shard(k)
	e := (*shard.current.Load())[k]
	if e == nil {
		if e = u.add(shard, k); e == nil {
			return
		}
	}
	at := now.UnixMicro()
	for {
		was := e.at.Load()
		if was != 0 && at < was+useStep.Microseconds() || e.at.CompareAndSwap(was, at) {
			return
		}
	}
}

// add makes the entry of a credential; nil if there are too many.
func (u *LastUses) add(shard *useShard, k useKey) *useEntry {
	shard.adding.Lock()
	defer shard.adding.Unlock()
	old := *shard.current.Load()
	if e := old[k]; e != nil {
		return e
	}
	if u.count.Add(1) > maxUses {
		u.count.Add(-1)
		u.dropped.Add(1)
		return nil
	}
	// The key's texts may be parts of a request, which must not be kept alive.
	e := new(useEntry)
	next := maps.Clone(old)
	next[useKey{ClientID(strings.Clone(string(k.client))), CredentialID(strings.Clone(string(k.credential)))}] = e
	shard.current.Store(&next)
	return e
}

// At is when a credential was last used as far as this process knows; the zero
// time if it does not.
func (u *LastUses) At(client ClientID, credential CredentialID) time.Time {
	k := useKey{client, credential}
	e := (*u.shard(k).current.Load())[k]
	if e == nil || e.at.Load() == 0 {
		return time.Time{}
	}
	return time.UnixMicro(e.at.Load()).UTC()
}

// Dropped is how many uses were not counted because too many others wait to be stored.
func (u *LastUses) Dropped() int64 { return u.dropped.Load() }

// Flush hands everything that is not stored yet to store, in the order of client
// and credential. What it could not store is kept for the next time.
func (u *LastUses) Flush(ctx context.Context, store func(context.Context, []LastUse) error) error {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	type due struct {
		LastUse
		entry *useEntry
		at    int64
	}
	var all []due
	for i := range u.shards {
		for k, e := range *u.shards[i].current.Load() {
			if at := e.at.Load(); at > e.flushed {
				all = append(all, due{LastUse{k.client, k.credential, time.UnixMicro(at).UTC()}, e, at})
			}
		}
	}
	slices.SortFunc(all, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.CredentialID, b.CredentialID))
	})
	for part := range slices.Chunk(all, usesAtOnce) {
		uses := make([]LastUse, len(part))
		for i, d := range part {
			uses[i] = d.LastUse
		}
		if err := store(ctx, uses); err != nil {
			return err
		}
		for _, d := range part {
			d.entry.flushed = d.at
		}
	}
	if u.count.Load() > maxUses/2 {
		u.forget()
	}
	return nil
}

// forget makes room: what is stored and was not used since is known elsewhere. A
// use that is noted meanwhile in an entry that goes may be lost by a second or so.
func (u *LastUses) forget() {
	for i := range u.shards {
		shard := &u.shards[i]
		shard.adding.Lock()
		next := maps.Clone(*shard.current.Load())
		maps.DeleteFunc(next, func(_ useKey, e *useEntry) bool {
			stored := e.at.Load() == e.flushed
			if stored {
				u.count.Add(-1)
			}
			return stored
		})
		shard.current.Store(&next)
		shard.adding.Unlock()
	}
}
