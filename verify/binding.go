package verify

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/mtls"
)

// checkBinding is RFC 8705 section 3 and the half of RFC 9449 section 7 that
// needs no proof: every key that the token names must be proved, under the
// scheme that says so.
func (c *check) checkBinding() error {
	bound := c.verdict.grant.Confirmation
	switch {
	case c.verdict.faultyCnf:
		return c.refuse(UnknownConfirmation, nil)
	case !bound.HasCertificate && !bound.HasKey:
		return c.refuse(NotBound, nil)
	case !c.policy.rules.Binding.accepts(bound), bound.HasKey && c.replay == nil:
		return c.refuse(WrongBinding, nil)
	case bound.HasKey != (c.scheme == dpopScheme):
		return c.wrongScheme()
	case bound.HasCertificate:
		return c.checkCertificate(bound.Certificate)
	}
	return nil
}

// wrongScheme tells the client which scheme to use (RFC 9449 section 7.2). Beside
// a pasted certificate that is not what happened: the wire says the same, the
// event does not.
func (c *check) wrongScheme() error {
	err := c.refuse(WrongScheme, nil)
	if e, ok := errors.AsType[*Error](err); ok && c.pastedCertificate() {
		e.Reason = UntrustedEdge
	}
	return err
}

// pastedCertificate tells that a header speaks of a certificate that the
// connection does not have.
func (c *check) pastedCertificate() bool {
	return c.request.Certificate == nil && c.request.ForwardedCertificate
}

// checkCertificate compares the connection's certificate with the token's and
// with the clock.
func (c *check) checkCertificate(bound cnf.Thumbprint) error {
	peer := c.request.Certificate
	switch {
	case c.pastedCertificate():
		return c.refuse(UntrustedEdge, nil)
	case peer == nil:
		return c.refuse(NoClientCert, nil)
	case !peer.Thumbprint().Equal(bound):
		return c.refuse(c.otherCertificate(peer.Thumbprint()), nil)
	}
	switch err := peer.ValidAt(c.now); {
	case errors.Is(err, mtls.ErrNotYetValid):
		return c.refuse(CertNotYetValid, err)
	case err != nil:
		return c.refuse(CertExpired, err)
	}
	return nil
}

// otherCertificate tells a renewed certificate from a stranger's.
func (c *check) otherCertificate(shown cnf.Thumbprint) Reason {
	if c.certificates != nil {
		if of, known := c.certificates.Classify(shown, c.verdict.grant.ClientID); known && of == c.verdict.grant.ClientID {
			return BindingRotated
		}
	}
	return BindingForeign
}

// checkProof is RFC 9449 section 4.3. Its last step records the use, so that a
// proof which fails can be mended and sent again. It returns the next nonce.
func (c *check) checkProof(ctx context.Context) (nonce string, err error) {
	r, bound := c.request, c.verdict.grant.Confirmation
	if len(r.DPoP) == 0 {
		return "", c.refuse(ProofMissing, nil)
	}
	proof, err := dpop.Parse(r.DPoP[0])
	switch {
	case errors.Is(err, dpop.ErrSignature):
		return "", c.refuse(ProofSignature, err)
	case err != nil:
		return "", c.refuse(ProofMalformed, err)
	case !proof.JKT.Equal(bound.Key):
		return "", c.refuse(ProofKeyMismatch, nil)
	}
	if err := proof.Check(c.now, dpop.Expect{Method: r.Method, URL: r.URL, AccessToken: c.token}); err != nil {
		return "", c.refuse(proofReason(err), err)
	}
	if c.needsNonce(proof.Nonce) && !c.nonces.Check(c.now, proof.Nonce, proof.JKT, c.oldestNonce()) {
		return "", c.withNonce(c.refuse(NonceRequired, nil), proof.JKT)
	}
	first, err := c.replay.FirstUse(ctx, proof.UseKey(), proof.KeepUntil())
	switch {
	case err != nil:
		return "", c.refuse(ReplayStoreDown, err)
	case !first:
		return "", c.refuse(ProofReplayed, nil)
	}
	return c.nonces.Issue(c.now, proof.JKT), nil
}

// proofReason is the reason of an error of dpop.Proof.Check.
func proofReason(err error) Reason {
	switch {
	case errors.Is(err, dpop.ErrMethod):
		return ProofMethod
	case errors.Is(err, dpop.ErrURL):
		return ProofURL
	case errors.Is(err, dpop.ErrTokenHash):
		return ProofTokenHash
	case errors.Is(err, dpop.ErrTooOld):
		return ProofTooOld
	case errors.Is(err, dpop.ErrFromFuture):
		return ProofFromFuture
	}
	return ProofMalformed
}

// inDoubt tells whether a proof may have been used before the replay store
// began to remember.
func (c *check) inDoubt() bool { return c.now.Before(c.doubtUntil) }

// needsNonce: NonceOff goes with a shared replay store, where there is no doubt.
// A nonce that is there must be one of ours in any case (RFC 9449 section 4.3 (10)).
func (c *check) needsNonce(sent string) bool {
	return sent != "" || c.policy.rules.Nonce == NonceAlways || c.inDoubt()
}

// oldestNonce is before when a nonce must not have been issued.
func (c *check) oldestNonce() (t time.Time) {
	if c.inDoubt() {
		return c.startedAt
	}
	return t
}

func (c *check) withNonce(err error, jkt cnf.Thumbprint) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Nonce = c.nonces.Issue(c.now, jkt)
	}
	return err
}
