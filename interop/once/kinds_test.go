//go:build postgres

package once

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// kind is one kind of thing that may be consumed once.
type kind struct {
	// share is how many of 100 attempts are at such a thing.
	share int
	// rounds is how many times rivals meet at one such thing; 0 is once.
	rounds int64
	// make makes the thing, where it has to be made before it is consumed.
	make    func(ctx context.Context, s *store.Store, key string) error
	consume func(ctx context.Context, n *serving, a attempt) (outcome, error)
}

// serving is what a node has.
type serving struct {
	store         *store.Store
	registrations *registration.Service
}

const registrationKind = "registration_token"

var kinds = map[string]kind{
	"jti":            {share: 56, consume: byKey(useID)},
	"enrolment_code": {share: 11, rounds: 2, make: makeCode, consume: byKey(enrolWithCode)},
	"initial_token":  {share: 11, rounds: 2, make: makeInitialToken, consume: byKey(registerWithToken)},
	"statement":      {share: 11, rounds: 2, make: makeStatement, consume: byKey(registerWithStatement)},
	registrationKind: {share: 11, rounds: 4, make: makeRegistration, consume: holdRegistration},
}

// byKey consumes what is consumed by being named.
func byKey(consume func(ctx context.Context, s *store.Store, key string) (outcome, error)) func(context.Context, *serving, attempt) (outcome, error) {
	return func(ctx context.Context, n *serving, a attempt) (outcome, error) { return consume(ctx, n.store, a.key) }
}

const organisation, application = "org", "app"

func event(action, subject string) audit.Event {
	return audit.Event{At: time.Now(), Actor: "system", Action: action, Organisation: organisation, Subject: subject, Detail: "{}"}
}

// makeOwners makes whose all things are.
func makeOwners(ctx context.Context, s *store.Store) error {
	o := directory.Organisation{ID: organisation, Name: "Acme", State: directory.Active}
	if err := s.CreateOrganisation(ctx, event("organisation.created", organisation), o); err != nil {
		return err
	}
	return s.CreateApplication(ctx, event("application.created", application), newApplication(application))
}

func newApplication(id directory.ClientID) directory.Application {
	return directory.Application{ClientID: id, Organisation: organisation, Name: "App", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP, State: directory.Active}
}

func useID(ctx context.Context, s *store.Store, key string) (outcome, error) {
	err := s.FirstUse(ctx, token.Use{Key: sha256.Sum256([]byte(key)), Until: time.Now().Add(time.Hour)})
	var replayed *token.ReplayedError
	switch {
	case err == nil:
		return first, nil
	case errors.As(err, &replayed):
		return again, nil
	}
	return unknown, err
}

func makeCode(ctx context.Context, s *store.Store, key string) error {
	return s.AddCode(ctx, event("enrolment_code.created", key), enrol.Code{
		ID: key, ClientID: application, Actor: "system", Created: time.Now(), Expires: time.Now().Add(time.Hour),
	}, sha256.Sum256([]byte(key)))
}

// enrolWithCode begins a certificate and finishes it, each attempt another one.
func enrolWithCode(ctx context.Context, s *store.Store, key string) (outcome, error) {
	name := strings.ToLower(rand.Text())
	now := time.Now()
	_, err := s.BeginIssue(ctx, ca.Intent{
		Serial: name, Issuer: "ca", Profile: ca.ClientTransport, Organisation: organisation, ClientID: application, CredentialID: directory.CredentialID(name),
		RequestHash: sha256.Sum256([]byte(name)), Code: key, At: now, RenewAt: now.Add(time.Hour), NotAfter: now.Add(24 * time.Hour),
	})
	if err == nil {
		err = s.FinishIssue(ctx, event("certificate.issued", name), name, []byte(name), directory.Credential{
			ID: directory.CredentialID(name), ClientID: application, Kind: directory.Certificate, State: directory.Published,
			Thumbprint: sha256.Sum256([]byte(name)), Certificate: []byte(name), Issued: true, Created: now, NotAfter: now.Add(24 * time.Hour),
		})
	}
	var waits *ca.BusyError
	switch {
	case err == nil:
		return first, nil
	case errors.As(err, &waits):
		return busy, nil
	case errors.Is(err, ca.ErrCode):
		return again, nil
	}
	return unknown, err
}

func makeInitialToken(ctx context.Context, s *store.Store, key string) error {
	return s.CreateInitialToken(ctx, event("initial_access_token.created", key), registration.InitialToken{
		ID: key, Hash: sha256.Sum256([]byte(key)), Organisation: organisation, Uses: 1, Created: time.Now(), Expires: time.Now().Add(time.Hour), Actor: "system",
	})
}

func makeStatement(ctx context.Context, s *store.Store, key string) error {
	return s.CreateStatement(ctx, event("software_statement.created", key), registration.StatementRecord{
		ID: key, Organisation: organisation, SoftwareID: "software", Claims: []byte("{}"), Standalone: true, Uses: 1,
		Created: time.Now(), Expires: time.Now().Add(time.Hour), Actor: "system",
	})
}

func registerWithToken(ctx context.Context, s *store.Store, key string) (outcome, error) {
	return register(ctx, s, registration.Registration{InitialToken: key})
}

func registerWithStatement(ctx context.Context, s *store.Store, key string) (outcome, error) {
	return register(ctx, s, registration.Registration{Statement: key})
}

func register(ctx context.Context, s *store.Store, r registration.Registration) (outcome, error) {
	r.ClientID = directory.ClientID(strings.ToLower(rand.Text()))
	r.Token = sha256.Sum256([]byte(r.ClientID))
	err := s.Register(ctx, event("client.registered", string(r.ClientID)), registration.Creation{
		Delta: directory.Delta{Applications: []directory.Application{newApplication(r.ClientID)}}, Registration: r, Now: time.Now(),
	})
	switch {
	case err == nil:
		return first, nil
	case errors.Is(err, registration.ErrSpent), errors.Is(err, registration.ErrStatementUsed):
		return again, nil
	}
	return unknown, err
}
