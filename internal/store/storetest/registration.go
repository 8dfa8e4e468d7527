package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
)

func initialToken(id string, uses int) registration.InitialToken {
	return registration.InitialToken{
		ID: id, Hash: registration.Hash{1, byte(len(id)), id[len(id)-1]}, Organisation: "org", Uses: uses, Created: at, Expires: at.Add(time.Hour), Actor: "operator",
		Limits: registration.Limits{
			Limited: true, Grants: []directory.Grant{{Resource: resourceURI, Scopes: []string{"read"}}}, Roles: []directory.RoleID{"reader"},
			Names: []directory.TLSName{{Kind: directory.NameDNS, Value: "a.example"}},
		},
	}
}

func statementRecord(id string, uses int) registration.StatementRecord {
	return registration.StatementRecord{
		ID: id, Organisation: "org", SoftwareID: "soft", Claims: []byte(`{"jti":"` + id + `"}`), Standalone: true, Uses: uses, Created: at, Expires: at.Add(time.Hour), Actor: "operator",
	}
}

// creation is a client with a key of its own.
func creation(t *testing.T, id directory.ClientID, seed byte, token, statement string) registration.Creation {
	return registration.Creation{
		Now: at,
		Delta: directory.Delta{
			Applications: []directory.Application{application(id)},
			Credentials:  []directory.Credential{signingKey(t, directory.CredentialID("key-"+id), id, seed, "k")},
		},
		Registration: registration.Registration{
			ClientID: id, Issued: at, SoftwareID: "soft", SoftwareVersion: "1", SigningAlg: "EdDSA", InitialToken: token, Statement: statement,
			Limits: registration.Limits{Limited: true, Roles: []directory.RoleID{"reader"}}, Fixed: []byte(`{"a":1}`), Token: registration.Hash{9, seed},
		},
	}
}

func runRegistration(t *testing.T, fresh func(t *testing.T) Database) {
	t.Run("tokens and statements", func(t *testing.T) { runAdmissions(t, newWorld(t, fresh)) })
	t.Run("a registration is made whole or not at all", func(t *testing.T) { runCreation(t, newWorld(t, fresh)) })
	t.Run("registration access tokens", func(t *testing.T) { runTokens(t, newWorld(t, fresh)) })
	t.Run("one use is one use, on two nodes", func(t *testing.T) { runAdmissionRace(t, newWorld(t, fresh)) })
}

func runAdmissions(t *testing.T, w *world) {
	ctx := context.Background()
	token, statement := initialToken("iat-1", 2), statementRecord("sst-1", 2)
	must(t, w.CreateInitialToken(ctx, event("initial_access_token.created", token.ID), token))
	must(t, w.CreateInitialToken(ctx, event("initial_access_token.created", "iat-2"), initialToken("iat-2", 1)))
	must(t, w.CreateStatement(ctx, event("software_statement.created", statement.ID), statement))
	must(t, w.CreateStatement(ctx, event("software_statement.created", "sst-2"), statementRecord("sst-2", 1)))
	w.refused(t, directory.ErrExists, func() error { return w.CreateInitialToken(ctx, event("x", token.ID), token) })
	w.refused(t, directory.ErrExists, func() error { return w.CreateStatement(ctx, event("x", statement.ID), statement) })
	for _, s := range []*store.Store{w.Store, w.open(t)} { // as it was made, on another node too
		got, err := s.InitialToken(ctx, token.Hash)
		must(t, err)
		record, err := s.Statement(ctx, statement.ID)
		must(t, err)
		if diff := cmp.Diff(token, got) + cmp.Diff(statement, record); diff != "" {
			t.Error(diff)
		}
	}
	_, err := w.InitialToken(ctx, registration.Hash{7})
	is(t, err, directory.ErrNotFound)
	_, err = w.Statement(ctx, "none")
	is(t, err, directory.ErrNotFound)
	page, err := w.InitialTokens(ctx, "org", "", 1)
	must(t, err)
	rest, err := w.InitialTokens(ctx, "org", "iat-1", 10)
	must(t, err)
	none, err := w.InitialTokens(ctx, "other", "", 10)
	must(t, err)
	if len(page) != 1 || page[0].ID != "iat-1" || len(rest) != 1 || rest[0].ID != "iat-2" || len(none) != 0 {
		t.Errorf("%v, %v, %v", page, rest, none)
	}
	statements, err := w.Statements(ctx, "org", "sst-1", 10)
	must(t, err)
	if len(statements) != 1 || statements[0].ID != "sst-2" {
		t.Errorf("%v", statements)
	}
	must(t, w.RevokeInitialToken(ctx, event("initial_access_token.revoked", "iat-1"), "org", "iat-1"))
	must(t, w.RevokeStatement(ctx, event("software_statement.revoked", "sst-1"), "org", "sst-1"))
	got, err := w.InitialToken(ctx, token.Hash)
	must(t, err)
	record, err := w.Statement(ctx, "sst-1")
	must(t, err)
	if !got.Revoked.Equal(at) || !record.Revoked.Equal(at) {
		t.Errorf("revoked %s, %s", got.Revoked, record.Revoked)
	}
	for _, revoke := range []func(o directory.OrganisationID, id string) error{
		func(o directory.OrganisationID, id string) error {
			return w.RevokeInitialToken(ctx, event("x", id), o, id)
		},
		func(o directory.OrganisationID, id string) error {
			return w.RevokeStatement(ctx, event("x", id), o, map[string]string{"iat-1": "sst-1", "iat-2": "sst-2"}[id])
		},
	} {
		w.refused(t, directory.ErrState, func() error { return revoke("org", "iat-1") })
		w.refused(t, directory.ErrNotFound, func() error { return revoke("other", "iat-2") }) // another organisation's
		w.refused(t, directory.ErrNotFound, func() error { return revoke("org", "none") })
	}
}

