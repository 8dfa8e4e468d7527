package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/checkpoint"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jwksuri"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/metrics"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Process is what a long-running part takes from the process it runs in.
type Process struct {
	Now     func() time.Time
	Log     *slog.Logger // events and everything else that is said
	Version string
}

// Server is an authorization server with its directory, CA and admin API, loaded
// and not yet listening.
type Server struct {
	cfg         *config.Serve
	process     Process
	store       *store.Store
	directory   *directory.Directory
	authority   *ca.Authority
	enrolment   *enrol.Service
	keys        *token.Keys
	checkpoints *checkpoint.Maker
	lastUses    *directory.LastUses
	registrar   *registration.Service
	metrics     *metrics.Metrics
	tls         *certificates
	tables      tables
	operator    directory.OrganisationID
	kek         *envelope.Key
	nonces      *dpop.Nonces
	keySets     *jwksuri.Source
	ending      chan struct{} // closed when the drain begins
}

// Open loads everything that cfg names and starts nothing but the store's writer.
// The caller closes it, or hands it to Run.
func Open(ctx context.Context, cfg *config.Serve, p Process) (*Server, error) {
	return open(ctx, cfg, p, store.Options{Now: p.Now})
}

// Check is Open, but nothing on the disk is changed by it, a schema of an older
// version included.
func Check(ctx context.Context, cfg *config.Serve, p Process) error {
	s, err := open(ctx, cfg, p, store.Options{Now: p.Now, ReadOnly: true})
	if err != nil {
		return err
	}
	return s.Close()
}

func open(ctx context.Context, cfg *config.Serve, p Process, how store.Options) (s *Server, err error) {
	if err := exists(ctx, cfg); err != nil {
		return nil, err
	}
	kek, err := envelope.LoadKeyFile(cfg.KeyEncryptionKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &KeyMissingError{File: cfg.KeyEncryptionKeyFile}
	}
	if err != nil {
		return nil, err
	}
	how.PasswordFile = cfg.DatabasePasswordFile
	st, err := store.Open(ctx, cfg.Database, how)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.Close())
		}
	}()
	s = &Server{
		cfg: cfg, process: p, store: st, kek: kek, ending: make(chan struct{}), lastUses: directory.NewLastUses(),
		nonces: dpop.NewNonces(kek.Derive("dpop nonces")), // every node with this key accepts each other's
	}
	if err := s.identify(ctx); err != nil {
		return nil, err
	}
	trustDomain, err := st.Meta(ctx, metaTrustDomain)
	if err != nil {
		return nil, err
	}
	if err := s.openKeys(ctx, &keyring.Ring{Store: st, KEK: kek, Now: p.Now}, trustDomain); err != nil {
		if errors.Is(err, envelope.ErrOpen) {
			err = &OtherKeyError{Database: store.Name(cfg.Database), File: cfg.KeyEncryptionKeyFile, Err: err}
		}
		return nil, err
	}
	if s.directory, err = directory.Open(ctx, st, p.Now); err != nil {
		return nil, err
	}
	s.enrolment = &enrol.Service{Store: st, Authority: s.authority, Directory: s.directory, Now: p.Now}
	if err := s.openKeySets(); err != nil {
		return nil, err
	}
	s.registrar = s.registration(kek)
	if s.tls, err = openCertificates(ctx, cfg, s.authority, how.ReadOnly, p.Now); err != nil {
		return nil, err
	}
	s.metrics = metrics.New(p.Version)
	s.metrics.Watch("snapshot_age_seconds", "How long ago the directory's snapshot was last known to be the newest.", func() float64 { return s.directory.Age().Seconds() })
	s.watchAudit()
	if s.tables, err = s.build(trustDomain); err != nil {
		return nil, err
	}
	return s, nil
}

// openKeys opens all that lies encrypted in the database.
func (s *Server) openKeys(ctx context.Context, ring *keyring.Ring, trustDomain string) (err error) {
	s.authority, err = ca.Open(ctx, ca.Config{
		Ring: ring, Store: s.store, TrustDomain: trustDomain, CRLBase: s.cfg.Issuer + as.CRLPath, Now: s.process.Now,
	})
	if err != nil {
		return err
	}
	if s.keys, err = token.OpenKeys(ctx, ring); err != nil {
		return err
	}
	return s.openCheckpoints(ctx, ring)
}

