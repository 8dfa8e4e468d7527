package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/checkpoint"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// Names of what every installation has: two resources of its own, beside the
// issuer, and the scope of each.
const (
	AdminScope = "admin"
	FeedScope  = "feed"

	metaTrustDomain = "trust_domain"
	metaIssuer      = "issuer"
	metaOperator    = "operator_organisation"
)

// AdminResource is the audience of tokens for the admin API.
func AdminResource(issuer string) string { return issuer + "/admin" }

// FeedResource is the audience of tokens for the status feed.
func FeedResource(issuer string) string { return issuer + "/feed" }

// FirstStart is what Init needs to know beside the configuration.
type FirstStart struct {
	TrustDomain string
	// OperatorKeyFile receives the first owner's private key, made here, PKCS#8
	// PEM, mode 0600. It must not exist.
	OperatorKeyFile string
	// RootsFile receives the root certificate, PEM. It must not exist; "" for none.
	RootsFile string
	// ProfileFile receives the first owner's Profile, which names OperatorKeyFile
	// and RootsFile. It must not exist; "" for none.
	ProfileFile string
	// Authority is an operator's own CA; without it one is made.
	Authority *OwnAuthority
	Now       func() time.Time
}

// OwnAuthority is an issuing CA that an operator brings, all in PEM. The root's
// key stays where it is.
type OwnAuthority struct{ IssuingCertificate, IssuingKey, RootCertificate []byte }

// Operator is the first owner: an application of the operator's organisation
// that may use the admin API, and how it signs its assertions.
type Operator struct {
	Organisation string `json:"organisation"`
	ClientID     string `json:"client_id"`
	KeyFile      string `json:"key_file"`
	KeyID        string `json:"kid"`
	Scope        string `json:"scope"`
	Resource     string `json:"resource"`
	// Roots is the root certificate, PEM: it verifies the certificates that this
	// installation issues, those of its own listeners included.
	Roots string `json:"roots"`
}

// Init makes database, key-encryption key, CA, token signing key, the operator's
// organisation and its first owner. It is refused when the database exists. All of
// it appears at once, or nothing: it is built under other names, in a folder of its
// own beside the database (PostgreSQL: beside the key-encryption key), and the
// database gets its name last.
func Init(ctx context.Context, cfg *config.Serve, first FirstStart) (op Operator, err error) {
	if !ca.ValidTrustDomain(first.TrustDomain) {
		return op, &TrustDomainError{first.TrustDomain}
	}
	how := store.Options{Now: first.Now, PasswordFile: cfg.DatabasePasswordFile}
	if err := free(ctx, cfg, how, first); err != nil {
		return op, err
	}
	staging, err := stagingFolder(cfg)
	if err != nil {
		return op, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	kek, kekFile, err := keyEncryptionKey(cfg.KeyEncryptionKeyFile, staging)
	if err != nil {
		return op, err
	}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return op, err
	}
	ownerKey, err := jose.MarshalPrivateKeyPEM(key)
	if err != nil {
		return op, err
	}
	public, err := jose.NewPublicKey(key.Public(), jose.ES256, "")
	if err != nil {
		return op, err
	}
	draft, err := store.NewDraft(ctx, cfg.Database, staging, how)
	if err != nil {
		return op, err
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	if op, err = build(ctx, draft.Store, kek, cfg, first, public); err != nil {
		return op, err
	}
	op.KeyFile = first.OperatorKeyFile
	profile, err := profileOf(cfg, op, first.RootsFile).JSON()
	if err != nil {
		return op, err
	}
	return op, publish{
		database: draft, as: store.Name(cfg.Database), ownerKey: ownerKey, ownerKeyFile: first.OperatorKeyFile,
		roots: op.Roots, rootsFile: first.RootsFile, profile: profile, profileFile: first.ProfileFile,
		kek: kekFile, kekAs: cfg.KeyEncryptionKeyFile,
	}.run(ctx)
}

// TrustDomainError is a trust domain that certificates cannot name.
type TrustDomainError struct{ TrustDomain string }

func (e *TrustDomainError) Error() string {
	return fmt.Sprintf("trust domain %q is not 1 to 255 of a-z, 0-9, '.', '-' and '_'", e.TrustDomain)
}

// InitialisedError is a second first start.
type InitialisedError struct{ Database string }

func (e *InitialisedError) Error() string {
	return fmt.Sprintf("%s exists: this installation has its owner already", e.Database)
}

// KeyFileExistsError is an operator's key that would have been replaced.
type KeyFileExistsError struct{ File string }

func (e *KeyFileExistsError) Error() string {
	return fmt.Sprintf("%s exists: an operator's key is never replaced", e.File)
}

// build fills a new database with what an installation has before anybody uses it.
func build(ctx context.Context, st *store.Store, kek *envelope.Key, cfg *config.Serve, first FirstStart, owner *jose.PublicKey) (op Operator, err error) {
	ring := &keyring.Ring{Store: st, KEK: kek, Now: first.Now}
	if err := createAuthority(ctx, ring, first); err != nil {
		return op, err
	}
	roots, err := ring.Certified(ctx, keyring.Root)
	if err != nil {
		return op, err
	}
	if _, err := token.OpenKeys(ctx, ring); err != nil { // makes the first one
		return op, err
	}
	if err := checkpoint.Create(ctx, ring); err != nil {
		return op, err
	}
	dir, err := directory.Open(ctx, st, first.Now)
	if err != nil {
		return op, err
	}
	const actor = "system"
	org, err := dir.CreateOrganisation(ctx, actor, directory.Organisation{Name: "operator"})
	if err != nil {
		return op, err
	}
	for uri, scope := range map[string]string{AdminResource(cfg.Issuer): AdminScope, FeedResource(cfg.Issuer): FeedScope} {
		_, err := dir.CreateResource(ctx, actor, directory.Resource{URI: uri, Organisation: org.ID, Name: scope, Scopes: []string{scope}})
		if err != nil {
			return op, err
		}
	}
	app, err := dir.CreateApplication(ctx, actor, directory.Application{
		Organisation: org.ID, Name: "first owner", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP,
		OperatorRole: directory.Owner,
		Grants:       []directory.Grant{{Resource: AdminResource(cfg.Issuer), Scopes: []string{AdminScope}}},
	})
	if err != nil {
		return op, err
	}
	if _, err := dir.RegisterKey(ctx, actor, app.ClientID, owner, time.Time{}); err != nil {
		return op, err
	}
	facts := map[string]string{metaTrustDomain: first.TrustDomain, metaIssuer: cfg.Issuer, metaOperator: string(org.ID)}
	detail, err := json.Marshal(facts)
	if err != nil {
		return op, err
	}
	err = st.InitMeta(ctx, audit.Event{At: first.Now(), Actor: actor, Action: "installation.initialised", Organisation: string(org.ID), Subject: cfg.Issuer, Detail: string(detail)}, facts)
	return Operator{
		Organisation: string(org.ID), ClientID: string(app.ClientID), KeyID: owner.KeyID(),
		Scope: AdminScope, Resource: AdminResource(cfg.Issuer),
		Roots: string(certificatePEM(roots[0].Certificate)),
	}, err
}

// createAuthority makes the CA, or takes the operator's.
func createAuthority(ctx context.Context, ring *keyring.Ring, first FirstStart) error {
	if own := first.Authority; own != nil {
		if err := ca.Adopt(ctx, ring, own.IssuingCertificate, own.IssuingKey, own.RootCertificate); err != nil {
			return fmt.Errorf("import the certificate authority: %w", err)
		}
		return nil
	}
	return ca.Create(ctx, ring, first.TrustDomain)
}
