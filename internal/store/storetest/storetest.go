// Package storetest is what every database must pass under internal/store: that
// a change and its event are one, that what was refused left nothing, that what
// was reported is there after a restart, and that single use is exact however
// many ask at once, on one node or on two.
package storetest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// Database opens one database, again at each call, as another node would. The
// store is closed at the end of the test if the test did not close it.
type Database func(t *testing.T) *store.Store

// Run runs the suite; fresh makes an empty database.
func Run(t *testing.T, fresh func(t *testing.T) Database) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, fresh func(t *testing.T) Database)
	}{
		{"chain", runChain},
		{"restart", runRestart},
		{"directory", runDirectory},
		{"states", runStates},
		{"put", runPut},
		{"keys", runKeys},
		{"issue", runIssue},
		{"enrolment", runEnrolment},
		{"crl", runCRL},
		{"meta", runMeta},
		{"uses", runUses},
		{"registration", runRegistration},
		{"pruning", runPruning},
		{"recover", runRecover},
		{"nodes", runNodes},
		{"checkpoints", runCheckpoints},
		{"selection", runSelection},
		{"last used", runLastUsed},
		{"notices", runNotices},
		{"idempotency", runIdempotency},
		{"closed", runClosed},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, fresh) })
	}
}

// at is the time of everything here.
var at = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func event(action, subject string) audit.Event {
	return audit.Event{At: at, Actor: "operator", Action: action, Organisation: "org", Subject: subject, Detail: `{"a":1}`}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is fails unless err is target.
func is(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

// world is a database with one of everything that others refer to.
type world struct {
	*store.Store
	open Database
}

const resourceURI = "https://api.example/payments"

func newWorld(t *testing.T, fresh func(t *testing.T) Database) *world {
	t.Helper()
	open := fresh(t)
	w := &world{open(t), open}
	ctx := context.Background()
	must(t, w.CreateOrganisation(ctx, event("organisation.created", "org"), directory.Organisation{ID: "org", Name: "Acme", State: directory.Active}))
	must(t, w.CreateApplication(ctx, event("application.created", "server"), application("server")))
	must(t, w.CreateResource(ctx, event("resource.created", resourceURI), directory.Resource{
		URI: resourceURI, Organisation: "org", Name: "Payments", Scopes: []string{"write", "read"}, Servers: []directory.ClientID{"server"}, State: directory.Active,
	}))
	app := application("app")
	app.Binding, app.RequireNonce = cnf.DPoP, true
	app.Grants = []directory.Grant{{Resource: resourceURI, Scopes: []string{"read", "write"}}}
	must(t, w.CreateApplication(ctx, event("application.created", "app"), app))
	return w
}

func application(id directory.ClientID) directory.Application {
	return directory.Application{ClientID: id, Organisation: "org", Name: "App", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.MTLS, State: directory.Active}
}

// signingKey makes a credential with a key of its own for each seed.
func signingKey(t *testing.T, id directory.CredentialID, client directory.ClientID, seed byte, kid string) directory.Credential {
	t.Helper()
	private := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	key, err := jose.NewPublicKey(private.Public(), jose.EdDSA, kid)
	must(t, err)
	return directory.Credential{
		ID: id, ClientID: client, Kind: directory.SigningKey, State: directory.Active, Key: key,
		Thumbprint: key.Thumbprint(), Created: at, NotAfter: at.AddDate(1, 0, 0),
	}
}

func certificate(id directory.CredentialID, client directory.ClientID, der string) directory.Credential {
	return directory.Credential{
		ID: id, ClientID: client, Kind: directory.Certificate, State: directory.Published, Thumbprint: sha256.Sum256([]byte(der)),
		Certificate: []byte(der), Issued: true, Created: at, NotBefore: at.Add(-time.Minute), NotAfter: at.AddDate(0, 0, 7),
	}
}

func dpopKey(id directory.CredentialID, client directory.ClientID, jkt cnf.Thumbprint) directory.Credential {
	return directory.Credential{ID: id, ClientID: client, Kind: directory.DPoPKey, State: directory.Revoked, Thumbprint: jkt, Created: at}
}

// refused runs a change that must fail with target and leave nothing behind.
func (w *world) refused(t *testing.T, target error, change func() error) {
	t.Helper()
	ctx := context.Background()
	before, err := w.Head(ctx)
	must(t, err)
	is(t, change(), target)
	after, err := w.VerifyChain(ctx)
	must(t, err)
	if before != after {
		t.Fatalf("the chain went from %d to %d", before.Sequence, after.Sequence)
	}
	delta, err := w.Load(ctx, before.Sequence)
	must(t, err)
	if n := records(delta); n != 0 {
		t.Fatalf("%d records changed", n)
	}
}

func records(d directory.Delta) int {
	return len(d.Organisations) + len(d.Applications) + len(d.Resources) + len(d.Credentials) + len(d.Revoked) +
		len(d.Roles) + len(d.Instances) + len(d.RevokedKeys)
}

// loaded reads everything there is.
func (w *world) loaded(t *testing.T) directory.Delta {
	t.Helper()
	d, err := w.Load(context.Background(), 0)
	must(t, err)
	return d
}

// application reads one.
func (w *world) application(t *testing.T, id directory.ClientID) directory.Application {
	t.Helper()
	for _, a := range w.loaded(t).Applications {
		if a.ClientID == id {
			return a
		}
	}
	t.Fatalf("no application %s", id)
	return directory.Application{}
}

func ids(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return all
}