// exists looks for a database before anything else is asked for: without one
// there was no first start, and whatever else is missing is missing because of it.
func exists(ctx context.Context, cfg *config.Serve) error {
	if store.IsPostgres(cfg.Database) {
		there, err := store.Exists(ctx, cfg.Database, store.Options{PasswordFile: cfg.DatabasePasswordFile})
		if err == nil && !there {
			err = &NotInitialisedError{Database: store.Name(cfg.Database)}
		}
		return err
	}
	path, err := store.Path(cfg.Database)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return &NotInitialisedError{Database: path, missing: true}
	}
	return nil // what else may be wrong with it the store says best
}

// identify checks that the database is of this installation.
func (s *Server) identify(ctx context.Context) error {
	if err := checkIssuer(ctx, s.cfg, s.store); err != nil {
		return err
	}
	operator, err := s.store.Meta(ctx, metaOperator)
	s.operator = directory.OrganisationID(operator)
	return err
}

// NotInitialisedError is a database without a first start.
type NotInitialisedError struct {
	Database string
	missing  bool
}

func (e *NotInitialisedError) Error() string {
	if e.missing {
		return fmt.Sprintf("database %s does not exist", e.Database)
	}
	return fmt.Sprintf("%s holds no installation", e.Database)
}

// OtherIssuerError is a database of another issuer: tokens and clients hold its name.
type OtherIssuerError struct{ Database, Has, Wants string }

func (e *OtherIssuerError) Error() string {
	return fmt.Sprintf("%s belongs to the issuer %s, and the configuration says %s", e.Database, e.Has, e.Wants)
}

// KeyMissingError is a database whose key-encryption key is not there.
type KeyMissingError struct{ File string }

func (e *KeyMissingError) Error() string {
	return fmt.Sprintf("key-encryption key %s does not exist", e.File)
}

// OtherKeyError is a database whose keys are sealed under another key-encryption key.
type OtherKeyError struct {
	Database, File string
	Err            error
}

func (e *OtherKeyError) Error() string {
	return fmt.Sprintf("the key-encryption key in %s does not open the keys in %s", e.File, e.Database)
}

func (e *OtherKeyError) Unwrap() error { return e.Err }

// authorizationServer is the protocol's part.
func (s *Server) authorizationServer(trustDomain string) (*as.Server, error) {
	return as.New(as.Config{
		Issuer:    s.cfg.Issuer,
		MTLSBase:  s.cfg.MTLSURL,
		Directory: s.directory,
		Auth: &clientauth.Authenticator{
			Issuer: s.cfg.Issuer, TrustDomain: trustDomain,
			Pool:      func(directory.OrganisationID) *mtls.Pool { return s.authority.Pool() },
			Published: s.keySets,
		},
		Keys:      s.signingKeys,
		Uses:      s.store,
		Nonces:    s.nonces,
		TokenLife: s.cfg.Token.Life,
		Random:    rand.Reader,
		Now:       s.process.Now,
		Used:      s.lastUses.Note,

		Registration: s.registrar,
	})
}

// registration lets applications register themselves; never for our own resources.
func (s *Server) registration(kek *envelope.Key) *registration.Service {
	return &registration.Service{
		Issuer: s.cfg.Issuer, Directory: s.directory, Store: s.store,
		Keys:     &registration.Keys{Ring: &keyring.Ring{Store: s.store, KEK: kek, Now: s.process.Now}},
		Reserved: []string{AdminResource(s.cfg.Issuer), FeedResource(s.cfg.Issuer)},
		Names:    s.ownedNames,
		Now:      s.process.Now,
	}
}

// ownedNames are the DNS names and IP addresses of an organisation.
func (s *Server) ownedNames(ctx context.Context, o directory.OrganisationID) ([]string, error) {
	names, err := s.store.Names(ctx, o)
	var owned []string
	for _, n := range names {
		if n.Removed.IsZero() {
			owned = append(owned, n.Name)
		}
	}
	return owned, err
}

func (s *Server) signingKeys() *token.SigningKeys { return s.keys.At(s.process.Now()) }

// Close ends what Open began. Run does it by itself.
func (s *Server) Close() error { return s.store.Close() }
