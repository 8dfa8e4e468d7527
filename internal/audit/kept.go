package audit

import (
	"errors"
	"fmt"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// MaxKept bounds the file of a kept checkpoint, in bytes.
const MaxKept = 1 << 20

// Kept is a checkpoint as somebody keeps it away from the database: with the
// keys to verify it by. One JSON object:
//
//	{"issuer": URL, "checkpoint": JWS, "keys": JWKS, "handovers": [JWS, ...]}
type Kept struct {
	Issuer     string
	Checkpoint string // JWS
	// Keys are those that were trusted first, Handovers the checkpoints by which
	// others followed them.
	Keys      []*jose.PublicKey
	Handovers []string
}

// JSON is the file's text.
func (k *Kept) JSON() []byte {
	b := strictjson.AppendText([]byte(`{"issuer":`), k.Issuer)
	b = strictjson.AppendText(append(b, `,"checkpoint":`...), k.Checkpoint)
	b = append(append(b, `,"keys":`...), jose.JWKSet(k.Keys)...)
	b = append(b, `,"handovers":[`...)
	for i, h := range k.Handovers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strictjson.AppendText(b, h)
	}
	return append(b, "]}\n"...)
}

// ParseKept reads such a file. A member that it does not know is refused.
func ParseKept(data []byte) (*Kept, error) {
	if len(data) > MaxKept {
		return nil, errors.New("not a kept checkpoint: larger than 1 MiB")
	}
	k := &Kept{}
	err := strictjson.Members(data, checkpointDepth+2, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "issuer":
			k.Issuer, err = v.Text()
		case "checkpoint":
			k.Checkpoint, err = v.Text()
		case "keys":
			k.Keys, err = jose.ParseJWKSet(v, maxTrusted)
		case "handovers":
			k.Handovers, err = v.Texts()
		default:
			err = errors.New("a member that is not known")
		}
		return err
	})
	if err == nil && (k.Issuer == "" || k.Checkpoint == "" || len(k.Keys) == 0) {
		err = errors.New("issuer, checkpoint or keys is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("not a kept checkpoint: %w", err)
	}
	return k, nil
}

// Open verifies what was kept: the checkpoint, and the trust that leads to it.
func (k *Kept) Open() (*Trust, *Checkpoint, error) {
	t := NewTrust(k.Issuer, k.Keys...)
	for _, h := range k.Handovers {
		if _, err := t.Open(h); err != nil {
			return nil, nil, fmt.Errorf("kept handover: %w", err)
		}
	}
	c, err := t.Open(k.Checkpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("kept checkpoint: %w", err)
	}
	return t, c, nil
}
