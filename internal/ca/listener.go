package ca

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

// IssueListener signs a server certificate for a listener of holdfast's own: DNS
// names and IP addresses out of the configuration, 90 days (the issuing CA's end
// at the latest). It has an intent and an event as any; it is no credential of
// anybody, and the stop of issuing does not apply to it: that must not become an
// outage. The chain is leaf first, without the root.
func (a *Authority) IssueListener(ctx context.Context, key crypto.PublicKey, names []string) (chain [][]byte, err error) {
	if len(names) == 0 {
		return nil, errors.New("issue server certificate: no names")
	}
	if _, err := jose.NewPublicKey(key, "", ""); err != nil {
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	s := subject{profile: ServerTLS, name: pkix.Name{CommonName: "Holdfast server", Organization: []string{commonName(a.TrustDomain)}}, hosts: names}
	now := a.Now()
	by, err := a.issuerAt(now)
	if err != nil {
		return nil, err
	}
	p, err := prepare(by, now, ServerLife, s, key)
	if err != nil {
		return nil, fmt.Errorf("prepare server certificate: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	i := p.intent(by, ServerTLS, now)
	i.Names, i.RequestHash = names, sha256.Sum256(der)
	// A second certificate for a key would be asked for by a renewal only.
	if _, err := a.Store.BeginIssue(ctx, i); err != nil {
		return nil, fmt.Errorf("store intent to issue %s: %w", i.Serial, err)
	}
	leaf, err := a.signIntent(ctx, p, by, i.Serial)
	if err != nil {
		return nil, err
	}
	e, err := event("system", "certificate.issued", now, "", i.Serial, map[string]any{
		"profile": ServerTLS, "serial": i.Serial, "issuer": i.Issuer, "names": names, "not_after": leaf.NotAfter.Unix(),
	})
	if err == nil {
		err = a.Store.FinishIssue(ctx, e, i.Serial, leaf.Raw, directory.Credential{})
	}
	if err != nil {
		a.abandonAfter(ctx, i.Serial)
		return nil, fmt.Errorf("store certificate %s: %w", i.Serial, err)
	}
	return [][]byte{leaf.Raw, by.certificate.Raw}, nil
}

// Listener is a certificate for the listeners of holdfast's own that is good for
// the names: the one that was kept at the last start or renewal, or a new one in
// the second half of its life. Its key is kept with it, so that a start signs
// nothing, and does not fail while the CA's key is away. All nodes share it.
func (a *Authority) Listener(ctx context.Context, names []string) (*tls.Certificate, error) {
	kept, err := a.Ring.Keys(ctx, keyring.Listener)
	if err != nil {
		return nil, fmt.Errorf("open the key of our own listeners: %w", err)
	}
	now := a.Now()
	last := a.usable(kept, names, now)
	if last != nil && now.Before(last.Leaf.NotBefore.Add(last.Leaf.NotAfter.Sub(last.Leaf.NotBefore)/2)) {
		return last, nil
	}
	made, err := a.newListener(ctx, names)
	if err != nil && last != nil {
		return last, nil // until it ends, and it is tried again
	}
	return made, err
}

// usable is the kept certificate that ends last, of those that are good for the
// names now, with its chain.
func (a *Authority) usable(kept []keyring.Key, names []string, now time.Time) (best *tls.Certificate) {
	for _, k := range kept {
		c := k.Certificate
		if c == nil || now.Before(c.NotBefore) || !now.Before(c.NotAfter) || best != nil && !c.NotAfter.After(best.Leaf.NotAfter) ||
			slices.ContainsFunc(names, func(name string) bool { return c.VerifyHostname(name) != nil }) {
			continue
		}
		for _, by := range a.state.Load().issuers {
			if c.CheckSignatureFrom(by.certificate) == nil {
				best = &tls.Certificate{Certificate: [][]byte{c.Raw, by.certificate.Raw}, PrivateKey: k.Signer, Leaf: c}
			}
		}
	}
	return best
}

func (a *Authority) newListener(ctx context.Context, names []string) (*tls.Certificate, error) {
	key, err := newKey(keyring.Listener)
	if err != nil {
		return nil, err
	}
	chain, err := a.IssueListener(ctx, key.Signer.Public(), names)
	if err != nil {
		return nil, fmt.Errorf("issue our own TLS certificate: %w", err)
	}
	if key.Certificate, err = x509.ParseCertificate(chain[0]); err != nil {
		return nil, err
	}
	key.NotBefore, key.NotAfter = key.Certificate.NotBefore, key.Certificate.NotAfter
	if err := a.Ring.Create(ctx, "system", false, key); err != nil {
		return nil, fmt.Errorf("keep our own TLS certificate: %w", err)
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key.Signer, Leaf: key.Certificate}, nil
}
