package mtls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

func TestFromState(t *testing.T) {
	root := newAuthority(t, caTemplate(t, "root"))
	leaf := root.issue(t, clientTemplate(t, "a"), newKey(t).Public())
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large := clientTemplate(t, "large")
	large.Subject.Organization = []string{string(bytes.Repeat([]byte("x"), maxChainBytes/2))}
	unfinished := shown(leaf)
	unfinished.HandshakeComplete = false

	huge := *leaf
	huge.PublicKey = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16383), E: 65537}

	if _, err := FromState(nil); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("no TLS: %v", err)
	}
	if _, err := FromState(shown()); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("no certificate: %v", err)
	}
	if _, err := FromState(unfinished); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("a handshake that has not finished proves nothing: %v", err)
	}
	for name, chain := range map[string][]*x509.Certificate{
		"advisory 110: a chain of six":                      {leaf, leaf, leaf, leaf, leaf, leaf},
		"advisory 110: RSA of 16,384 bits":                  {&huge},
		"advisory 110: RSA of 16,384 bits further up":       {leaf, &huge},
		"advisory 15: RSA of 1024 bits":                     {root.issue(t, clientTemplate(t, "weak"), &weak.PublicKey)},
		"P-521":                                             {root.issue(t, clientTemplate(t, "p521"), p521.Public())},
		"more than 48 KiB":                                  {leaf, root.issue(t, large, newKey(t).Public()), root.issue(t, large, newKey(t).Public())},
		"a key of a kind that the standard library ignores": {{Raw: leaf.Raw}},
	} {
		t.Run(name+" is refused before any verification", func(t *testing.T) {
			if p, err := FromState(shown(chain...)); !errors.Is(err, ErrUntrusted) || p != nil {
				t.Errorf("got %v, %v", p, err)
			}
		})
	}

	if _, err := FromState(shown(leaf, leaf, leaf, leaf, leaf)); err != nil {
		t.Errorf("a chain of five: %v", err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, public := range map[string]any{"Ed25519": edwards.Public(), "P-384": p384.Public(), "RSA 2048": strong.Public(), "P-256": newKey(t).Public()} {
		t.Run(name+" is accepted", func(t *testing.T) {
			c := root.issue(t, clientTemplate(t, "a"), public)
			p, err := FromState(shown(c, root.certificate))
			if err != nil {
				t.Fatal(err)
			}
			if p.Leaf() != c || p.Thumbprint() != cnf.Thumbprint(sha256.Sum256(c.Raw)) {
				t.Error("leaf or thumbprint is another's")
			}
		})
	}
}

func TestValidAt(t *testing.T) {
	root := newAuthority(t, caTemplate(t, "root"))
	p := peer(t, root.issue(t, clientTemplate(t, "a"), newKey(t).Public()))
	from, until := p.Leaf().NotBefore, p.Leaf().NotAfter
	for _, c := range []struct {
		name string
		at   time.Time
		want error
	}{
		{"a second before notBefore", from.Add(-time.Second), ErrNotYetValid},
		{"at notBefore", from, nil},
		{"at notAfter", until, nil},
		{"a second after notAfter", until.Add(time.Second), ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := p.ValidAt(c.at); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err := pool(t, root.certificate).Verify(c.at, p); !errors.Is(err, c.want) {
				t.Errorf("Verify: got %v, want %v", err, c.want)
			}
		})
	}
	for name, nobody := range map[string]*Peer{"nil": nil, "zero": {}} {
		if err := nobody.ValidAt(noon); !errors.Is(err, ErrNoCertificate) {
			t.Errorf("%s peer: %v", name, err)
		}
		if err := pool(t, root.certificate).Verify(noon, nobody); !errors.Is(err, ErrNoCertificate) {
			t.Errorf("%s peer, Verify: %v", name, err)
		}
	}
}

