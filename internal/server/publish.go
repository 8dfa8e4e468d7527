package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-auth/holdfast/internal/envelope"
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

// free refuses a first start where there was one, before anything is made.
func free(database, ownerKeyFile string) error {
	if _, err := os.Lstat(database); err == nil {
		return &InitialisedError{Database: database}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the database: %w", err)
	}
	if _, err := os.Lstat(ownerKeyFile); err == nil {
		return &KeyFileExistsError{File: ownerKeyFile}
	}
	return nil
}

// publish gives what was built its names. The database comes last: with its name
// there is an installation.
type publish struct {
	database, as string
	ownerKey     []byte // PEM
	ownerKeyFile string
	kek, kekAs   string // kek is "" for one that was there before
}

func (p publish) run() (err error) {
	if err := writeNew(p.ownerKeyFile, p.ownerKey); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &KeyFileExistsError{File: p.ownerKeyFile}
		}
		return fmt.Errorf("write the operator's key: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(p.ownerKeyFile))
		}
	}()
	if p.kek != "" {
		text, err := os.ReadFile(p.kek)
		if err == nil {
			err = writeNew(p.kekAs, text)
		}
		if err != nil {
			return fmt.Errorf("write the key-encryption key: %w", err)
		}
	}
	switch err := os.Link(p.database, p.as); {
	case errors.Is(err, fs.ErrExist):
		return &InitialisedError{Database: p.as} // by somebody else, perhaps with this key-encryption key: it stays
	case err != nil:
		err = fmt.Errorf("put the database in place: %w", err)
		if p.kek != "" {
			err = errors.Join(err, os.Remove(p.kekAs))
		}
		return err
	}
	return syncFolder(filepath.Dir(p.as))
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

// writeNew writes a file of mode 0600 that must not exist, whole or not at all.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