func runCreation(t *testing.T, w *world) {
	ctx := context.Background()
	must(t, w.CreateInitialToken(ctx, event("x", "iat-1"), initialToken("iat-1", 2)))
	must(t, w.CreateInitialToken(ctx, event("x", "iat-old"), initialToken("iat-old", 5)))
	must(t, w.CreateStatement(ctx, event("x", "sst-1"), statementRecord("sst-1", 1)))
	must(t, w.CreateStatement(ctx, event("x", "sst-2"), statementRecord("sst-2", 9)))
	register := func(c registration.Creation) error {
		return w.Register(ctx, event("application.registered", string(c.Registration.ClientID)), c)
	}
	first := creation(t, "first", 11, "iat-1", "sst-1")
	must(t, register(first))
	got, err := w.Registration(ctx, "first")
	must(t, err)
	if diff := cmp.Diff(first.Registration, got); diff != "" {
		t.Error(diff)
	}
	w.refused(t, registration.ErrStatementUsed, func() error { return register(creation(t, "second", 12, "iat-1", "sst-1")) })
	twice := creation(t, "second", 11, "iat-1", "sst-2")
	twice.Delta.Credentials = append(twice.Delta.Credentials, signingKey(t, "key-again", "second", 11, "k2"))
	w.refused(t, directory.ErrExists, func() error { return register(twice) })
	w.refused(t, directory.ErrExists, func() error { return register(creation(t, "first", 12, "iat-1", "sst-2")) })
	late := creation(t, "second", 12, "iat-1", "")
	late.Now = at.Add(time.Hour)
	w.refused(t, registration.ErrSpent, func() error { return register(late) })
	late.Registration.InitialToken, late.Registration.Statement = "", "sst-2"
	w.refused(t, registration.ErrStatementUsed, func() error { return register(late) })
	used := func(id byte, want int) {
		t.Helper()
		token, err := w.InitialToken(ctx, registration.Hash{1, 5, id})
		must(t, err)
		if token.Used != want {
			t.Errorf("used %d times, want %d", token.Used, want)
		}
	}
	used('1', 1)                                                   // what was refused used nothing up
	must(t, register(creation(t, "second", 11, "iat-1", "sst-2"))) // the public key of another application harms nobody
	used('1', 2)
	w.refused(t, registration.ErrSpent, func() error { return register(creation(t, "third", 13, "iat-1", "")) })
	must(t, w.RevokeInitialToken(ctx, event("x", "iat-old"), "org", "iat-old"))
	must(t, w.RevokeStatement(ctx, event("x", "sst-2"), "org", "sst-2"))
	w.refused(t, registration.ErrSpent, func() error { return register(creation(t, "third", 13, "iat-old", "")) })
	w.refused(t, registration.ErrStatementUsed, func() error { return register(creation(t, "third", 13, "", "sst-2")) })
	record, err := w.Statement(ctx, "sst-1")
	must(t, err)
	if record.Used != 1 || !cmp.Equal(record.Clients, []directory.ClientID{"first"}) {
		t.Errorf("%+v", record)
	}
	for want, of := range map[directory.ClientID][2]string{"first": {"", "sst-1"}, "second": {"", "sst-2"}} {
		if id, err := w.FirstOf(ctx, of[0], of[1]); err != nil || id != want {
			t.Errorf("%v: %s %v", of, id, err)
		}
	}
	if id, err := w.FirstOf(ctx, "iat-1", ""); err != nil || id != "first" {
		t.Errorf("%s %v", id, err)
	}
	_, err = w.FirstOf(ctx, "iat-old", "")
	is(t, err, directory.ErrNotFound)
}

