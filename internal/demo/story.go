package demo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"

	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// The consumer's own address of the API: as it was before Holdfast, and as it is
// behind the gateway.
func (s *story) directAPI() string       { return s.stack.UpstreamURL() + "/payments/" }
func (s *story) payments() string        { return s.world.GatewayURL + "/payments/" }
func (s *story) withAPIKey() http.Header { return http.Header{"X-Api-Key": {s.apiKey}} }

// Step 1.
func (s *story) callWithAPIKey(ctx context.Context) ([]Observation, error) {
	return s.tryAll(ctx, attempt{
		did: "GET " + s.directAPI() + " with X-Api-Key, from the consumer", client: s.anyone,
		method: http.MethodGet, url: s.directAPI(), header: s.withAPIKey(), status: http.StatusOK,
	})
}

// Step 2.
func (s *story) stealAPIKey(ctx context.Context) ([]Observation, error) {
	return s.tryAll(ctx, attempt{
		did: "GET " + s.directAPI() + " with the same X-Api-Key, from the thief", client: s.certificateClient(nil),
		method: http.MethodGet, url: s.directAPI(), header: s.withAPIKey(), status: http.StatusOK,
	})
}

// Step 4.
func (s *story) callWithBoundToken(ctx context.Context) ([]Observation, error) {
	got, err := s.app.fetchToken(ctx, s)
	seen := []Observation{got}
	if err != nil {
		return seen, err
	}
	o, err := s.app.served(ctx, s, s.payments())
	return append(seen, o), err
}

// Step 5: the thief has the token and everything public, the consumer's
// certificate included, but no key.
func (s *story) stealToken(ctx context.Context) ([]Observation, error) {
	own, err := s.thiefsKey()
	if err != nil {
		return nil, err
	}
	thief := &consumer{token: s.app.token, prover: own}
	withOwnKey, err := thief.callHeader(s.now(), http.MethodGet, s.payments())
	if err != nil {
		return nil, err
	}
	refused := attempt{method: http.MethodGet, url: s.payments(), client: s.anyone, status: http.StatusUnauthorized, code: "invalid_token"}
	noProof, ownKey, otherCert, header := refused, refused, refused, refused
	noProof.did, noProof.header = "the stolen token without its key: no proof", http.Header{"Authorization": {"DPoP " + s.app.token}}
	noProof.code, noProof.reason = "invalid_dpop_proof", "proof_missing"
	ownKey.did, ownKey.header = "the stolen token with a proof signed by a key of the thief's own", withOwnKey
	ownKey.code, ownKey.reason = "invalid_dpop_proof", "proof_key_mismatch"
	otherCert.did, otherCert.header = "the stolen token as a Bearer token, over mutual TLS with another client's certificate", http.Header{"Authorization": {"Bearer " + s.app.token}}
	otherCert.client, otherCert.reason = s.certificateClient(s.bystander), "wrong_scheme"
	header.did, header.header, header.reason = "the stolen token as a Bearer token, with a certificate pasted into the Client-Cert header", s.pastedCertificate("Bearer "+s.app.token), "untrusted_edge"
	return s.tryAll(ctx, noProof, ownKey, otherCert, header)
}

// Step 6: the exact bytes once more, by somebody else, while they are fresh.
func (s *story) replay(ctx context.Context) ([]Observation, error) {
	token := attempt{
		client: s.certificateClient(nil), method: http.MethodPost, url: s.app.tokenEndpoint,
		form: s.app.lastForm, header: http.Header{"Dpop": {s.app.lastProof}},
		did: "the stolen assertion and its proof, sent again to the token endpoint", status: http.StatusUnauthorized, code: "invalid_client", reason: "assertion_replayed",
	}
	header, form, err := s.app.tokenRequest(s.now())
	if err != nil {
		return nil, err
	}
	// A fresh assertion (as if the thief could sign one) does not help an old proof.
	header.Set("DPoP", token.header.Get("DPoP"))
	proof := attempt{
		client: token.client, method: http.MethodPost, url: s.app.tokenEndpoint, form: form, header: header,
		did: "the stolen proof, sent again to the token endpoint beside a fresh assertion", status: http.StatusBadRequest, code: "invalid_dpop_proof", reason: "proof_replayed",
	}
	call := attempt{
		client: token.client, method: http.MethodGet, url: s.payments(), header: s.app.lastCall,
		did: "the stolen token with its own proof, sent again to the API", status: http.StatusUnauthorized, code: "invalid_dpop_proof", reason: "proof_replayed",
	}
	return s.tryAll(ctx, token, proof, call)
}

// Step 7.
func (s *story) certificateStory(ctx context.Context) ([]Observation, error) {
	var seen []Observation
	got, err := s.certApp.fetchToken(ctx, s)
	seen = append(seen, got)
	if err != nil {
		return seen, err
	}
	o, err := s.certApp.served(ctx, s, s.payments())
	seen = append(seen, o)
	if err != nil {
		return seen, err
	}
	own, err := thiefsCertificate(s.now())
	if err != nil {
		return seen, err
	}
	bearer := http.Header{"Authorization": {"Bearer " + s.certApp.token}}
	refused := attempt{method: http.MethodGet, url: s.payments(), client: s.anyone, header: bearer, status: http.StatusUnauthorized, code: "invalid_token"}
	none, self, other, header := refused, refused, refused, refused
	none.did, none.reason = "the stolen token without a certificate", "no_client_cert"
	self.did, self.reason, self.client = "the stolen token over mutual TLS with a certificate of the thief's own", "binding_foreign", s.certificateClient(own)
	other.did, other.reason, other.client = "the stolen token over mutual TLS with another client's certificate", "binding_foreign", s.certificateClient(s.bystander)
	header.did, header.reason, header.header = "the stolen token with the right certificate pasted into the Client-Cert header", "untrusted_edge", s.pastedCertificate("Bearer "+s.certApp.token)
	attacks, err := s.tryAll(ctx, none, self, other, header)
	seen = append(seen, attacks...)
	if err != nil {
		return seen, err
	}
	steal := attempt{
		did: "a token asked for under the consumer's client_id, with another client's certificate", client: s.certificateClient(s.bystander),
		method: http.MethodPost, url: s.certApp.tokenEndpoint, form: s.certApp.lastForm,
		status: http.StatusUnauthorized, code: "invalid_client", reason: "certificate_foreign",
	}
	last, err := s.try(ctx, steal)
	return append(seen, last), err
}

// thiefsKey is a DPoP key of the thief's own.
func (s *story) thiefsKey() (*dpop.Prover, error) {
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	return dpop.NewProver(key)
}

// pastedCertificate is what anybody can send: the certificate is public.
func (s *story) pastedCertificate(authorization string) http.Header {
	return http.Header{
		"Authorization": {authorization},
		"Client-Cert":   {":" + base64.StdEncoding.EncodeToString(s.certApp.certificate) + ":"}, // RFC 9440 section 2.1
	}
}
