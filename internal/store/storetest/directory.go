package storetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

func runChain(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("an empty database has the empty chain", func(t *testing.T) {
		s := fresh(t)(t)
		head, err := s.VerifyChain(ctx)
		must(t, err)
		events, err := s.Events(ctx, 0, 10)
		must(t, err)
		delta, err := s.Load(ctx, 0)
		must(t, err)
		if head != (audit.Head{}) || len(events) != 0 || delta.Sequence != 0 || records(delta) != 0 {
			t.Fatalf("head %v, events %v, delta %v", head, events, delta)
		}
	})
	t.Run("each change appends one event as it was given, sealed after the last", func(t *testing.T) {
		w := newWorld(t, fresh)
		events, err := w.Events(ctx, 0, 100)
		must(t, err)
		want := []audit.Event{
			event("organisation.created", "org"), event("application.created", "server"),
			event("resource.created", resourceURI), event("application.created", "app"),
		}
		var previous [32]byte
		for i := range want {
			want[i].Sequence = int64(i + 1)
			want[i].Seal(previous)
			previous = want[i].Hash
		}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Fatal(diff)
		}
		head, err := w.VerifyChain(ctx)
		must(t, err)
		if again, err := w.Head(ctx); err != nil || head != again || head != (audit.Head{Sequence: 4, Hash: previous}) {
			t.Fatalf("verified to %d, head at %d, %v", head.Sequence, again.Sequence, err)
		}
	})
	t.Run("events are read from where one says and no more than one asks for", func(t *testing.T) {
		w := newWorld(t, fresh)
		events, err := w.Events(ctx, 1, 2)
		must(t, err)
		if len(events) != 2 || events[0].Sequence != 2 || events[1].Sequence != 3 {
			t.Fatalf("%+v", events)
		}
	})
	t.Run("a change that was decided on an older state is stale and leaves nothing", func(t *testing.T) {
		w := newWorld(t, fresh)
		for _, sequence := range []int64{1, 4, 6} {
			w.refused(t, directory.ErrStale, func() error {
				e := event("organisation.created", "late")
				e.Sequence = sequence
				return w.CreateOrganisation(ctx, e, directory.Organisation{ID: "late", Name: "Late", State: directory.Active})
			})
		}
		e := event("organisation.created", "next")
		e.Sequence = 5
		must(t, w.CreateOrganisation(ctx, e, directory.Organisation{ID: "next", Name: "Next", State: directory.Active}))
	})
	t.Run("only what is newer is loaded", func(t *testing.T) {
		w := newWorld(t, fresh)
		app := w.application(t, "app")
		app.State = directory.Suspended
		must(t, w.Put(ctx, event("application.suspended", "app"), directory.Delta{Applications: []directory.Application{app}}))
		delta, err := w.Load(ctx, 4)
		must(t, err)
		if delta.Sequence != 5 || records(delta) != 1 || delta.Applications[0].State != directory.Suspended || len(delta.Applications[0].Grants) != 1 {
			t.Fatalf("%+v", delta)
		}
		for _, after := range []int64{5, 6} {
			delta, err := w.Load(ctx, after)
			must(t, err)
			if delta.Sequence != 5 || records(delta) != 0 {
				t.Fatalf("after %d: %+v", after, delta)
			}
		}
	})
}

func runRestart(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("everything is there after a restart", func(t *testing.T) {
		w := newWorld(t, fresh)
		before := w.loaded(t)
		must(t, w.Close())
		w.Store = w.open(t)
		if diff := cmp.Diff(before, w.loaded(t)); diff != "" {
			t.Fatal(diff)
		}
		head, err := w.VerifyChain(ctx)
		must(t, err)
		if head.Sequence != 4 {
			t.Fatalf("head at %d", head.Sequence)
		}
	})
	t.Run("a context that has ended changes nothing", func(t *testing.T) {
		w := newWorld(t, fresh)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := w.Load(ended, 0); err == nil {
			t.Error("loaded")
		}
		if _, err := w.VerifyChain(ended); err == nil {
			t.Error("verified")
		}
	})
}

