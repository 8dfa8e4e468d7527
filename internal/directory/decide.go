package directory

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// What a change that concerns more than the directory is made of: the rules, and
// the one order of changes.

// Decide makes a change of which the directory's records are a part: decided on
// the newest snapshot, stored only if nothing has changed since, in force here on
// return. decide answers the event and the records; it may be called again. store
// stores both, and whatever else belongs to the change, in one transaction.
func (d *Directory) Decide(ctx context.Context, decide func(s *Snapshot, now time.Time) (audit.Event, Delta, error), store func(context.Context, audit.Event, Delta) error) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		e, delta, err := decide(s, now)
		return e, &step{delta, func(ctx context.Context, e audit.Event) error { return store(ctx, e, delta) }}, err
	})
}

// CheckApplication is the rules of an application, new or changed.
func (d *Directory) CheckApplication(s *Snapshot, a Application) error {
	return d.checkApplication(s, a)
}

// CheckJWKSURI is the rules of a jwks_uri; "" is none.
func (d *Directory) CheckJWKSURI(uri string) error {
	a := Application{AuthMethod: PrivateKeyJWT, JWKSURI: uri}
	if err := checkJWKSURI(a); err != nil {
		return err
	}
	return d.checkOutbound(a)
}

// DescribeApplication is what an event says of an application.
func DescribeApplication(a Application) map[string]any { return describeApplication(a) }

// NewClientID makes the id of an application.
func NewClientID() ClientID { return ClientID(newID("app-")) }

// NewSigningKey is the credential that RegisterKey would store, by the same rules.
func NewSigningKey(of *Client, key *jose.PublicKey, now time.Time) (Credential, error) {
	c := Credential{ID: NewCredentialID(), ClientID: of.ClientID, Kind: SigningKey, State: Active, Key: key, Thumbprint: key.Thumbprint(), Created: now}
	return c, checkSigningKey(of, &c, now)
}

// NewCertificate is the credential that RegisterCertificate would store, by the
// same rules.
func NewCertificate(of *Client, der []byte, now time.Time) (Credential, error) {
	certificate, err := parseCertificate(der)
	if err != nil {
		return Credential{}, err
	}
	c := Credential{
		ID: NewCredentialID(), ClientID: of.ClientID, Kind: Certificate, State: Active, Thumbprint: cnf.CertificateThumbprint(der),
		Certificate: slices.Clone(der), Created: now, NotBefore: certificate.NotBefore.UTC(), NotAfter: certificate.NotAfter.UTC(),
	}
	return c, checkCertificate(of, certificate, now)
}

// RevokedApplication is the application after its revocation at now, whatever its
// state was: it is final.
func RevokedApplication(a Application, now time.Time) Application {
	a.State, a.TokensAfter = Revoked, endTokens(a.TokensAfter, Revoked, now)
	return a
}

// RetiredCredential is the credential after its retirement at now.
func RetiredCredential(c Credential, now time.Time) Credential {
	c.State, c.TokensAfter = Retired, endTokens(c.TokensAfter, Retired, now)
	return c
}

// CheckTLSName refuses a name that is not one, or not in its one spelling.
func CheckTLSName(n TLSName) error {
	if reason := faultOfName(n); reason != "" {
		return invalid("tls_client_auth_san_"+string(n.Kind), "%s", reason)
	}
	return nil
}
