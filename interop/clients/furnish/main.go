// Command furnish makes, in a running `holdfast dev`, what the foreign clients
// need beyond its samples, through the admin API with the operator's own key:
//
//	furnish FOLDER/dev.json WORLD/world.json
//
// The world's keys and certificates are written beside the second file.
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
)

// resource is an API that nobody runs: its tokens are for introspection.
const resource = "https://accounts.interop.test/v1"

var scopes = []string{"accounts.read", "accounts.write"}

// World is what world.json holds: everything that the clients need to know.
type World struct {
	Dev          json.RawMessage `json:"dev"` // dev.json
	Resource     string          `json:"resource"`
	Scopes       []string        `json:"scopes"`
	Applications map[string]*One `json:"applications"` // by the names below
	// InitialAccessToken registers clients of the shop that may have the resource's
	// scopes.
	InitialAccessToken string `json:"initial_access_token"`
}

// One is an application, as dev.json has them.
type One struct {
	ClientID    string `json:"client_id"`
	AuthMethod  string `json:"auth_method"`
	Binding     string `json:"binding"`
	Scope       string `json:"scope"`
	Resource    string `json:"resource"`
	KeyFile     string `json:"key_file,omitempty"`
	KeyID       string `json:"kid,omitempty"`
	Algorithm   string `json:"alg,omitempty"`
	CertFile    string `json:"cert_file,omitempty"`
	CertKeyFile string `json:"cert_key_file,omitempty"`
}

// row is one application to make.
type row struct {
	name, organisation, authMethod, binding string
	alg                                     string // of the assertions; "" for none
	nonce                                   bool   // the token endpoint demands a DPoP nonce
}

// rows of the world. The servers may introspect the resource's tokens; the
// strangers have good credentials, of another organisation.
var rows = []row{
	{"server", "bank", "private_key_jwt", "dpop", "ES256", false},
	{"server-ca", "bank", "tls_client_auth", "mtls", "", false},
	{"es256", "shop", "private_key_jwt", "dpop", "ES256", false},
	{"ps256", "shop", "private_key_jwt", "dpop", "PS256", false},
	{"eddsa", "shop", "private_key_jwt", "dpop", "EdDSA", false},
	{"nonce", "shop", "private_key_jwt", "dpop", "ES256", true},
	{"es256-mtls", "shop", "private_key_jwt", "mtls", "ES256", false},
	{"ps256-mtls", "shop", "private_key_jwt", "mtls", "PS256", false},
	{"eddsa-mtls", "shop", "private_key_jwt", "mtls", "EdDSA", false},
	{"ca", "shop", "tls_client_auth", "mtls", "", false},
	{"own", "shop", "self_signed_tls_client_auth", "mtls", "", false},
	{"stranger", "rival", "private_key_jwt", "dpop", "ES256", false},
	{"stranger-ca", "rival", "tls_client_auth", "mtls", "", false},
	{"stranger-own", "rival", "self_signed_tls_client_auth", "mtls", "", false},
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: furnish DEV.JSON WORLD.JSON")
		os.Exit(2)
	}
	if err := furnish(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "furnish: error:", err)
		os.Exit(1)
	}
}

// devFile is what of dev.json is needed here.
type devFile struct {
	Issuer          string `json:"issuer"`
	CAFile          string `json:"ca_file"`
	GatewayURL      string `json:"gateway_url"`
	AdminURL        string `json:"admin_url"`
	AdminResource   string `json:"admin_resource"`
	OperatorID      string `json:"operator_client_id"`
	OperatorKeyFile string `json:"operator_key_file"`
	OperatorKeyID   string `json:"operator_kid"`
	OperatorScope   string `json:"operator_scope"`
}

func furnish(ctx context.Context, devPath, worldPath string) error {
	data, err := os.ReadFile(devPath)
	if err != nil {
		return err
	}
	b := &builder{dir: filepath.Dir(worldPath), organisations: map[string]string{}, now: time.Now,
		world: World{Dev: data, Resource: resource, Scopes: scopes, Applications: map[string]*One{}}}
	if err := json.Unmarshal(data, &b.dev); err != nil {
		return err
	}
	if b.admin, err = operator(ctx, b.dev); err != nil {
		return err
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	if data, err = json.MarshalIndent(b.world, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(worldPath, append(data, '\n'), 0o600)
}

// operator is the HTTP client of a dev folder's operator.
func operator(ctx context.Context, f devFile) (*http.Client, error) {
	roots, err := client.LoadRoots(f.CAFile)
	if err != nil {
		return nil, err
	}
	key, err := client.LoadKey(f.OperatorKeyFile)
	if err != nil {
		return nil, err
	}
	signer, err := client.NewSigner(key, "", f.OperatorKeyID)
	if err != nil {
		return nil, err
	}
	bound, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	prover, err := dpop.NewProver(bound)
	if err != nil {
		return nil, err
	}
	return client.New(ctx, client.Config{
		Issuer: f.Issuer, Roots: roots, Scope: f.OperatorScope, Resource: f.AdminResource,
		Credentials: client.Credentials{ClientID: f.OperatorID, Assertion: signer, DPoP: prover},
	})
}

type object = map[string]any

type builder struct {
	dev           devFile
	admin         *http.Client
	dir           string
	organisations map[string]string // id by name
	world         World
	now           func() time.Time
}

// create posts to the admin API and reads the member of the answer.
func (b *builder) create(ctx context.Context, path string, in object, member string) (string, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.dev.AdminURL+"/v1"+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := b.admin.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", err
	}
	var out object
	if err := json.Unmarshal(answer, &out); err != nil || res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("POST %s: %s: %s", path, res.Status, answer)
	}
	text, ok := out[member].(string)
	if !ok {
		return "", fmt.Errorf("POST %s: the answer has no %s", path, member)
	}
	return text, nil
}