func runDirectory(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("records come back as they were", func(t *testing.T) {
		w := newWorld(t, fresh)
		credentials := []directory.Credential{
			signingKey(t, "c1", "app", 1, "k1"), certificate("c2", "app", "a certificate"), dpopKey("c3", "app", [32]byte{3}),
		}
		for _, c := range credentials {
			must(t, w.CreateCredential(ctx, event("credential.registered", string(c.ID)), c))
		}
		revoked := directory.RevokedToken{ClientID: "app", ID: "jti", Expires: at}
		must(t, w.RevokeToken(ctx, event("token.revoked", "jti"), revoked))
		app := application("app")
		app.Binding, app.RequireNonce = "dpop", true
		app.Grants = []directory.Grant{{Resource: resourceURI, Scopes: []string{"read", "write"}}}
		server := application("server")
		app.Changed, server.Changed = 4, 2
		for i := range credentials {
			credentials[i].Changed = int64(5 + i)
		}
		want := directory.Delta{
			Sequence:      8,
			Organisations: []directory.Organisation{{ID: "org", Name: "Acme", State: directory.Active, Changed: 1}},
			Applications:  []directory.Application{app, server},
			Resources: []directory.Resource{{
				URI: resourceURI, Organisation: "org", Name: "Payments", Scopes: []string{"write", "read"}, Servers: []directory.ClientID{"server"}, State: directory.Active, Changed: 3,
			}},
			Credentials: credentials,
			Revoked:     []directory.RevokedToken{revoked},
		}
		if diff := cmp.Diff(want, w.loaded(t), sameKey); diff != "" {
			t.Fatal(diff)
		}
	})
	t.Run("grants of several resources come back apart and in order", func(t *testing.T) {
		w := newWorld(t, fresh)
		const other = "https://api.example/reports"
		must(t, w.CreateResource(ctx, event("resource.created", other), directory.Resource{URI: other, Organisation: "org", Name: "Reports", Scopes: []string{"a", "b"}}))
		a := application("both")
		a.Grants = []directory.Grant{{Resource: other, Scopes: []string{"b", "a"}}, {Resource: resourceURI, Scopes: []string{"read"}}}
		must(t, w.CreateApplication(ctx, event("application.created", "both"), a))
		a.Changed = 6
		delta, err := w.Load(ctx, 5)
		must(t, err)
		if diff := cmp.Diff([]directory.Application{a}, delta.Applications); diff != "" {
			t.Fatal(diff)
		}
	})
	for _, c := range []struct {
		name   string
		target error
		change func(w *world) error
	}{
		{"an organisation twice", directory.ErrExists, func(w *world) error {
			return w.CreateOrganisation(ctx, event("x", "y"), directory.Organisation{ID: "org", Name: "Other", State: directory.Active})
		}},
		{"an application twice", directory.ErrExists, func(w *world) error {
			return w.CreateApplication(ctx, event("x", "y"), application("app"))
		}},
		{"a resource twice", directory.ErrExists, func(w *world) error {
			return w.CreateResource(ctx, event("x", "y"), directory.Resource{URI: resourceURI, Organisation: "org", Name: "P", Scopes: []string{"new"}})
		}},
		{"a scope of another resource", directory.ErrExists, func(w *world) error {
			return w.CreateResource(ctx, event("x", "y"), directory.Resource{URI: "https://other.example", Organisation: "org", Name: "P", Scopes: []string{"new", "read"}})
		}},
		{"a server twice", directory.ErrExists, func(w *world) error {
			return w.CreateResource(ctx, event("x", "y"), directory.Resource{
				URI: "https://other.example", Organisation: "org", Name: "P", Scopes: []string{"new"}, Servers: []directory.ClientID{"app", "app"},
			})
		}},
		{"a grant of a scope that no resource has", directory.ErrNotFound, func(w *world) error {
			a := application("new")
			a.Grants = []directory.Grant{{Resource: resourceURI, Scopes: []string{"read", "none"}}}
			return w.CreateApplication(ctx, event("x", "y"), a)
		}},
		{"a grant of another resource's scope", directory.ErrNotFound, func(w *world) error {
			a := application("new")
			a.Grants = []directory.Grant{{Resource: "https://other.example", Scopes: []string{"read"}}}
			return w.CreateApplication(ctx, event("x", "y"), a)
		}},
	} {
		t.Run(c.name+" is refused and leaves nothing", func(t *testing.T) {
			w := newWorld(t, fresh)
			w.refused(t, c.target, func() error { return c.change(w) })
		})
	}
	runReferences(t, fresh)
}

