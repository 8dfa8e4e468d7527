package conformance_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

// TestAdvisoriesOfRequests: certificate requests that are not what they should be.
func TestAdvisoriesOfRequests(t *testing.T) {
	w := start(t)
	a := w.application(t, byCA)
	ask := func(t *testing.T, der []byte) {
		t.Helper()
		_, err := w.admin.IssueCertificate(t.Context(), a.id, admin.NewRequest{
			CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
		})
		if e, ok := errors.AsType[*adminclient.Error](err); !ok || e.Status < 400 || e.Status >= 500 {
			t.Errorf("%x: %v", der, err)
		}
	}
	csr := func(private crypto.Signer) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
		must(t, err)
		return der
	}
	good := csr(newKey(t, "ES256").private)
	before := w.sequence(t)
	t.Run("advisory 67: a CSR with any one byte changed, cut anywhere, or more behind it", func(t *testing.T) {
		began := time.Now()
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 0x41
			ask(t, bad)
			if i%16 == 0 {
				ask(t, good[:i])
			}
		}
		ask(t, append(bytes.Clone(good), 0))
		if each := time.Since(began) / time.Duration(len(good)); each > 50*time.Millisecond {
			t.Errorf("a CSR took %v", each)
		}
	})
	t.Run("advisory 67: keys that are none of ours", func(t *testing.T) {
		for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P521()} {
			private, err := ecdsa.GenerateKey(curve, rand.Reader)
			must(t, err)
			ask(t, csr(private))
		}
		private, err := rsa.GenerateKey(rand.Reader, 1024)
		must(t, err)
		ask(t, csr(private))
	})
	if after := w.sequence(t); after != before {
		t.Errorf("%d changes by requests that were refused", after-before)
	}
}
