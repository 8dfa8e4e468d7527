package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Profile is how one operator reaches the admin API: the file that commands
// take with --as. It names a key file and holds no secret itself.
type Profile struct {
	Issuer   string `json:"issuer"`
	AdminURL string `json:"admin_url"` // no trailing slash
	ClientID string `json:"client_id"`
	KeyFile  string `json:"key_file"` // PKCS#8 PEM; signs assertions
	KeyID    string `json:"kid,omitempty"`
	Scope    string `json:"scope,omitempty"`    // AdminScope when omitted
	Resource string `json:"resource,omitempty"` // AdminResource of the issuer when omitted
	CAFile   string `json:"ca_file,omitempty"`  // PEM; the system's CAs when omitted
}

// profileOf is the first owner's.
func profileOf(cfg *config.Serve, op Operator, rootsFile string) Profile {
	p := Profile{
		Issuer: cfg.Issuer, AdminURL: cfg.AdminURL, ClientID: op.ClientID, KeyFile: op.KeyFile, KeyID: op.KeyID,
		Scope: op.Scope, Resource: op.Resource, CAFile: rootsFile,
	}
	if cfg.TLS.CertificateFile != "" { // somebody else's CA, whom the system may know
		p.CAFile = ""
	}
	return p
}

// JSON is the file's text.
func (p Profile) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(p, "", "  ")
	return append(text, '\n'), err
}

// maxProfile bounds a profile, in bytes.
const maxProfile = 64 << 10

// ReadProfile reads a profile. A relative path in it starts at its folder; a
// member that it does not know is refused.
func ReadProfile(path string) (p Profile, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return p, fmt.Errorf("read the operator's profile: %w", err)
	}
	if len(text) > maxProfile {
		return p, fmt.Errorf("%s is no operator's profile: it is larger than 64 KiB", path)
	}
	into := map[string]*string{
		"issuer": &p.Issuer, "admin_url": &p.AdminURL, "client_id": &p.ClientID, "key_file": &p.KeyFile, "kid": &p.KeyID,
		"scope": &p.Scope, "resource": &p.Resource, "ca_file": &p.CAFile,
	}
	err = strictjson.Members(text, 2, func(name string, v strictjson.Value) (err error) {
		at := into[name]
		if at == nil {
			return fmt.Errorf("unknown member %q", name)
		}
		*at, err = v.Text()
		return err
	})
	if err != nil {
		return Profile{}, fmt.Errorf("%s is no operator's profile: %w", path, err)
	}
	for _, file := range []*string{&p.KeyFile, &p.CAFile} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(path), *file)
		}
	}
	return p, nil
}
