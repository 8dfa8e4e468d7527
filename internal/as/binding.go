package as

import (
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// bound is what a token will be bound to.
type bound struct {
	binding  cnf.Binding
	notAfter time.Time   // end of what it is bound to; zero for none
	proof    *dpop.Proof // nil for a certificate
	use      *token.Use  // of the proof
	nonce    string      // for the next proof
}

// bind decides by the client's registration, and by nothing that the request
// could choose: a client bound to certificates cannot ask for a DPoP token, nor
// the other way round.
func (s *Server) bind(now time.Time, d *directory.Snapshot, caller *clientauth.Authenticated, req tokenRequest) (bound, error) {
	if len(req.proofs) > 1 { // RFC 9449 section 4.3 (1)
		return bound{}, badProof("proof_repeated", nil)
	}
	switch caller.Client.Binding {
	case cnf.DPoP:
		if len(req.proofs) == 0 {
			return bound{}, badProof("proof_missing", nil)
		}
		return s.bindKey(now, d, caller.Client, req.proofs[0], req.url)
	case cnf.MTLS:
		if len(req.proofs) != 0 {
			return bound{}, oauth.Refuse(oauth.InvalidRequest, "proof_unexpected", "tokens of this client are bound to its certificate", nil)
		}
		return s.bindCertificate(now, d, caller, req.client)
	}
	return bound{}, oauth.Refuse(oauth.ServerError, "binding_unknown", "the client has no binding", nil)
}

// bindKey is RFC 9449 section 5.
func (s *Server) bindKey(now time.Time, d *directory.Snapshot, client *directory.Client, raw, url string) (bound, error) {
	proof, err := dpop.Parse(raw)
	if err != nil {
		return bound{}, badProof(reasonOfProof(err), err)
	}
	if err := proof.Check(now, dpop.Expect{Method: http.MethodPost, URL: url}); err != nil {
		return bound{}, badProof(reasonOfProof(err), err)
	}
	binding := cnf.ToKey(proof.JKT)
	issued := issuedAt(now, d.TokensAfter(client, nil, binding, ""))
	if d.Ended(directory.Token{ClientID: client.ClientID, Binding: binding, IssuedAt: issued}) != "" {
		return bound{}, badProof("proof_key_not_accepted", nil)
	}
	use := token.Use{Key: proof.UseKey(), Until: proof.KeepUntil(), From: proof.IssuedAt.Add(-dpop.MaxAhead)}
	return bound{binding: binding, proof: proof, use: &use, nonce: s.Nonces.Issue(now, proof.JKT)}, nil
}

// checkNonce is RFC 9449 sections 4.3 (10) and 8. The application or the resource
// may demand a nonce; one that is there undemanded must be one of ours, too. The
// answer burns nothing: the same proof cannot come again, as it lacks the nonce, but
// its assertion can.
func (s *Server) checkNonce(now time.Time, b bound, demanded bool) error {
	if b.proof == nil || !demanded && b.proof.Nonce == "" || s.Nonces.Check(now, b.proof.Nonce, b.proof.JKT, time.Time{}) {
		return nil
	}
	return &oauth.Error{
		Code: oauth.UseDPoPNonce, Status: http.StatusBadRequest, Reason: "proof_nonce",
		Description: "DPoP proof needs the nonce of this answer", Nonce: b.nonce,
	}
}

// bindCertificate is RFC 8705 section 3. The certificate is the one that
// authenticated or, beside an assertion, a credential of the same application.
func (s *Server) bindCertificate(now time.Time, d *directory.Snapshot, caller *clientauth.Authenticated, t clientauth.Attempt) (bound, error) {
	switch {
	case t.PeerErr != nil:
		return bound{}, badCertificate(clientauth.ReasonCertificateUnusable, t.PeerErr)
	case t.Peer == nil:
		return bound{}, badCertificate(clientauth.ReasonCertificateMissing, nil)
	}
	credential := caller.Credential
	if caller.Method == directory.PrivateKeyJWT {
		var err error
		if credential, err = s.Auth.RecogniseCertificate(now, d, caller.Client, t.Peer); err != nil {
			return bound{}, asBinding(err)
		}
	}
	notAfter := t.Peer.Leaf().NotAfter
	if !credential.NotAfter.IsZero() && credential.NotAfter.Before(notAfter) {
		notAfter = credential.NotAfter
	}
	return bound{binding: cnf.ToCertificate(t.Peer.Thumbprint()), notAfter: notAfter}, nil
}

func badProof(reason string, cause error) error {
	return oauth.Refuse(oauth.InvalidDPoPProof, reason, "DPoP proof is not acceptable", cause)
}

func badCertificate(reason string, cause error) error {
	return oauth.Refuse(oauth.InvalidRequest, reason, "tokens of this client are bound to a certificate of its own, and this request shows none", cause)
}

// asBinding turns a certificate that does not authenticate into one that does
// not bind: the client has proved who it is, so this is no invalid_client.
func asBinding(err error) error {
	if e, ok := oauth.AsError(err); ok {
		return badCertificate(e.Reason, e.Cause)
	}
	return err
}

func reasonOfProof(err error) string {
	switch {
	case errors.Is(err, dpop.ErrSignature):
		return "proof_signature"
	case errors.Is(err, dpop.ErrMethod):
		return "proof_method"
	case errors.Is(err, dpop.ErrURL):
		return "proof_url"
	case errors.Is(err, dpop.ErrTooOld):
		return "proof_too_old"
	case errors.Is(err, dpop.ErrFromFuture):
		return "proof_from_future"
	}
	return "proof_malformed"
}