func runTokens(t *testing.T, w *world) {
	ctx := context.Background()
	c := creation(t, "app-1", 21, "", "")
	must(t, w.Register(ctx, event("application.registered", "app-1"), c))
	is(t, errOf(w.Registration(ctx, "none")), directory.ErrNotFound)
	first := c.Registration.Token
	update := func(presented, next registration.Hash, edit func(*registration.Change)) error {
		change := registration.Change{Registration: c.Registration, Presented: presented, Next: next, Now: at}
		if edit != nil {
			edit(&change)
		}
		return w.Update(ctx, event("application.updated", "app-1"), change)
	}
	tokens := func(token, previous registration.Hash) {
		t.Helper()
		r, err := w.Registration(ctx, "app-1")
		must(t, err)
		if r.Token != token || r.Previous != previous {
			t.Fatalf("tokens %v, %v", r.Token, r.Previous)
		}
	}
	lost, second, third := registration.Hash{1}, registration.Hash{2}, registration.Hash{3}
	must(t, update(first, lost, nil))
	tokens(lost, first)
	must(t, update(first, second, func(c *registration.Change) {
		c.Registration.SoftwareID, c.Registration.SoftwareVersion, c.Registration.SigningAlg = "other", "2", ""
		a := application("app-1")
		a.Name = "Renamed"
		c.Delta.Applications = []directory.Application{a}
	}))
	tokens(second, first)
	if r, err := w.Registration(ctx, "app-1"); err != nil || r.SoftwareID != "other" || r.SoftwareVersion != "2" || r.SigningAlg != "" || w.application(t, "app-1").Name != "Renamed" {
		t.Errorf("%+v %v", r, err)
	}
	w.refused(t, registration.ErrToken, func() error { return update(lost, third, nil) })
	w.refused(t, registration.ErrToken, func() error { return update(registration.Hash{}, third, nil) })
	w.refused(t, registration.ErrStatementUsed, func() error {
		return update(second, third, func(c *registration.Change) { c.Statement = "none" })
	})
	must(t, w.UseToken(ctx, "app-1", first)) // which is not the last: nothing ends
	tokens(second, first)
	must(t, w.UseToken(ctx, "app-1", second))
	tokens(second, registration.Hash{})
	w.refused(t, registration.ErrToken, func() error { return w.UseToken(ctx, "app-1", first) })
	w.refused(t, registration.ErrToken, func() error { return w.UseToken(ctx, "app-1", lost) })
	w.refused(t, registration.ErrToken, func() error { return update(first, third, nil) })
	must(t, update(second, third, nil))
	tokens(third, second)
	must(t, w.ReplaceToken(ctx, event("registration.token_recovered", "app-1"), "app-1", first))
	tokens(first, registration.Hash{})
	w.refused(t, directory.ErrNotFound, func() error { return w.ReplaceToken(ctx, event("x", "none"), "none", first) })
	gone := application("app-1")
	gone.State = directory.Revoked
	end := func(presented registration.Hash) error {
		return w.End(ctx, event("application.revoked", "app-1"), directory.Delta{Applications: []directory.Application{gone}}, "app-1", presented)
	}
	w.refused(t, registration.ErrToken, func() error { return end(second) })
	must(t, end(first))
	tokens(registration.Hash{}, registration.Hash{})
	if w.application(t, "app-1").State != directory.Revoked {
		t.Error("it is not revoked")
	}
	w.refused(t, registration.ErrToken, func() error { return end(first) })
	must(t, w.End(ctx, event("registration.token_revoked", "app-1"), directory.Delta{}, "app-1", registration.Hash{}))
	w.refused(t, directory.ErrNotFound, func() error { return w.End(ctx, event("x", "none"), directory.Delta{}, "none", registration.Hash{}) })
}

func errOf[T any](_ T, err error) error { return err }

// runAdmissionRace has two nodes use tokens and statements at once.
func runAdmissionRace(t *testing.T, w *world) {
	ctx := context.Background()
	nodes := []*store.Store{w.Store, w.open(t)}
	const askers, uses = 24, 5
	for i, admit := range []struct{ token, statement string }{{"iat-1", ""}, {"", "sst-1"}, {"iat-5", "sst-5"}} {
		n := 1
		if i == 2 {
			n = uses
		}
		if admit.token != "" {
			must(t, w.CreateInitialToken(ctx, event("x", admit.token), initialToken(admit.token, n)))
		}
		if admit.statement != "" {
			must(t, w.CreateStatement(ctx, event("x", admit.statement), statementRecord(admit.statement, n)))
		}
		var wg sync.WaitGroup
		results := make([]error, askers)
		for k := range askers {
			id := directory.ClientID(fmt.Sprintf("race-%d-%d", i, k))
			c := creation(t, id, byte(100+i*askers+k), admit.token, admit.statement)
			wg.Go(func() {
				results[k] = nodes[k%2].Register(ctx, event("application.registered", string(id)), c)
			})
		}
		wg.Wait()
		made := 0
		for _, err := range results {
			switch {
			case err == nil:
				made++
			case !errors.Is(err, registration.ErrSpent) && !errors.Is(err, registration.ErrStatementUsed):
				t.Error(err)
			}
		}
		clients := 0
		for _, a := range w.loaded(t).Applications {
			var of, k int
			if _, err := fmt.Sscanf(string(a.ClientID), "race-%d-%d", &of, &k); err == nil && of == i {
				clients++
			}
		}
		if made != n || clients != n {
			t.Errorf("%v: %d of %d uses, %d clients", admit, made, n, clients)
		}
	}
	_, err := w.VerifyChain(ctx)
	must(t, err)
}
