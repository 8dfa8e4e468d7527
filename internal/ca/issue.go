package ca

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Request asks for a certificate.
type Request struct {
	Actor   string // of the audit event
	Client  *directory.Client
	Profile Profile
	// CSR is PKCS#10, PEM or DER.
	CSR []byte
	// Life is at most 90 days, which is also what 0 means.
	Life time.Duration
	Code string // id of the enrolment code that pays for it; "" for none
	// Instance is the name of the replica that the code is for, "" for none.
	Instance string
	// Directory is where Client is looked at again when the certificate is stored:
	// it may have changed while that was made. Nil for a caller who changes it alone.
	Directory *directory.Directory
}

// Issued is a certificate and what became of it.
type Issued struct {
	Serial     string // hexadecimal
	Credential directory.Credential
	Chain      [][]byte // DER, leaf first, without the root
	// Again: it was issued for the same request before.
	Again bool
}

const (
	// patience is how long a request waits for the same one that is being served.
	patience = 5 * time.Second
	// takeover is the age at which an intent is taken for one of a process that died.
	takeover = 10 * time.Second
	poll     = 10 * time.Millisecond
	maxPoll  = 320 * time.Millisecond
)

// Issue issues a certificate for the key in the CSR, whose signature proves
// possession of it. Subject and names come from the directory, never from the
// CSR; one that asks for a name that is not the application's or, for ServerTLS,
// its organisation's is refused. The certificate ends with the issuing CA at the
// latest.
//
// The same request (key, names, subject and attributes; the signature does not
// count, as ECDSA makes another each time) gets the same certificate until half
// of its life has passed, however often and on however many nodes it is made;
// after that it is a renewal.
//
// Errors: *directory.InvalidError for csr, life and profile, directory.ErrState
// for an application that is not live or does not use such certificates,
// directory.ErrExists for a signing key that is registered already, ErrClosed,
// ErrStopped, ErrUnavailable, ErrBusy, ErrCode.
func (a *Authority) Issue(ctx context.Context, r Request) (Issued, error) {
	s, csr, err := a.read(&r)
	if err != nil {
		return Issued{}, err
	}
	// A process that dies leaves its intent; whoever comes next waits for it a
	// while and then takes its place.
	pause, waited := poll, time.Duration(0)
	for {
		issued, err := a.issueOnce(ctx, r, s, csr)
		busy, ok := errors.AsType[*BusyError](err)
		if !ok {
			return issued, err
		}
		if a.Now().Sub(busy.Since) >= takeover {
			if err := a.abandon(ctx, busy.Serial); err != nil && !errors.Is(err, directory.ErrState) {
				return Issued{}, err
			}
			continue
		}
		if waited >= patience {
			return Issued{}, err
		}
		if err := wait(ctx, pause); err != nil {
			return Issued{}, err
		}
		waited += pause
		pause = min(2*pause, maxPoll)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read checks a request by what is known without the store, and fills its defaults.
func (a *Authority) read(r *Request) (subject, *x509.CertificateRequest, error) {
	c := r.Client
	switch {
	case r.Profile != ClientTransport && r.Profile != ClientSigning && r.Profile != ServerTLS:
		return subject{}, nil, &directory.InvalidError{Field: "profile", Reason: "must be client_transport, client_signing or server_tls"}
	case !r.fits(c):
		return subject{}, nil, fmt.Errorf("issue %s certificate for %s: %w", r.Profile, c.ClientID, directory.ErrState)
	case r.Life < 0 || r.Life > r.Profile.maxLife():
		return subject{}, nil, &directory.InvalidError{Field: "life_seconds", Reason: "not between 1 s and 90 days"}
	case r.Life == 0:
		r.Life = r.Profile.maxLife()
	}
	csr, err := parseCSR(r.CSR)
	if err != nil {
		return subject{}, nil, err
	}
	s := subject{profile: r.Profile, name: pkix.Name{CommonName: commonName(c.Name), Organization: []string{string(c.Organisation)}}}
	if r.Profile == ServerTLS {
		s.hosts, err = checkServerNames(csr)
	} else {
		s.uri = directory.SPIFFEID(a.TrustDomain, c.Organisation, c.ClientID)
		err = checkClientNames(csr, s)
	}
	if err != nil {
		return subject{}, nil, err
	}
	if c.EndedKey(csr.PublicKey) {
		return subject{}, nil, badCSR("its key was revoked or compromised")
	}
	return s, csr, nil
}

// fits tells whether the application may have such a certificate.
func (r *Request) fits(c *directory.Client) bool {
	return c.Live && r.Profile.Fits(c.AuthMethod) && (r.Profile != ClientTransport || c.TLSName == (directory.TLSName{}))
}

// finish stores the certificate, decided on the directory as it is then.
func (a *Authority) finish(ctx context.Context, r Request, key crypto.PublicKey, store func(context.Context) error) error {
	if r.Directory == nil {
		return store(ctx)
	}
	return r.Directory.Under(directory.Guarded(ctx, func(s *directory.Snapshot, _ time.Time) error {
		switch c := s.Client(r.Client.ClientID); {
		case c == nil || !r.fits(c):
			return fmt.Errorf("issue %s certificate for %s: %w", r.Profile, r.Client.ClientID, directory.ErrState)
		case c.EndedKey(key):
			return badCSR("its key was revoked or compromised")
		}
		return nil
	}), store)
}

// issueOnce is one attempt: intent, signature, certificate.
func (a *Authority) issueOnce(ctx context.Context, r Request, s subject, csr *x509.CertificateRequest) (Issued, error) {
	now := a.Now()
	by, err := a.issuerAt(now)
	if err != nil {
		return Issued{}, err
	}
	p, err := prepare(by, now, r.Life, s, csr.PublicKey)
	if err != nil {
		return Issued{}, fmt.Errorf("prepare certificate for %s: %w", r.Client.ClientID, err)
	}
	i := p.intent(by, r.Profile, now)
	i.Organisation, i.ClientID, i.CredentialID = r.Client.Organisation, r.Client.ClientID, directory.NewCredentialID()
	i.Names, i.Code, i.RequestHash = s.hosts, r.Code, sha256.Sum256(csr.RawTBSCertificateRequest)
	earlier, err := a.Store.BeginIssue(ctx, i)
	if err != nil {
		return Issued{}, fmt.Errorf("store intent to issue %s: %w", i.Serial, err)
	}
	if earlier != nil {
		return a.again(r, earlier)
	}
	leaf, err := a.signIntent(ctx, p, by, i.Serial)
	if err != nil {
		return Issued{}, err
	}
	credential, err := credentialOf(r, i.CredentialID, leaf, now)
	if err != nil {
		return Issued{}, err
	}
	e, err := issuedEvent(r, credential, leaf, i)
	if err == nil {
		err = a.finish(ctx, r, csr.PublicKey, func(ctx context.Context) error {
			return a.Store.FinishIssue(ctx, e, i.Serial, leaf.Raw, credential)
		})
	}
	if err != nil {
		a.abandonAfter(ctx, i.Serial)
		return Issued{}, fmt.Errorf("store certificate %s: %w", i.Serial, err)
	}
	return Issued{Serial: i.Serial, Credential: credential, Chain: [][]byte{leaf.Raw, by.certificate.Raw}}, nil
}

// again is the answer to a request that was answered before.
func (a *Authority) again(r Request, earlier *Earlier) (Issued, error) {
	leaf, err := x509.ParseCertificate(earlier.Certificate)
	if err != nil {
		return Issued{}, fmt.Errorf("read certificate %s: %w", earlier.Serial, err)
	}
	by, ok := a.state.Load().issuerBy(earlier.Issuer)
	if !ok {
		return Issued{}, fmt.Errorf("certificate %s is of an issuing CA that is not known here: %w", earlier.Serial, ErrUnavailable)
	}
	credential, err := credentialOf(r, earlier.CredentialID, leaf, earlier.At)
	return Issued{Serial: earlier.Serial, Credential: credential, Chain: [][]byte{leaf.Raw, by.certificate.Raw}, Again: true}, err
}

// credentialOf is what a certificate becomes in the directory.
func credentialOf(r Request, id directory.CredentialID, leaf *x509.Certificate, now time.Time) (directory.Credential, error) {
	c := directory.Credential{
		ID: id, ClientID: r.Client.ClientID, Kind: r.Profile.Kind(), State: directory.Active,
		Thumbprint: cnf.CertificateThumbprint(leaf.Raw), Certificate: leaf.Raw, Issued: true,
		Created: now, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}
	if r.Profile == ClientSigning {
		key, err := jose.NewPublicKey(leaf.PublicKey, "", "")
		if err != nil {
			return directory.Credential{}, err
		}
		c.Key, c.Thumbprint = key, key.Thumbprint()
	}
	return c, nil
}

// issuedEvent is the audit event of a certificate.
func issuedEvent(r Request, c directory.Credential, leaf *x509.Certificate, i Intent) (audit.Event, error) {
	facts := map[string]any{
		"client_id": c.ClientID, "profile": r.Profile, "serial": i.Serial, "issuer": i.Issuer,
		"x5t#S256": cnf.CertificateThumbprint(leaf.Raw).String(), "not_after": c.NotAfter.Unix(),
	}
	if c.Key != nil {
		facts["kid"] = c.Key.KeyID()
	}
	if len(i.Names) > 0 {
		facts["names"] = i.Names
	}
	if r.Code != "" {
		facts["enrolment_code"] = r.Code
	}
	if r.Instance != "" {
		facts["instance"] = r.Instance
	}
	return event(r.Actor, "certificate.issued", c.Created, r.Client.Organisation, string(c.ID), facts)
}

func event(actor, action string, at time.Time, o directory.OrganisationID, subject string, facts map[string]any) (audit.Event, error) {
	detail, err := json.Marshal(facts)
	if err != nil {
		return audit.Event{}, fmt.Errorf("write down %s: %w", action, err)
	}
	return audit.Event{At: at, Actor: actor, Action: action, Organisation: string(o), Subject: subject, Detail: string(detail)}, nil
}

// prepared is a certificate that was made by a key that nobody trusts and found
// good: only what has the same TBSCertificate may be signed by the real one.
type prepared struct {
	template *x509.Certificate
	key      crypto.PublicKey
	tbs      [sha256.Size]byte
}

func prepare(by issuer, now time.Time, life time.Duration, s subject, key crypto.PublicKey) (prepared, error) {
	t, err := s.leafTemplate(by, now, life, key)
	if err != nil {
		return prepared{}, err
	}
	parent := *by.certificate
	parent.PublicKey = by.twin.Public()
	twin, err := sign(t, &parent, key, by.twin)
	if err != nil {
		return prepared{}, err
	}
	if err := lint(twin, t, by, key, s); err != nil {
		return prepared{}, err
	}
	return prepared{template: t, key: key, tbs: sha256.Sum256(twin.RawTBSCertificate)}, nil
}

func (p prepared) intent(by issuer, profile Profile, now time.Time) Intent {
	t := p.template
	return Intent{
		Serial: hex.EncodeToString(t.SerialNumber.Bytes()), Issuer: by.id, Profile: profile, TBSHash: p.tbs, At: now,
		RenewAt: now.Add(t.NotAfter.Sub(now) / 2), NotAfter: t.NotAfter,
	}
}

// issue signs, and gives out nothing but what was prepared.
func (p prepared) issue(by issuer) (*x509.Certificate, error) {
	leaf, err := sign(p.template, by.certificate, p.key, by.signer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err) // the twin was signed: it is the key
	}
	if sha256.Sum256(leaf.RawTBSCertificate) != p.tbs {
		return nil, faulty("it did not come out as its twin")
	}
	return leaf, nil
}

// signIntent signs what has an intent; a failure closes that.
func (a *Authority) signIntent(ctx context.Context, p prepared, by issuer, serial string) (*x509.Certificate, error) {
	leaf, err := p.issue(by)
	if err != nil {
		a.abandonAfter(ctx, serial)
		return nil, fmt.Errorf("issue %s: %w", serial, err)
	}
	return leaf, nil
}

// abandonAfter closes an intent that has failed, so that the request can be made
// again at once. If that fails, too, reconciliation does it later.
func (a *Authority) abandonAfter(ctx context.Context, serial string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = a.abandon(ctx, serial)
}

func (a *Authority) abandon(ctx context.Context, serial string) error {
	now := a.Now()
	e, err := event("system", "certificate.abandoned", now, "", serial, map[string]any{"serial": serial})
	if err != nil {
		return err
	}
	return a.Store.AbandonIssue(ctx, e, serial, now)
}
