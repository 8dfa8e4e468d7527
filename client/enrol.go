package client

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Enrolment exchanges a code, which an operator made, for a first certificate.
type Enrolment struct {
	Issuer string // URL of the authorization server
	Code   string
	Key    crypto.Signer // stays here
	// Profile is client_transport or client_signing; "" is what the code says.
	Profile string
	Life    time.Duration // whole seconds; 0 is the server's
}

// Enrolled is the application with its new credential.
type Enrolled struct {
	Issuer       string
	ClientID     string
	CredentialID string
	Instance     string // "" for none
	AuthMethod   string // token_endpoint_auth_method
	Binding      string // "mtls" or "dpop"
	Profile      string
	KeyID        string // for client_signing
	Chain        []byte // PEM, leaf first, without the root
	NotAfter     time.Time
	Grants       []Grant
}

// Grant is what the application may ask tokens for.
type Grant struct {
	Resource string `json:"resource"`
	Scope    string `json:"scope"`
}

// NewRequest is the CSR of an enrolment (PKCS#10, PEM). It asks for nothing but a
// certificate for the key, so that the request is the same each time that it is
// made with one key, whatever its signature.
func (e Enrolment) NewRequest() ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, e.Key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Enrol sends the code with a certificate request for the key. When the answer was
// lost, do it again with the same key: the server gives the same certificate. A
// refusal is an *Error; a certificate that is not for the key is ErrAnswer.
func (e Enrolment) Enrol(ctx context.Context, h *http.Client) (Enrolled, error) {
	if _, err := wellKnown(e.Issuer); err != nil {
		return Enrolled{}, err
	}
	csr, err := e.NewRequest()
	if err != nil {
		return Enrolled{}, err
	}
	body, err := json.Marshal(struct {
		Code    string `json:"code"`
		CSR     string `json:"csr"`
		Profile string `json:"profile,omitempty"`
		Life    int64  `json:"life_seconds,omitempty"`
	}{e.Code, string(csr), e.Profile, int64(e.Life / time.Second)})
	if err != nil {
		return Enrolled{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(e.Issuer, "/")+"/enrol", bytes.NewReader(body))
	if err != nil {
		return Enrolled{}, fmt.Errorf("enrol: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := direct(h).Do(request)
	if err != nil {
		return Enrolled{}, fmt.Errorf("enrol: %w", err)
	}
	defer response.Body.Close()
	text, err := readAll(response.Body, maxMetadata)
	if err != nil {
		return Enrolled{}, fmt.Errorf("enrol: %w", err)
	}
	answer := Answer{Status: response.StatusCode, Header: response.Header, Body: text}
	if answer.Status != http.StatusOK {
		return Enrolled{}, answer.refusal()
	}
	out, err := parseEnrolled(text)
	if err == nil {
		err = e.check(out)
	}
	if err != nil {
		return Enrolled{}, fmt.Errorf("enrol: %w: %w", ErrAnswer, err)
	}
	return out, nil
}

func parseEnrolled(text []byte) (out Enrolled, err error) {
	texts := map[string]*string{
		"issuer": &out.Issuer, "client_id": &out.ClientID, "credential_id": &out.CredentialID, "instance": &out.Instance,
		"token_endpoint_auth_method": &out.AuthMethod, "binding": &out.Binding, "profile": &out.Profile, "kid": &out.KeyID,
	}
	err = strictjson.Members(text, maxDepth, func(name string, v strictjson.Value) (err error) {
		var value string
		switch {
		case texts[name] != nil:
			*texts[name], err = v.Text()
		case name == "certificate_chain":
			value, err = v.Text()
			out.Chain = []byte(value)
		case name == "not_after":
			if value, err = v.Text(); err == nil {
				out.NotAfter, err = time.Parse(time.RFC3339, value)
			}
		case name == "grants":
			err = v.Elements(maxDepth, func(element strictjson.Value) error {
				var g Grant
				err := strictjson.Members(element, maxDepth, func(name string, v strictjson.Value) (err error) {
					switch name {
					case "resource":
						g.Resource, err = v.Text()
					case "scope":
						g.Scope, err = v.Text()
					}
					return err
				})
				out.Grants = append(out.Grants, g)
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	return out, err
}

// check refuses an answer that is another issuer's or for another key.
func (e Enrolment) check(out Enrolled) error {
	if out.Issuer != e.Issuer {
		return fmt.Errorf("it is another issuer's")
	}
	if out.ClientID == "" || out.CredentialID == "" {
		return fmt.Errorf("it does not name the application and its credential")
	}
	n := 0
	for rest := out.Chain; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) != 0 {
				return fmt.Errorf("the certificate chain is not PEM")
			}
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return fmt.Errorf("the certificate chain has something else in it")
		}
		if key, ok := e.Key.Public().(interface{ Equal(crypto.PublicKey) bool }); n == 0 && (!ok || !key.Equal(c.PublicKey)) {
			return fmt.Errorf("the certificate is for another key")
		}
	}
	if n < 1 || n > mtls.MaxChain {
		return fmt.Errorf("a chain of %d certificates", n)
	}
	return nil
}