// runReferences looks at records that refer to what does not exist: whatever the
// error is, nothing of them may stay.
func runReferences(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		change func(w *world) error
	}{
		{"an application of no organisation", func(w *world) error {
			a := application("new")
			a.Organisation = "none"
			return w.CreateApplication(ctx, event("x", "y"), a)
		}},
		{"a resource of no organisation", func(w *world) error {
			return w.CreateResource(ctx, event("x", "y"), directory.Resource{URI: "https://other.example", Organisation: "none", Name: "P", Scopes: []string{"new"}})
		}},
		{"a resource with a server that does not exist", func(w *world) error {
			return w.CreateResource(ctx, event("x", "y"), directory.Resource{
				URI: "https://other.example", Organisation: "org", Name: "P", Scopes: []string{"new"}, Servers: []directory.ClientID{"none"},
			})
		}},
		{"a credential of no application", func(w *world) error {
			return w.CreateCredential(ctx, event("x", "y"), certificate("new", "none", "der"))
		}},
	} {
		t.Run(c.name+" is refused and leaves nothing", func(t *testing.T) {
			w := newWorld(t, fresh)
			var got error
			w.refused(t, nil, func() error { got = c.change(w); return nil })
			if got == nil {
				t.Fatal("stored")
			}
		})
	}
}

func runStates(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("thumbprint and kid are registered once for an application", func(t *testing.T) {
		w := newWorld(t, fresh)
		add := func(c directory.Credential) error {
			return w.CreateCredential(ctx, event("credential.registered", string(c.ID)), c)
		}
		must(t, add(signingKey(t, "c1", "app", 1, "k1")))
		must(t, add(certificate("c2", "app", "der")))
		w.refused(t, directory.ErrExists, func() error { return add(signingKey(t, "c1", "app", 9, "k9")) })
		w.refused(t, directory.ErrExists, func() error { return add(signingKey(t, "c3", "app", 1, "k2")) })
		w.refused(t, directory.ErrExists, func() error { return add(signingKey(t, "c3", "app", 2, "k1")) })
		w.refused(t, directory.ErrExists, func() error { return add(certificate("c3", "app", "der")) })
		must(t, add(signingKey(t, "c3", "server", 2, "k1"))) // a kid is the application's own
		must(t, add(signingKey(t, "c4", "server", 1, "k2"))) // and so is a public key,
		must(t, add(certificate("c5", "server", "der")))     // and a certificate
	})
	t.Run("a DPoP key may serve two applications, and each names it once", func(t *testing.T) {
		w := newWorld(t, fresh)
		key := signingKey(t, "c0", "app", 1, "k1")
		must(t, w.CreateCredential(ctx, event("credential.registered", "c0"), key))
		must(t, w.CreateCredential(ctx, event("credential.revoked", "c1"), dpopKey("c1", "app", key.Thumbprint)))
		must(t, w.CreateCredential(ctx, event("credential.revoked", "c2"), dpopKey("c2", "server", key.Thumbprint)))
		w.refused(t, directory.ErrExists, func() error {
			return w.CreateCredential(ctx, event("credential.revoked", "c3"), dpopKey("c3", "app", key.Thumbprint))
		})
	})
	t.Run("a token is revoked once for each application, and kept as long as anybody asked", func(t *testing.T) {
		w := newWorld(t, fresh)
		token := directory.RevokedToken{ClientID: "app", ID: "jti", Expires: at}
		must(t, w.RevokeToken(ctx, event("token.revoked", "jti"), token))
		w.refused(t, directory.ErrExists, func() error { return w.RevokeToken(ctx, event("token.revoked", "jti"), token) })
		other := token
		other.ClientID = "server"
		must(t, w.RevokeToken(ctx, event("token.revoked", "jti"), other))
		longer, shorter := token, token
		longer.Expires, shorter.Expires = at.Add(time.Hour), at.Add(-time.Hour)
		must(t, w.RevokeToken(ctx, event("token.revoked", "jti"), longer))
		w.refused(t, directory.ErrExists, func() error { return w.RevokeToken(ctx, event("token.revoked", "jti"), shorter) })
		revoked := w.loaded(t).Revoked
		slices.SortFunc(revoked, func(a, b directory.RevokedToken) int { return strings.Compare(string(a.ClientID), string(b.ClientID)) })
		if diff := cmp.Diff([]directory.RevokedToken{longer, other}, revoked); diff != "" {
			t.Error(diff)
		}
	})
}