func TestNewPool(t *testing.T) {
	root := newAuthority(t, caTemplate(t, "root"))
	leaf := root.issue(t, clientTemplate(t, "a"), newKey(t).Public())
	noSigning := caTemplate(t, "no keyCertSign")
	noSigning.KeyUsage = x509.KeyUsageCRLSign
	plain := clientTemplate(t, "CA:FALSE")
	plain.BasicConstraintsValid, plain.KeyUsage = true, 0
	notCA := root.issue(t, plain, newKey(t).Public())
	crlOnly := newAuthority(t, noSigning).certificate
	for name, c := range map[string]struct{ roots, intermediates []*x509.Certificate }{
		"advisory 30: an empty list":                 {nil, nil},
		"advisory 31: a leaf as root":                {[]*x509.Certificate{leaf}, nil},
		"a leaf that says it is no CA":               {[]*x509.Certificate{notCA}, nil},
		"a leaf after a root":                        {[]*x509.Certificate{root.certificate, leaf}, nil},
		"a leaf as intermediate":                     {[]*x509.Certificate{root.certificate}, []*x509.Certificate{leaf}},
		"a CA whose key usage forbids it to sign":    {[]*x509.Certificate{crlOnly}, nil},
		"an intermediate that may not sign":          {[]*x509.Certificate{root.certificate}, []*x509.Certificate{crlOnly}},
		"intermediates alone, which nothing anchors": {nil, []*x509.Certificate{root.certificate}},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if _, err := NewPool(c.roots, c.intermediates); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestVerify(t *testing.T) {
	root := newAuthority(t, caTemplate(t, "root"))
	issuing := root.under(t, caTemplate(t, "issuing"))
	stranger := newAuthority(t, caTemplate(t, "root")) // the same name, another key
	expiredCA := caTemplate(t, "expired")
	expiredCA.NotAfter = noon.Add(-time.Hour)
	expired := root.under(t, expiredCA)

	handy := caTemplate(t, "handy")
	handy.KeyUsage |= x509.KeyUsageDigitalSignature

	change := func(f func(*x509.Certificate)) *x509.Certificate {
		c := clientTemplate(t, "a")
		f(c)
		return root.issue(t, c, newKey(t).Public())
	}
	good := issuing.issue(t, clientTemplate(t, "a"), newKey(t).Public())
	trusts := pool(t, root.certificate)
	all, err := NewPool([]*x509.Certificate{root.certificate}, []*x509.Certificate{issuing.certificate})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		pool  *Pool
		chain []*x509.Certificate
		want  error
	}{
		{"a leaf of the root", trusts, []*x509.Certificate{change(func(*x509.Certificate) {})}, nil},
		{"a leaf with its issuing CA", trusts, []*x509.Certificate{good, issuing.certificate}, nil},
		{"a leaf alone, the pool has the issuing CA", all, []*x509.Certificate{good}, nil},
		{"a leaf alone, nobody has the issuing CA", trusts, []*x509.Certificate{good}, ErrUntrusted},
		{"a leaf without extended key usage", trusts, []*x509.Certificate{change(func(c *x509.Certificate) { c.ExtKeyUsage = nil })}, nil},
		{"a stranger's root of the same name", trusts, []*x509.Certificate{stranger.issue(t, clientTemplate(t, "a"), newKey(t).Public()), stranger.certificate}, ErrUntrusted},
		{"a self-signed certificate", trusts, []*x509.Certificate{newAuthority(t, clientTemplate(t, "a")).certificate}, ErrUntrusted},
		{"the stranger's leaf before a good one", trusts, []*x509.Certificate{newAuthority(t, clientTemplate(t, "b")).certificate, good, issuing.certificate}, ErrUntrusted},
		{"a server's certificate", trusts, []*x509.Certificate{change(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })}, ErrUsage},
		{"a key that may not sign handshakes", trusts, []*x509.Certificate{change(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })}, ErrUsage},
		{"a CA that shows its own certificate", trusts, []*x509.Certificate{issuing.certificate}, ErrUsage},
		{"a CA that may also sign handshakes", trusts, []*x509.Certificate{root.under(t, handy).certificate}, ErrUsage},
		{"an issuing CA that expired", trusts, []*x509.Certificate{expired.issue(t, clientTemplate(t, "a"), newKey(t).Public()), expired.certificate}, ErrUntrusted},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time from memory
				if err := c.pool.Verify(noon, peer(t, c.chain...)); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
		})
	}
}