// build makes the servers first: the resource names them, and the rest names it.
func (b *builder) build(ctx context.Context) error {
	var servers []string
	for _, a := range rows {
		serves := a.organisation == "bank"
		if !serves && servers != nil {
			if _, err := b.create(ctx, "/resources", object{"uri": resource, "organisation": b.organisations["bank"],
				"name": "accounts", "scopes": scopes, "servers": servers}, "uri"); err != nil {
				return err
			}
			servers = nil
		}
		if err := b.application(ctx, a, !serves); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		if serves {
			servers = append(servers, b.world.Applications[a.name].ClientID)
		}
	}
	var err error
	b.world.InitialAccessToken, err = b.create(ctx, "/organisations/"+b.organisations["shop"]+"/initial-access-tokens", object{
		"uses": 1000, "limited": true, "grants": []object{{"resource": resource, "scopes": scopes}}}, "initial_access_token")
	return err
}

// application makes one with its credentials. Granted are the resource and the
// sample API that takes either binding.
func (b *builder) application(ctx context.Context, a row, granted bool) error {
	organisation, err := b.organisation(ctx, a.organisation)
	if err != nil {
		return err
	}
	in := object{"name": a.name, "organisation": organisation, "auth_method": a.authMethod, "binding": a.binding, "require_nonce": a.nonce}
	if granted {
		in["grants"] = []object{{"resource": resource, "scopes": scopes}, {"resource": b.dev.GatewayURL + "/payments", "scopes": []string{"payments"}}}
	}
	one := &One{AuthMethod: a.authMethod, Binding: a.binding, Scope: scopes[0], Resource: resource}
	b.world.Applications[a.name] = one
	if one.ClientID, err = b.create(ctx, "/applications", in, "client_id"); err != nil {
		return err
	}
	if a.alg != "" {
		if err := b.signingKey(ctx, a, one); err != nil {
			return err
		}
	}
	if a.binding == "mtls" {
		return b.certificate(ctx, a, one)
	}
	return nil
}

func (b *builder) organisation(ctx context.Context, name string) (id string, err error) {
	if id = b.organisations[name]; id == "" {
		id, err = b.create(ctx, "/organisations", object{"name": name}, "id")
		b.organisations[name] = id
	}
	return id, err
}

// key makes a private key in a file of its own.
func (b *builder) key(name, alg string) (key crypto.Signer, file string, err error) {
	switch alg {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "PS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", err
	}
	file = filepath.Join(b.dir, name)
	return key, file, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func (b *builder) signingKey(ctx context.Context, a row, one *One) error {
	key, file, err := b.key(a.name+".key", a.alg)
	if err != nil {
		return err
	}
	jwk := gojose.JSONWebKey{Key: key.Public(), Algorithm: a.alg, Use: "sig"}
	print, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	jwk.KeyID = fmt.Sprintf("%x", print[:8])
	one.KeyID, err = b.create(ctx, "/applications/"+one.ClientID+"/signing-keys", object{"jwk": jwk}, "kid")
	one.KeyFile, one.Algorithm = file, a.alg
	return err
}

// certificate has one issued, or registers one that nobody else vouches for.
func (b *builder) certificate(ctx context.Context, a row, one *One) error {
	key, file, err := b.key(a.name+".crt.key", "ES256")
	if err != nil {
		return err
	}
	var chain string
	if a.authMethod == "self_signed_tls_client_auth" {
		if chain, err = selfSigned(key, a.name, b.now()); err != nil {
			return err
		}
		_, err = b.create(ctx, "/applications/"+one.ClientID+"/certificates", object{"certificate": chain}, "credential_id")
	} else {
		chain, err = b.issued(ctx, key, one.ClientID)
	}
	one.CertKeyFile, one.CertFile = file, filepath.Join(b.dir, a.name+".crt")
	return errors.Join(err, os.WriteFile(one.CertFile, []byte(chain), 0o600))
}

func (b *builder) issued(ctx context.Context, key crypto.Signer, clientID string) (string, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", err
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
	return b.create(ctx, "/applications/"+clientID+"/certificate-requests", object{"csr": text}, "chain")
}

func selfSigned(key crypto.Signer, name string, now time.Time) (string, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-5 * time.Minute), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
