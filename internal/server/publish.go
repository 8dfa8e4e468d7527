package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// stagingPrefix begins the name of the folder in which an installation is built.
const stagingPrefix = ".holdfast-init-"

// RemoveUnfinished removes what an Init that was killed left beside its database.
// Nobody else may run Init in that folder meanwhile.
func RemoveUnfinished(folder string) error {
	left, err := filepath.Glob(filepath.Join(folder, stagingPrefix+"*"))
	for _, f := range left {
		err = errors.Join(err, os.RemoveAll(f))
	}
	return err
}

// stagingFolder makes the folder in which an installation is built.
func stagingFolder(cfg *config.Serve) (string, error) {
	beside, what := cfg.KeyEncryptionKeyFile, "the key-encryption key"
	if !store.IsPostgres(cfg.Database) {
		path, err := store.Path(cfg.Database)
		if err != nil {
			return "", err
		}
		beside, what = path, "the database"
	}
	staging, err := os.MkdirTemp(filepath.Dir(beside), stagingPrefix+"*")
	if err != nil {
		return "", fmt.Errorf("make a folder beside %s: %w", what, err)
	}
	return staging, nil
}

// free refuses a first start where there was one, before anything is made.
func free(ctx context.Context, cfg *config.Serve, how store.Options, first FirstStart) error {
	switch there, err := store.Exists(ctx, cfg.Database, how); {
	case err != nil:
		return err
	case there:
		return &InitialisedError{Database: store.Name(cfg.Database)}
	}
	if _, err := os.Lstat(first.OperatorKeyFile); err == nil {
		return &KeyFileExistsError{File: first.OperatorKeyFile}
	}
	if _, err := os.Lstat(first.RootsFile); err == nil && first.RootsFile != "" {
		return fmt.Errorf("write the root certificate: %s exists", first.RootsFile)
	}
	if _, err := os.Lstat(first.ProfileFile); err == nil && first.ProfileFile != "" {
		return fmt.Errorf("write the operator's profile: %s exists", first.ProfileFile)
	}
	return nil
}

// publish gives what was built its names. The database comes last: with its name
// there is an installation, and from then on nothing is taken back.
type publish struct {
	database         *store.Draft
	as               string
	ownerKey         []byte // PEM
	ownerKeyFile     string
	roots, rootsFile string // PEM; "" for no file
	profile          []byte // JSON
	profileFile      string // "" for no file
	kek, kekAs       string // kek is "" for one that was there before
}

func (p publish) run(ctx context.Context) error {
	var made []string
	err := p.files(&made)
	if err == nil {
		switch err = p.database.Publish(ctx); {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrOutcomeUnknown):
			return err // it may be there, and then nothing else opens it
		case errors.Is(err, fs.ErrExist):
			err = &InitialisedError{Database: p.as} // by somebody else, just now
			// who may have taken this key-encryption key for there already
			made = slices.DeleteFunc(made, func(f string) bool { return f == p.kekAs })
		}
	}
	for _, f := range made {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// files writes all but the database, and tells which it made.
func (p publish) files(made *[]string) error {
	write := func(path string, data []byte, mode fs.FileMode) error {
		err := writeNew(path, data, mode)
		if err == nil {
			*made = append(*made, path)
		}
		return err
	}
	if err := write(p.ownerKeyFile, p.ownerKey, 0o600); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &KeyFileExistsError{File: p.ownerKeyFile}
		}
		return fmt.Errorf("write the operator's key: %w", err)
	}
	if p.rootsFile != "" {
		if err := write(p.rootsFile, []byte(p.roots), 0o644); err != nil {
			return fmt.Errorf("write the root certificate: %w", err)
		}
	}
	if p.profileFile != "" {
		if err := write(p.profileFile, p.profile, 0o600); err != nil {
			return fmt.Errorf("write the operator's profile: %w", err)
		}
	}
	if p.kek == "" {
		return nil
	}
	text, err := os.ReadFile(p.kek)
	if err == nil {
		err = write(p.kekAs, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the key-encryption key: %w", err)
	}
	return nil
}

// keyEncryptionKey reads the key, or makes one in staging where there is none:
// that file is then what made names.
func keyEncryptionKey(path, staging string) (k *envelope.Key, made string, err error) {
	k, err = envelope.LoadKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		made = filepath.Join(staging, "key-encryption.key")
		k, err = envelope.CreateKeyFile(made)
	}
	return k, made, err
}

// writeNew writes a file that must not exist, whole or not at all.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path))); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// syncFolder makes a rename in the folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
