package envelope

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ModeError is a key file that others than its owner may read.
type ModeError struct {
	File string
	Mode fs.FileMode
}

func (e *ModeError) Error() string {
	return fmt.Sprintf("key-encryption key %s has mode %04o; it must be 0600", e.File, e.Mode)
}

// LoadKeyFile reads a key-encryption key from a file of mode 0600 (others are
// refused): 64 hexadecimal characters and a line end.
func LoadKeyFile(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key-encryption key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key-encryption key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key-encryption key %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		return nil, &ModeError{File: path, Mode: mode}
	}
	text, err := io.ReadAll(io.LimitReader(f, 2*keySize+3))
	if err != nil {
		return nil, fmt.Errorf("read key-encryption key: %w", err)
	}
	line, ended := bytes.CutSuffix(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	var secret [keySize]byte
	if len(line) == 2*keySize && ended {
		if _, err := hex.Decode(secret[:], line); err == nil {
			return newKey(secret[:])
		}
	}
	return nil, fmt.Errorf("key-encryption key %s is not 64 hexadecimal characters and a line end", path)
}

// CreateKeyFile makes a new key from crypto/rand and writes it, mode 0600,
// fsynced; it refuses to replace a file.
func CreateKeyFile(path string) (*Key, error) {
	var secret [keySize]byte
	rand.Read(secret[:])
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create key-encryption key: %w", err)
	}
	_, err = fmt.Fprintf(f, "%x\n", secret)
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close(), syncFolder(filepath.Dir(path))); err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("create key-encryption key: %w", err)
	}
	return newKey(secret[:])
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
