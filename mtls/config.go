package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// suites are those that RFC 9325 section 4.2 recommends for TLS 1.2. crypto/tls
// has no setting for those of 1.3, which are all good.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
}

// ServerConfig is the TLS configuration of every listener: 1.3, and 1.2 with the
// four suites of RFC 9325 section 4.2. With askClient the listener requests (not
// requires) a certificate, names no CA, and issues no session tickets: a resumed
// session would carry a certificate from before whatever changed since.
func ServerConfig(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), askClient bool) *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites(),
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: certificate,
	}
	if askClient {
		// With any stricter setting crypto/tls would judge the chain once, at the
		// handshake, and a nil ClientCAs would mean the system's roots. ClientCAs
		// stays nil so that no list of CAs is sent: clients withhold certificates
		// that no CA of such a list issued.
		config.ClientAuth = tls.RequestClientCert
		config.SessionTicketsDisabled = true
	}
	return config
}

// ClientConfig is the TLS configuration for calling others. roots is required.
// certificate may be nil; with one, sessions are not resumed, so that every
// connection shows the certificate of its own generation.
func ClientConfig(roots *x509.CertPool, certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) (*tls.Config, error) {
	if roots == nil {
		return nil, errors.New("a client needs the CA certificates that it trusts servers by")
	}
	config := &tls.Config{
		MinVersion:           tls.VersionTLS12,
		CipherSuites:         suites(),
		RootCAs:              roots,
		GetClientCertificate: certificate,
	}
	if certificate == nil {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return config, nil
}
