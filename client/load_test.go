package client_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/client"
)

func TestLoad(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	file := func(name string, data []byte) string { return write(t, filepath.Join(dir, name), data) }
	certificate, key := w.pair(&x509.Certificate{Subject: pkix.Name{CommonName: "a"}})
	_, otherKey := w.pair(&x509.Certificate{Subject: pkix.Name{CommonName: "b"}})
	missing := filepath.Join(dir, "missing.pem")
	large := file("large.pem", bytes.Repeat([]byte("#\n"), 33<<10))
	empty, garbled := file("empty.pem", nil), file("garbled.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	goodKey, goodCertificate := file("key.pem", key), file("certificate.pem", certificate)
	long := file("long.pem", bytes.Repeat(certificate, 6))
	keyAsCA := file("key-as-ca.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: mustDecode(t, certificate)}))

	if k, err := client.LoadKey(goodKey); err != nil || k == nil {
		t.Errorf("key: %v", err)
	}
	if c, err := client.LoadCertificate(goodCertificate, goodKey); err != nil || len(c.Certificate) != 1 {
		t.Errorf("certificate: %v", err)
	}
	if roots, err := client.LoadRoots(w.caFile); err != nil || !roots.Equal(w.roots) {
		t.Errorf("roots: %v", err)
	}
	load := map[string]func(string) error{
		"LoadKey":                    func(f string) error { _, err := client.LoadKey(f); return err },
		"LoadCertificate":            func(f string) error { _, err := client.LoadCertificate(f, goodKey); return err },
		"LoadCertificate, its key":   func(f string) error { _, err := client.LoadCertificate(goodCertificate, f); return err },
		"LoadRoots (advisory 30)":    func(f string) error { _, err := client.LoadRoots(f); return err },
		"NewHTTP with roots of none": func(string) error { _, err := client.NewHTTP(nil, nil); return err },
	}
	for name, f := range load {
		for _, bad := range []string{missing, large, empty, garbled, dir} {
			t.Run(name+" refuses "+filepath.Base(bad), func(t *testing.T) {
				err := f(bad)
				if err == nil {
					t.Fatal("accepted")
				}
				if strings.HasPrefix(name, "LoadRoots") != errors.Is(err, client.ErrRoots) {
					t.Errorf("got %v", err)
				}
				if bad != dir && !strings.HasPrefix(name, "NewHTTP") && !strings.Contains(err.Error(), filepath.Base(bad)) {
					t.Errorf("the error does not name the file: %v", err)
				}
			})
		}
	}
	t.Run("a certificate with another's key", func(t *testing.T) {
		if _, err := client.LoadCertificate(goodCertificate, file("other.pem", otherKey)); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a chain of six", func(t *testing.T) {
		if _, err := client.LoadCertificate(long, goodKey); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("CA certificates under another name", func(t *testing.T) {
		if _, err := client.LoadRoots(keyAsCA); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a file of just more than 64 KiB that begins well", func(t *testing.T) {
		if _, err := client.LoadRoots(file("long-ca.pem", append(certificate, bytes.Repeat([]byte("\n"), 64<<10)...))); err == nil {
			t.Error("accepted")
		}
	})
}

func mustDecode(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}
