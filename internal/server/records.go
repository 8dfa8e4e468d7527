package server

import (
	"context"
	"errors"
	"io/fs"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/checkpoint"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// Records is the audit of a database, read without a server and beside one. It
// changes nothing, and opens what a server would refuse: a chain that was cut.
type Records struct {
	*store.Store // an audit.Trail
	cfg          *config.Serve
	process      Process
}

// OpenRecords opens the database that cfg names. The caller closes it.
func OpenRecords(ctx context.Context, cfg *config.Serve, p Process) (*Records, error) {
	if err := exists(ctx, cfg); err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, cfg.Database, store.Options{Now: p.Now, ReadOnly: true, AnyChain: true, PasswordFile: cfg.DatabasePasswordFile})
	if err != nil {
		return nil, err
	}
	return &Records{st, cfg, p}, nil
}

// CheckpointKeys are the public keys of the checkpoints. Their private halves lie
// beside them, so the key-encryption key is needed.
func (r *Records) CheckpointKeys(ctx context.Context) ([]*jose.PublicKey, error) {
	kek, err := envelope.LoadKeyFile(r.cfg.KeyEncryptionKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &KeyMissingError{File: r.cfg.KeyEncryptionKeyFile}
	}
	if err != nil {
		return nil, err
	}
	m, err := checkpoint.Open(ctx, checkpoint.Config{
		Issuer: r.cfg.Issuer, Ring: &keyring.Ring{Store: r.Store, KEK: kek, Now: r.process.Now}, Store: r.Store, Now: r.process.Now, Log: r.process.Log,
	})
	if errors.Is(err, envelope.ErrOpen) {
		err = &OtherKeyError{Database: store.Name(r.cfg.Database), File: r.cfg.KeyEncryptionKeyFile, Err: err}
	}
	if err != nil {
		return nil, err
	}
	return m.Keys(), nil
}

var _ audit.Trail = (*Records)(nil)