// TestPoolWithoutRoots makes a CA one of the system's. Nothing else in this
// package's tests may let crypto/x509 load the system's roots.
func TestPoolWithoutRoots(t *testing.T) {
	public := newAuthority(t, caTemplate(t, "a public CA"))
	file := filepath.Join(t.TempDir(), "system.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public.certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	leaf := public.issue(t, clientTemplate(t, "a"), newKey(t).Public())
	for name, nobody := range map[string]*Pool{"zero": {}, "nil": nil} {
		t.Run("advisory 30: a "+name+" pool trusts nobody, not even whom the system trusts", func(t *testing.T) {
			if err := nobody.Verify(noon, peer(t, leaf)); !errors.Is(err, ErrUntrusted) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := leaf.Verify(x509.VerifyOptions{CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("the system does not trust it, so this test shows nothing: %v", err)
	}
}

func TestRememberedChains(t *testing.T) {
	root := newAuthority(t, caTemplate(t, "root"))
	brief := caTemplate(t, "issuing")
	brief.NotBefore, brief.NotAfter = noon.Add(-time.Hour), noon.Add(time.Hour)
	issuing := root.under(t, brief)
	leaf := issuing.issue(t, clientTemplate(t, "a"), newKey(t).Public())
	p := peer(t, leaf, issuing.certificate)

	t.Run("a good chain is not verified twice", func(t *testing.T) {
		trusts := pool(t, root.certificate)
		if err := trusts.Verify(noon, p); err != nil {
			t.Fatal(err)
		}
		if !trusts.good.holds(p.chain, noon) {
			t.Error("not remembered")
		}
	})
	t.Run("it counts no longer than the earliest notAfter of the chain", func(t *testing.T) {
		trusts := pool(t, root.certificate)
		if err := trusts.Verify(noon, p); err != nil {
			t.Fatal(err)
		}
		if err := trusts.Verify(brief.NotAfter, p); err != nil {
			t.Error(err)
		}
		if err := trusts.Verify(brief.NotAfter.Add(time.Second), p); !errors.Is(err, ErrUntrusted) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("and no earlier than the latest notBefore", func(t *testing.T) {
		trusts := pool(t, root.certificate)
		if err := trusts.Verify(noon, p); err != nil {
			t.Fatal(err)
		}
		if err := trusts.Verify(brief.NotBefore.Add(-time.Second), p); !errors.Is(err, ErrUntrusted) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the same leaf in another chain is another entry", func(t *testing.T) {
		trusts := pool(t, root.certificate)
		if err := trusts.Verify(noon, p); err != nil {
			t.Fatal(err)
		}
		if err := trusts.Verify(noon, peer(t, leaf)); !errors.Is(err, ErrUntrusted) {
			t.Errorf("leaf without its issuing CA: %v", err)
		}
	})
	t.Run("a refused chain is not remembered", func(t *testing.T) {
		trusts := pool(t, newAuthority(t, caTemplate(t, "other")).certificate)
		if err := trusts.Verify(noon, p); err == nil {
			t.Fatal("accepted")
		}
		if trusts.good.holds(p.chain, noon) {
			t.Error("remembered")
		}
	})
	t.Run("advisory 61: a CA that left the pool is not believed from memory", func(t *testing.T) {
		before, after := pool(t, root.certificate), pool(t, newAuthority(t, caTemplate(t, "other")).certificate)
		if err := before.Verify(noon, p); err != nil {
			t.Fatal(err)
		}
		if err := after.Verify(noon, p); !errors.Is(err, ErrUntrusted) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("memory is bounded and a chain in use stays in it", func(t *testing.T) {
		var r remembered
		w := window{noon, noon.Add(time.Hour)}
		inUse := [32]byte{1}
		r.remember(inUse, w)
		for i := range 5 * maxRemembered {
			var chain [32]byte
			binary.BigEndian.PutUint64(chain[8:], uint64(i+1))
			r.remember(chain, w)
			if !r.holds(inUse, noon) {
				t.Fatalf("forgotten after %d others", i)
			}
		}
		if n := len(r.young) + len(r.old); n > 2*maxRemembered {
			t.Errorf("%d chains remembered", n)
		}
	})
	t.Run("of two chains the one that stays valid longest counts", func(t *testing.T) {
		long, short := *root.certificate, *root.certificate
		short.NotAfter = noon
		w := longest([][]*x509.Certificate{{leaf, &short}, {leaf, &long}, {leaf, &short}})
		if w.until != leaf.NotAfter || w.from != leaf.NotBefore {
			t.Errorf("got %v", w)
		}
	})
}

func BenchmarkVerifyRemembered(b *testing.B) {
	root := newAuthority(b, caTemplate(b, "root"))
	p := peer(b, root.issue(b, clientTemplate(b, "a"), newKey(b).Public()))
	trusts := pool(b, root.certificate)
	b.ReportAllocs()
	for b.Loop() {
		if err := trusts.Verify(noon, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyFirst(b *testing.B) {
	root := newAuthority(b, caTemplate(b, "root"))
	p := peer(b, root.issue(b, clientTemplate(b, "a"), newKey(b).Public()))
	trusts := pool(b, root.certificate)
	b.ReportAllocs()
	for b.Loop() {
		trusts.good = remembered{}
		if err := trusts.Verify(noon, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromState(b *testing.B) {
	root := newAuthority(b, caTemplate(b, "root"))
	state := shown(root.issue(b, clientTemplate(b, "a"), newKey(b).Public()), root.certificate)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromState(state); err != nil {
			b.Fatal(err)
		}
	}
}
