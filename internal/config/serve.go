package config

import (
	"fmt"
	"net/netip"
	"time"
)

// Serve is the configuration of `holdfast serve`.
type Serve struct {
	// The URL that names this authorization server in metadata and in tokens
	// (RFC 8414 section 2). It is https and has no query, no fragment and no
	// slash at its end. It must never change: tokens and clients hold it.
	Issuer string `yaml:"issuer" example:"https://auth.example.com"`

	// The public URL of the listener that asks for client certificates. The
	// metadata names its endpoints as mtls_endpoint_aliases (RFC 8705 section 5).
	// Its host or port must differ from the issuer's.
	MTLSURL string `yaml:"mtls_url" example:"https://mtls.auth.example.com"`

	// The URL under which operators reach the admin API. (Their tokens are for the
	// resource <issuer>/admin, wherever the API is.) Its host or port must differ
	// from both URLs above.
	AdminURL string `yaml:"admin_url" example:"https://localhost:8445"`

	// The addresses to listen on, as host:port; no host means every interface.
	Listen ServeListen `yaml:"listen"`

	// The database that `holdfast init` has made: the path of a SQLite file, with or
	// without sqlite: before it, or for more than one node the URL of a PostgreSQL
	// database, as in postgres://holdfast@db.example.com/holdfast?sslmode=verify-full.
	Database string `yaml:"database" path:"database" example:"holdfast.db"`

	// The file with the password for PostgreSQL, which is read again for each
	// connection. Without it the URL, PGPASSWORD or the file of PGPASSFILE has it.
	DatabasePasswordFile string `yaml:"database_password_file" path:"file" optional:"true" example:"/etc/holdfast/database.password"`

	// The file with the key-encryption key, under which every private key in the
	// database is encrypted. Keep a copy away from the database's backups: whoever
	// has both has the keys, and without this file nobody has.
	KeyEncryptionKeyFile string `yaml:"key_encryption_key_file" path:"file" example:"key-encryption.key"`

	// The server's own certificate, for all three listeners. Without this section
	// the server issues certificates for the hosts of its URLs from its own CA, and
	// renews them.
	TLS ServeTLS `yaml:"tls"`

	// Access tokens.
	Token Token `yaml:"token"`

	// The keys that applications publish at their jwks_uri (RFC 7591 section 2). This
	// server calls those URLs, which are others' to choose.
	JWKSURI ServeJWKSURI `yaml:"jwks_uri"`

	// The log, which goes to standard error.
	Log Log `yaml:"log"`
}

// ServeListen is the section listen of [Serve].
type ServeListen struct {
	// Metadata, keys, token, introspection and revocation.
	Public string `yaml:"public" default:":8443"`

	// The same endpoints for clients that show a certificate. A balancer before
	// this listener must pass TLS through.
	MTLS string `yaml:"mtls" default:":8444"`

	// The admin API: on loopback unless you say otherwise.
	Admin string `yaml:"admin" default:"127.0.0.1:8445"`
}

// ServeTLS is the section tls of [Serve]: both keys or neither.
type ServeTLS struct {
	// The certificate chain, PEM, the server's own certificate first.
	CertificateFile string `yaml:"certificate_file" path:"file" optional:"true" example:"/etc/holdfast/tls.crt"`

	// Its private key, PEM (PKCS#8).
	KeyFile string `yaml:"key_file" path:"file" optional:"true" example:"/etc/holdfast/tls.key"`
}

// ServeJWKSURI is the section jwks_uri of [Serve].
type ServeJWKSURI struct {
	// Networks that may be called although their addresses are not public, as in
	// 10.20.0.0/16. Any address that is loopback, private, link-local or otherwise
	// special and in none of them is refused, whatever name leads to it.
	AllowNetworks []string `yaml:"allow_networks" optional:"true" example:"[10.20.0.0/16]"`

	// The CA certificates that those servers are verified by, PEM. The system's when
	// left out.
	CAFile string `yaml:"ca_file" path:"file" optional:"true" example:"/etc/holdfast/ca.pem"`
}

// Networks are AllowNetworks as addresses. Those that cannot be read, which
// [LoadServe] refuses, are left out.
func (j ServeJWKSURI) Networks() (all []netip.Prefix) {
	for _, text := range j.AllowNetworks {
		if n, err := netip.ParsePrefix(text); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// Token is the section token of [Serve].
type Token struct {
	// How long an access token lives, 1s to 1h. A token ends earlier where its
	// certificate does.
	Life time.Duration `yaml:"life" default:"5m"`
}

// Log is the section log of [Serve] and [Gateway].
type Log struct {
	// json (one object a line) or text.
	Format string `yaml:"format" default:"json"`

	// The least level that is written: debug, info, warn or error.
	Level string `yaml:"level" default:"info"`
}

// MinTokenLife and MaxTokenLife bound [Token.Life].
const (
	MinTokenLife = time.Second
	MaxTokenLife = time.Hour
)

// LoadServe reads the file at path and lays environ (as of os.Environ) and
// overrides (flag values by key, as "token.life") over it. No path means no
// file: every key then comes from environ and overrides. The error joins every
// fault as an [*Error]; file paths in the result are absolute.
func LoadServe(path string, environ []string, overrides map[string]string) (*Serve, error) {
	s := new(Serve)
	if err := load(s, path, environ, overrides); err != nil {
		return nil, err
	}
	return s, nil
}

// Validate reports every fault of a value that did not come from [LoadServe].
func (s *Serve) Validate() error {
	f := new(faults)
	s.validate(f)
	return f.err()
}

func (s *Serve) complete() {}

func (s *Serve) validate(f *faults) {
	issuer := f.serverURL("issuer", s.Issuer)
	mtls := f.serverURL("mtls_url", s.MTLSURL)
	admin := f.serverURL("admin_url", s.AdminURL)
	f.otherOrigin("mtls_url", mtls, "issuer", issuer)
	f.otherOrigin("admin_url", admin, "issuer", issuer)
	f.otherOrigin("admin_url", admin, "mtls_url", mtls)

	f.address("listen.public", s.Listen.Public)
	f.address("listen.mtls", s.Listen.MTLS)
	f.address("listen.admin", s.Listen.Admin)
	f.otherAddress("listen.mtls", s.Listen.MTLS, "listen.public", s.Listen.Public)
	f.otherAddress("listen.admin", s.Listen.Admin, "listen.public", s.Listen.Public)
	f.otherAddress("listen.admin", s.Listen.Admin, "listen.mtls", s.Listen.MTLS)

	f.database("database", s.Database)
	f.required("key_encryption_key_file", s.KeyEncryptionKeyFile)
	f.together("tls.certificate_file", s.TLS.CertificateFile, "tls.key_file", s.TLS.KeyFile)
	f.between("token.life", s.Token.Life, MinTokenLife, MaxTokenLife)
	for i, text := range s.JWKSURI.AllowNetworks {
		f.network(fmt.Sprintf("jwks_uri.allow_networks[%d]", i), text)
	}
	s.Log.validate(f)
}

func (l Log) validate(f *faults) {
	f.oneOf("log.format", l.Format, "json", "text")
	f.oneOf("log.level", l.Level, "debug", "info", "warn", "error")
}
