package registration

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Limits of client metadata.
const (
	MaxBody  = 256 << 10 // bytes of a request
	maxDepth = 32
	maxKeys  = 20
	maxText  = 200 // characters of software_id and the like
)

// Names of metadata members that errors are about.
const (
	memberName    = "client_name"
	memberMethod  = "token_endpoint_auth_method"
	memberAlg     = "token_endpoint_auth_signing_alg"
	memberJWKS    = "jwks"
	memberJWKSURI = "jwks_uri"
	memberScope   = "scope"
	memberBinding = "tls_client_certificate_bound_access_tokens"
)

// clientCredentials is the one grant type.
const clientCredentials = "client_credentials"

// Metadata is what a request or a software statement says of a client (RFC 7591
// section 2). Members that this server does not support are not here: they are
// ignored and kept nowhere.
type Metadata struct {
	Name             string
	AuthMethod       string
	SigningAlg       string
	Scope            string // space-separated
	GrantTypes       []string
	Roles            []string
	Keys             []Key
	HasKeys          bool // "jwks" was there
	JWKSURI          string
	TLSNames         []directory.TLSName
	CertificateBound *bool
	DPoPBound        *bool
	SoftwareID       string
	SoftwareVersion  string
	Statement        string // compact JWS, not yet looked at

	ClientID string // of an update; nothing else heeds it
	sentBack string // a member that an update must not have, "" for none
}

// Key is one of "jwks".
type Key struct {
	Public *jose.PublicKey
	// Certificate is the DER of the key's own in "x5c", nil if there is none.
	Certificate []byte
}

func invalid(field, format string, args ...any) error {
	return &directory.InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// ParseMetadata reads a JSON object of client metadata. What is at fault is a
// *directory.InvalidError that names the member. A member that is null counts as
// omitted (RFC 7592 section 2.2).
func ParseMetadata(data []byte) (*Metadata, error) {
	if len(data) > MaxBody {
		return nil, invalid("body", "has more than %d bytes", MaxBody)
	}
	m := &Metadata{}
	var fault error // of a member, as opposed to one of the JSON
	err := strictjson.Members(data, maxDepth, func(name string, v strictjson.Value) error {
		if fault == nil && !v.IsNull() {
			fault = m.member(name, v)
		}
		return nil
	})
	if err != nil {
		return nil, invalid("body", "is not a JSON object that this server reads: %v", err)
	}
	if fault != nil {
		return nil, fault
	}
	return m, m.check()
}

// member reads one member; one that is not known is ignored.
func (m *Metadata) member(name string, v strictjson.Value) error {
	switch name {
	case memberName:
		return text(name, v, &m.Name)
	case memberMethod:
		return text(name, v, &m.AuthMethod)
	case memberAlg:
		return text(name, v, &m.SigningAlg)
	case memberScope:
		return text(name, v, &m.Scope)
	case memberJWKSURI:
		return text(name, v, &m.JWKSURI)
	case "software_id":
		return text(name, v, &m.SoftwareID)
	case "software_version":
		return text(name, v, &m.SoftwareVersion)
	case "software_statement":
		return text(name, v, &m.Statement)
	case "client_id":
		return text(name, v, &m.ClientID)
	case "grant_types":
		return texts(name, v, &m.GrantTypes)
	case "roles":
		return texts(name, v, &m.Roles)
	case memberJWKS:
		return m.keys(v)
	case memberBinding:
		return boolean(name, v, &m.CertificateBound)
	case "dpop_bound_access_tokens":
		return boolean(name, v, &m.DPoPBound)
	case "tls_client_auth_subject_dn":
		return invalid(name, "is not supported: a name is not an identity, and the texts of distinguished names are many; register exactly one of tls_client_auth_san_uri, _dns, _ip and _email")
	case "tls_client_auth_san_uri":
		return m.tlsName(name, directory.NameURI, v)
	case "tls_client_auth_san_dns":
		return m.tlsName(name, directory.NameDNS, v)
	case "tls_client_auth_san_ip":
		return m.tlsName(name, directory.NameIP, v)
	case "tls_client_auth_san_email":
		return m.tlsName(name, directory.NameEmail, v)
	case "redirect_uris", "response_types":
		var none []string
		if err := texts(name, v, &none); err != nil {
			return err
		}
		if len(none) > 0 {
			return invalid(name, "must be empty: no grant of this server redirects")
		}
	case "client_secret", "client_secret_expires_at", "client_id_issued_at", "registration_access_token", "registration_client_uri":
		m.sentBack = name
	}
	return nil
}

// check is what can be said of the members by themselves.
func (m *Metadata) check() error {
	for _, t := range []struct{ name, value string }{
		{memberName, m.Name}, {"software_id", m.SoftwareID}, {"software_version", m.SoftwareVersion},
	} {
		if utf8.RuneCountInString(t.value) > maxText || containsControl(t.value) {
			return invalid(t.name, "must have at most %d printable characters", maxText)
		}
	}
	if m.HasKeys && m.JWKSURI != "" { // RFC 7591 section 2
		return invalid(memberJWKS, "must not be there beside jwks_uri")
	}
	if len(m.TLSNames) > 1 { // RFC 8705 section 2.1.2
		return invalid("tls_client_auth_san_"+string(m.TLSNames[1].Kind), "must be the only tls_client_auth_ member")
	}
	if m.GrantTypes != nil && (len(m.GrantTypes) != 1 || m.GrantTypes[0] != clientCredentials) {
		return invalid("grant_types", "must be client_credentials alone")
	}
	return nil
}

func containsControl(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return true
		}
	}
	return false
}

