package server

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/verify"
)

// What the verifier before our own resources knows, it knows from this process:
// the directory's snapshot, the signing keys, the store's record of uses.

// localUses is the verifier's replay store over the store that all nodes share.
type localUses struct{ uses token.Uses }

// FirstUse is part of verify.ReplayStore.
func (l localUses) FirstUse(ctx context.Context, key [32]byte, until time.Time) (bool, error) {
	issued := until.Add(-dpop.KeepID) // a verifier uses up proofs alone
	err := l.uses.FirstUse(ctx, token.Use{Key: key, Until: until, From: issued.Add(-dpop.MaxAhead)})
	if _, replayed := errors.AsType[*token.ReplayedError](err); replayed {
		return false, nil
	}
	return err == nil, err
}

// knowledge tells a verifier which tokens ended and whose a certificate is, out of
// this process's directory.
type knowledge struct{ source *directory.Directory }

// Ended is part of verify.RevocationSource.
func (k knowledge) Ended(t *verify.Token) (verify.Reason, time.Duration) {
	return verify.Reason(endedOn(k.source.Current(), t)), k.source.Age()
}

// endedOn tells why the token is good no more on the snapshot; "" when it is.
func endedOn(d *directory.Snapshot, t *verify.Token) string {
	// A token that is bound twice may end by either binding.
	for _, b := range bindings(t.Confirmation) {
		token := directory.Token{
			ID: t.ID, KeyID: t.KeyID, ClientID: directory.ClientID(t.ClientID), CredentialID: directory.CredentialID(t.CredentialID),
			Binding: b, IssuedAt: t.IssuedAt,
		}
		if len(t.Audience) == 1 { // as our own tokens have it
			token.Audience = t.Audience[0]
		}
		if reason := d.Ended(token); reason != "" {
			return reason
		}
	}
	return ""
}

// bindings are the members of a cnf claim; at least one, perhaps the zero one.
func bindings(c cnf.Confirmation) []cnf.Binding {
	switch {
	case c.HasCertificate && c.HasKey:
		return []cnf.Binding{cnf.ToCertificate(c.Certificate), cnf.ToKey(c.Key)}
	case c.HasCertificate:
		return []cnf.Binding{cnf.ToCertificate(c.Certificate)}
	case c.HasKey:
		return []cnf.Binding{cnf.ToKey(c.Key)}
	}
	return []cnf.Binding{{}}
}

// Classify is part of verify.Certificates.
func (k knowledge) Classify(t cnf.Thumbprint, clientID string) (of string, known bool) {
	return k.source.Current().Classify(t, clientID)
}

// localKeys follows the signing keys of this process.
type localKeys struct {
	static *verify.StaticKeys
	keys   func() *token.SigningKeys
}

func newLocalKeys(issuer string, keys func() *token.SigningKeys) (*localKeys, error) {
	l := &localKeys{static: verify.NewStaticKeys(issuer, nil), keys: keys}
	return l, l.refresh()
}

// refresh puts the keys of now in place. A key is published days before it signs.
func (l *localKeys) refresh() error {
	set, err := verify.NewKeySet(l.keys().Published...)
	if err == nil {
		l.static.Replace(set)
	}
	return err
}
