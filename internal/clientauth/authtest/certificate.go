package authtest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/mtls"
)

// CA is an organisation's certificate authority.
type CA struct {
	Certificate *x509.Certificate
	Pool        *mtls.Pool
	key         crypto.Signer
}

// Certificate is a client certificate with its key and its record.
type Certificate struct {
	*x509.Certificate
	Key crypto.Signer
	ID  directory.CredentialID // "" when nobody registered it
}

// NewCA makes a CA of ten years.
func (w *World) NewCA(name string) *CA {
	w.T.Helper()
	ca := &CA{key: w.newKey()}
	template := w.template(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
	template.NotAfter = w.Now.AddDate(10, 0, 0)
	ca.Certificate = w.sign(template, template, ca.key.Public(), ca.key)
	pool, err := mtls.NewPool([]*x509.Certificate{ca.Certificate}, nil)
	if err != nil {
		w.T.Fatal(err)
	}
	ca.Pool = pool
	return ca
}

// CAOf is the CA of an organisation.
func (w *World) CAOf(o directory.OrganisationID) *CA { return w.cas[o] }

// ForgetCA leaves an organisation without a CA.
func (w *World) ForgetCA(o directory.OrganisationID) { delete(w.cas, o) }

// Name is the URI SAN of a client's certificate.
func (w *World) Name(client directory.ClientID) *url.URL {
	u, err := url.Parse(directory.SPIFFEID(TrustDomain, w.Snapshot.Client(client).Organisation, client))
	if err != nil {
		w.T.Fatal(err)
	}
	return u
}

// Issue issues a certificate to the client by its organisation's CA and records it.
func (w *World) Issue(client directory.ClientID, edit ...func(*x509.Certificate)) *Certificate {
	w.T.Helper()
	return w.IssueBy(w.cas[w.Snapshot.Client(client).Organisation], client, edit...)
}

// IssueBy does so by any CA.
func (w *World) IssueBy(ca *CA, client directory.ClientID, edit ...func(*x509.Certificate)) *Certificate {
	w.T.Helper()
	template := w.template(string(client))
	template.URIs = []*url.URL{w.Name(client)}
	for _, e := range edit {
		e(template)
	}
	key := w.newKey()
	c := &Certificate{Certificate: w.sign(template, ca.Certificate, key.Public(), ca.key), Key: key}
	return w.record(client, c, true)
}

// SelfSigned makes a certificate and registers it for the client.
func (w *World) SelfSigned(client directory.ClientID, edit ...func(*x509.Certificate)) *Certificate {
	w.T.Helper()
	return w.record(client, w.Stranger(string(client), edit...), false)
}

// Stranger makes a self-signed certificate that nobody knows.
func (w *World) Stranger(name string, edit ...func(*x509.Certificate)) *Certificate {
	w.T.Helper()
	template := w.template(name)
	for _, e := range edit {
		e(template)
	}
	key := w.newKey()
	return &Certificate{Certificate: w.sign(template, template, key.Public(), key), Key: key}
}

func (w *World) record(client directory.ClientID, c *Certificate, issued bool) *Certificate {
	c.ID = directory.CredentialID("certificate-" + c.SerialNumber.Text(36))
	w.Apply(directory.Delta{Credentials: []directory.Credential{{
		ID: c.ID, ClientID: client, Kind: directory.Certificate, State: directory.Active, Issued: issued,
		Thumbprint: cnf.CertificateThumbprint(c.Raw), Certificate: c.Raw,
		Created: w.Now, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
	}}})
	return c
}

// Trust gives an organisation these trust anchors and no others, all active.
func (w *World) Trust(id directory.OrganisationID, cas ...*x509.Certificate) {
	w.T.Helper()
	o := *w.Snapshot.Organisation(id)
	o.Anchors = nil
	for _, c := range cas {
		o.Anchors = append(o.Anchors, directory.TrustAnchor{
			ID: "ca-" + c.SerialNumber.Text(36), Certificate: c.Raw, SPKI: sha256.Sum256(c.RawSubjectPublicKeyInfo), State: directory.Active,
		})
	}
	w.Apply(directory.Delta{Organisations: []directory.Organisation{o}})
}

// SetAnchor moves an organisation's trust anchor to a state.
func (w *World) SetAnchor(id directory.OrganisationID, ca *x509.Certificate, to directory.State) {
	w.T.Helper()
	o := *w.Snapshot.Organisation(id)
	o.Anchors = slices.Clone(o.Anchors)
	for i, a := range o.Anchors {
		if a.SPKI == sha256.Sum256(ca.RawSubjectPublicKeyInfo) {
			o.Anchors[i].State = to
		}
	}
	w.Apply(directory.Delta{Organisations: []directory.Organisation{o}})
}

// Under makes a CA that this one vouches for.
func (w *World) Under(parent *CA, name string, edit ...func(*x509.Certificate)) *CA {
	w.T.Helper()
	ca := &CA{key: w.newKey()}
	template := w.template(name)
	template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	for _, e := range edit {
		e(template)
	}
	ca.Certificate = w.sign(template, parent.Certificate, ca.key.Public(), parent.key)
	return ca
}

// Sign makes a client certificate by the CA that nobody records.
func (w *World) Sign(ca *CA, name string, edit ...func(*x509.Certificate)) *Certificate {
	w.T.Helper()
	template := w.template(name)
	for _, e := range edit {
		e(template)
	}
	key := w.newKey()
	return &Certificate{Certificate: w.sign(template, ca.Certificate, key.Public(), ca.key), Key: key}
}

// SignKey makes a certificate of the public key by the CA that nobody records.
func (w *World) SignKey(ca *CA, key crypto.PublicKey, name string) *Certificate {
	w.T.Helper()
	return &Certificate{Certificate: w.sign(w.template(name), ca.Certificate, key, ca.key)}
}

// OwnCertificate makes a self-signed certificate of the signer's key.
func (w *World) OwnCertificate(s crypto.Signer, name string, edit ...func(*x509.Certificate)) *Certificate {
	w.T.Helper()
	template := w.template(name)
	for _, e := range edit {
		e(template)
	}
	return &Certificate{Certificate: w.sign(template, template, s.Public(), s), Key: s}
}

// Peer is the other side of a handshake that showed the chain.
func (w *World) Peer(chain ...*x509.Certificate) *mtls.Peer {
	w.T.Helper()
	p, err := mtls.FromState(Shown(chain...))
	if err != nil {
		w.T.Fatal(err)
	}
	return p
}

// Shown is the state of a handshake that showed the chain.
func Shown(chain ...*x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: chain}
}

func (w *World) template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		w.T.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: w.Now.Add(-5 * time.Minute), NotAfter: w.Now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

func (w *World) newKey() crypto.Signer {
	w.T.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		w.T.Fatal(err)
	}
	return key
}

func (w *World) sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	w.T.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		w.T.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		w.T.Fatal(err)
	}
	return c
}