func text(name string, v strictjson.Value, into *string) (err error) {
	if *into, err = v.Text(); err != nil {
		return invalid(name, "must be a string")
	}
	return nil
}

func texts(name string, v strictjson.Value, into *[]string) (err error) {
	if *into, err = v.Texts(); err != nil {
		return invalid(name, "must be an array of strings")
	}
	if *into == nil {
		*into = []string{}
	}
	return nil
}

func boolean(name string, v strictjson.Value, into **bool) error {
	b, err := v.Boolean()
	if err != nil {
		return invalid(name, "must be true or false")
	}
	*into = &b
	return nil
}

func (m *Metadata) tlsName(name string, kind directory.NameKind, v strictjson.Value) error {
	value := ""
	if err := text(name, v, &value); err != nil {
		return err
	}
	if value != "" {
		m.TLSNames = append(m.TLSNames, directory.TLSName{Kind: kind, Value: value})
	}
	return nil
}

// keys reads "jwks" (RFC 7517 section 5). Where a set that is fetched may have
// keys for other purposes, each of these must be one that the client signs with.
func (m *Metadata) keys(v strictjson.Value) error {
	if !v.IsObject() {
		return invalid(memberJWKS, "must be a JWK set")
	}
	var list strictjson.Value
	err := strictjson.Members(v, maxDepth, func(name string, v strictjson.Value) error {
		if name == "keys" {
			list = v
		}
		return nil
	})
	if err != nil || !list.IsArray() {
		return invalid(memberJWKS, "must be a JWK set: an object with an array of keys")
	}
	m.HasKeys = true
	err = list.Elements(maxDepth, func(element strictjson.Value) error {
		if len(m.Keys) == maxKeys {
			return invalid(memberJWKS, "must have at most %d keys", maxKeys)
		}
		k, err := parseKey(element)
		if err != nil {
			return invalid(memberJWKS, "key %d: %v", len(m.Keys)+1, err)
		}
		for _, other := range m.Keys {
			if other.Public.KeyID() == k.Public.KeyID() || other.Public.Thumbprint() == k.Public.Thumbprint() {
				return invalid(memberJWKS, "key %d: the kid or the key occurs twice", len(m.Keys)+1)
			}
		}
		m.Keys = append(m.Keys, k)
		return nil
	})
	if err == nil && len(m.Keys) == 0 {
		err = invalid(memberJWKS, "has no key")
	}
	return err
}

func parseKey(element strictjson.Value) (Key, error) {
	if !element.IsObject() {
		return Key{}, jose.ErrKey
	}
	k, err := jose.ParseClientKey(element)
	return Key{Public: k.PublicKey, Certificate: k.Certificate}, err
}

// overriddenBy is m with the values that a software statement has in their place
// (RFC 7591 section 2.3). Members of which one excludes the other go together.
func (m *Metadata) overriddenBy(s *Metadata) *Metadata {
	all := *m
	for _, t := range []struct{ into, from *string }{
		{&all.Name, &s.Name}, {&all.AuthMethod, &s.AuthMethod}, {&all.SigningAlg, &s.SigningAlg}, {&all.Scope, &s.Scope},
		{&all.SoftwareID, &s.SoftwareID}, {&all.SoftwareVersion, &s.SoftwareVersion},
	} {
		if *t.from != "" {
			*t.into = *t.from
		}
	}
	if s.GrantTypes != nil {
		all.GrantTypes = s.GrantTypes
	}
	if s.Roles != nil {
		all.Roles = s.Roles
	}
	if s.HasKeys || s.JWKSURI != "" {
		all.Keys, all.HasKeys, all.JWKSURI = s.Keys, s.HasKeys, s.JWKSURI
	}
	if len(s.TLSNames) > 0 {
		all.TLSNames = s.TLSNames
	}
	if s.CertificateBound != nil || s.DPoPBound != nil {
		all.CertificateBound, all.DPoPBound = s.CertificateBound, s.DPoPBound
	}
	return &all
}

// algorithms are those that a client may sign with.
func algorithms() []string {
	return []string{string(jose.ES256), string(jose.PS256), string(jose.EdDSA), string(jose.Ed25519)}
}

func isAlgorithm(alg string) bool { return slices.Contains(algorithms(), alg) }
