package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/idempotency"
)

func pending(key, request, answer string) *idempotency.Pending {
	return &idempotency.Pending{Record: idempotency.Record{
		Key: sha256.Sum256([]byte(key)), Request: sha256.Sum256([]byte(request)), Answer: []byte(answer), Until: at.Add(idempotency.Life),
	}}
}

func runIdempotency(t *testing.T, fresh func(t *testing.T) Database) {
	create := func(s directory.Store, p *idempotency.Pending, id string) error {
		return s.CreateOrganisation(idempotency.With(t.Context(), p), event("organisation.created", id), directory.Organisation{ID: directory.OrganisationID(id), Name: id, State: directory.Active})
	}
	t.Run("the record comes with the change, on every node and after a restart", func(t *testing.T) {
		open := fresh(t)
		s := open(t)
		p := pending("k", "r", "a")
		must(t, create(s, p, "one"))
		must(t, s.Close())
		got, err := open(t).Remembered(t.Context(), p.Key, at)
		must(t, err)
		if !p.Stored || got.Request != p.Request || !bytes.Equal(got.Answer, p.Answer) || !got.Until.Equal(p.Until) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a change that was refused leaves none, and a used key refuses the change", func(t *testing.T) {
		s := fresh(t)(t)
		must(t, create(s, pending("k", "r", "a"), "one"))
		other := pending("k2", "r", "a")
		is(t, create(s, other, "one"), directory.ErrExists)
		_, err := s.Remembered(t.Context(), other.Key, at)
		is(t, err, directory.ErrNotFound)
		is(t, create(s, pending("k", "r", "a"), "two"), idempotency.ErrUsed)
		d, err := s.Load(t.Context(), 0)
		must(t, err)
		if d.Sequence != 1 || len(d.Organisations) != 1 || other.Stored {
			t.Errorf("%+v", d)
		}
	})
	t.Run("of two changes of one request the first leaves it", func(t *testing.T) {
		s := fresh(t)(t)
		p := pending("k", "r", "")
		must(t, create(s, p, "one"))
		must(t, create(s, p, "two"))
		p.Answer = []byte("answer")
		must(t, s.Remember(t.Context(), p))
		p.Answer = []byte("another")
		must(t, s.Remember(t.Context(), p))
		got, err := s.Remembered(t.Context(), p.Key, at)
		must(t, err)
		if string(got.Answer) != "answer" {
			t.Errorf("%q: an answer is given once", got.Answer)
		}
	})
	t.Run("a request that changed nothing is remembered by itself, once", func(t *testing.T) {
		s := fresh(t)(t)
		must(t, s.Remember(t.Context(), pending("k", "r", "a")))
		is(t, s.Remember(t.Context(), pending("k", "r", "b")), idempotency.ErrUsed)
	})
	t.Run("a key is forgotten after its time, and may be used again", func(t *testing.T) {
		s := fresh(t)(t)
		p := pending("k", "r", "a")
		must(t, create(s, p, "one"))
		_, err := s.Remembered(t.Context(), p.Key, p.Until)
		is(t, err, directory.ErrNotFound)
		must(t, s.Prune(t.Context(), p.Until.Add(-time.Microsecond)))
		_, err = s.Remembered(t.Context(), p.Key, at)
		must(t, err)
		again := pending("k", "other", "b")
		again.Until = p.Until.Add(idempotency.Life)
		must(t, s.Remember(t.Context(), again))
		must(t, s.Prune(t.Context(), again.Until))
		_, err = s.Remembered(t.Context(), p.Key, at)
		is(t, err, directory.ErrNotFound)
	})
	t.Run("of many nodes that make one request at once, one makes the change", func(t *testing.T) {
		open := fresh(t)
		nodes := []directory.Store{open(t), open(t)}
		var wg sync.WaitGroup
		results := make([]error, 16)
		for i := range results {
			wg.Go(func() { results[i] = create(nodes[i%2], pending("k", "r", "a"), fmt.Sprint("o", i)) })
		}
		wg.Wait()
		made := 0
		for _, err := range results {
			switch {
			case err == nil:
				made++
			case !errors.Is(err, idempotency.ErrUsed):
				t.Error(err)
			}
		}
		d, err := nodes[0].Load(context.Background(), 0)
		must(t, err)
		if made != 1 || len(d.Organisations) != 1 || d.Sequence != 1 {
			t.Errorf("%d made, %d there", made, len(d.Organisations))
		}
	})
}
