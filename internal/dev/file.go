package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// FileName is the file in the folder of `holdfast dev` that says where
// everything is.
const FileName = "dev.json"

// File is what dev.json holds. Every path is absolute, every URL has the host
// localhost and no trailing slash.
type File struct {
	Issuer                string       `json:"issuer"`
	MetadataURL           string       `json:"metadata_url"`
	TokenEndpoint         string       `json:"token_endpoint"`
	MTLSTokenEndpoint     string       `json:"mtls_token_endpoint"`
	IntrospectionEndpoint string       `json:"introspection_endpoint"`
	RevocationEndpoint    string       `json:"revocation_endpoint"`
	GatewayURL            string       `json:"gateway_url"`
	AdminURL              string       `json:"admin_url"`
	AdminResource         string       `json:"admin_resource"`
	OperatorClientID      string       `json:"operator_client_id"`
	OperatorKeyFile       string       `json:"operator_key_file"`
	OperatorKeyID         string       `json:"operator_kid"`
	OperatorScope         string       `json:"operator_scope"`
	CAFile                string       `json:"ca_file"`
	ClientCAFile          string       `json:"client_ca_file"`
	ServerPID             int          `json:"server_pid"`
	Clients               []FileClient `json:"clients"`
}

// FileClient is one sample application and where its keys are.
type FileClient struct {
	ClientID    string `json:"client_id"`
	AuthMethod  string `json:"auth_method"`
	Binding     string `json:"binding"` // what its tokens are bound to
	Scope       string `json:"scope"`
	Resource    string `json:"resource"`           // the audience to ask for
	KeyFile     string `json:"key_file,omitempty"` // signs assertions, PKCS#8 PEM
	KeyID       string `json:"kid,omitempty"`
	Algorithm   string `json:"alg,omitempty"`
	CertFile    string `json:"cert_file,omitempty"` // PEM chain, leaf first
	CertKeyFile string `json:"cert_key_file,omitempty"`
}

// ErrNoFile is a dev.json that is not there.
var ErrNoFile = errors.New("no dev.json")

// ReadFile reads a dev.json. One that is not there is ErrNoFile.
func ReadFile(path string) (File, error) {
	var f File
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return f, fmt.Errorf("%w: %s does not exist", ErrNoFile, path)
	}
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(data, &f); err != nil || f.Issuer == "" {
		return f, fmt.Errorf("%s is not a dev.json", path)
	}
	return f, nil
}

// write puts the file in place whole or not at all, mode 0600.
func (f File) write(path string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'))
}

// replaceFile writes beside the file, syncs, and renames over it.
func replaceFile(path string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
