package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/metrics"
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
	cfg       *config.Serve
	process   Process
	store     *store.Store
	directory *directory.Directory
	authority *ca.Authority
	keys      *token.Keys
	metrics   *metrics.Metrics
	tls       *certificates
	tables    tables
	operator  directory.OrganisationID
	draining  atomic.Bool
}

// Open loads everything that cfg names and starts nothing but the store's writer.
// The caller closes it, or hands it to Run.
func Open(ctx context.Context, cfg *config.Serve, p Process) (s *Server, err error) {
	kek, err := envelope.LoadKeyFile(cfg.KeyEncryptionKeyFile)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	st, err := store.Open(ctx, cfg.Database, store.Options{Now: p.Now})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.Close())
		}
	}()
	s = &Server{cfg: cfg, process: p, store: st}
	if err := s.identify(ctx); err != nil {
		return nil, err
	}
	ring := &keyring.Ring{Store: st, KEK: kek, Now: p.Now}
	trustDomain, err := st.Meta(ctx, metaTrustDomain)
	if err != nil {
		return nil, err
	}
	if s.authority, err = ca.Open(ctx, ring, st, trustDomain, p.Now); err != nil {
		return nil, err
	}
	if s.keys, err = token.OpenKeys(ctx, ring); err != nil {
		return nil, err
	}
	if s.directory, err = directory.Open(ctx, st, p.Now); err != nil {
		return nil, err
	}
	if s.tls, err = openCertificates(cfg, s.authority, p.Now); err != nil {
		return nil, err
	}
	s.metrics = metrics.New(p.Version)
	if s.tables, err = s.build(trustDomain); err != nil {
		return nil, err
	}
	return s, nil
}

// identify checks that the database is of this installation.
func (s *Server) identify(ctx context.Context) error {
	issuer, err := s.store.Meta(ctx, metaIssuer)
	if errors.Is(err, directory.ErrNotFound) {
		return &NotInitialisedError{Database: s.cfg.Database}
	}
	if err != nil {
		return err
	}
	if issuer != s.cfg.Issuer {
		return &OtherIssuerError{Database: s.cfg.Database, Has: issuer, Wants: s.cfg.Issuer}
	}
	operator, err := s.store.Meta(ctx, metaOperator)
	s.operator = directory.OrganisationID(operator)
	return err
}

// NotInitialisedError is a database without a first start.
type NotInitialisedError struct{ Database string }

func (e *NotInitialisedError) Error() string {
	return fmt.Sprintf("%s holds no installation", e.Database)
}

// OtherIssuerError is a database of another issuer: tokens and clients hold its name.
type OtherIssuerError struct{ Database, Has, Wants string }

func (e *OtherIssuerError) Error() string {
	return fmt.Sprintf("%s belongs to the issuer %s, and the configuration says %s", e.Database, e.Has, e.Wants)
}

// authorizationServer is the protocol's part.
func (s *Server) authorizationServer(trustDomain string) (*as.Server, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	pool := s.authority.Pool()
	return as.New(as.Config{
		Issuer:    s.cfg.Issuer,
		MTLSBase:  s.cfg.MTLSURL,
		Directory: s.directory,
		Auth: &clientauth.Authenticator{
			Issuer: s.cfg.Issuer, TrustDomain: trustDomain,
			Pool: func(directory.OrganisationID) *mtls.Pool { return pool },
		},
		Keys:      s.signingKeys,
		Uses:      s.store,
		Nonces:    dpop.NewNonces(secret),
		TokenLife: s.cfg.Token.Life,
		Random:    rand.Reader,
		Now:       s.process.Now,
	})
}

func (s *Server) signingKeys() *token.SigningKeys { return s.keys.At(s.process.Now()) }

// Close ends what Open began. Run does it by itself.
func (s *Server) Close() error { return s.store.Close() }
