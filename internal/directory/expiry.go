package directory

import (
	"cmp"
	"crypto/x509"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
)

const day = 24 * time.Hour

// noticeDays is how many days before an end people are told of it.
var noticeDays = [...]int{60, 30, 14, 7, 1}

// Notice tells that something ends in at most so many days.
type Notice struct {
	// Action of the event: "credential.expiring" and the like.
	Action       string
	Subject      string // id of what ends
	Organisation OrganisationID
	ClientID     ClientID // "" for what belongs to no application
	NotAfter     time.Time
	Days         int64 // one of 60, 30, 14, 7, 1
}

// Ending is something with an end, of which people are told in time.
type Ending struct {
	Notice  // without Days
	Created time.Time
}

// Due is the notice that an end calls for at now: that of the nearest threshold
// that has been passed since the thing was made. Something that was made to live
// seven days is not reported as ending in sixty.
func (e Ending) Due(now time.Time) (Notice, bool) {
	if !now.Before(e.NotAfter) {
		return Notice{}, false
	}
	for _, days := range slices.Backward(noticeDays[:]) {
		from := e.NotAfter.Add(-time.Duration(days) * day)
		if now.Before(from) {
			continue
		}
		if !e.Created.Before(from) {
			return Notice{}, false
		}
		n := e.Notice
		n.Days = int64(days)
		return n, true
	}
	return Notice{}, false
}

// Event is the audit event of the notice.
func (n Notice) Event(now time.Time) (audit.Event, error) {
	detail := facts{"not_after": n.NotAfter.Unix(), "days": n.Days}
	if n.ClientID != "" {
		detail["client_id"], detail["credential_id"] = n.ClientID, n.Subject
	}
	return event("system", n.Action, now, n.Organisation, n.Subject, detail)
}

// Expiring are the notices that the credentials of live applications, and the
// trust anchors of active organisations, call for at now. A credential is left out when its successor is in use: one of the same
// kind and application, made later and usable, that was used after it was made.
func (s *Snapshot) Expiring(now time.Time, used func(ClientID, CredentialID) time.Time) []Notice {
	var due []Notice
	for c := range s.Clients() {
		if !c.Live {
			continue
		}
		for _, k := range c.Credentials {
			if k.NotAfter.IsZero() || !k.State.Accepted() {
				continue
			}
			e := Ending{Created: k.Created, Notice: Notice{
				Action: "credential.expiring", Subject: string(k.ID), Organisation: c.Organisation, ClientID: c.ClientID, NotAfter: k.NotAfter,
			}}
			if n, ok := e.Due(now); ok && !succeeded(c, k, now, used) {
				due = append(due, n)
			}
		}
	}
	for o := range s.Organisations() {
		if o.State == Active {
			due = append(due, o.expiringAnchors(now)...)
		}
	}
	slices.SortFunc(due, func(a, b Notice) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.Subject, b.Subject))
	})
	return due
}

func (o *Organisation) expiringAnchors(now time.Time) (due []Notice) {
	for _, a := range o.Anchors {
		c, err := x509.ParseCertificate(a.Certificate) // what does not parse was never let in
		if err != nil || !a.State.Accepted() {
			continue
		}
		e := Ending{Created: a.Created, Notice: Notice{
			Action: "trust_anchor.expiring", Subject: a.ID, Organisation: o.ID, NotAfter: c.NotAfter,
		}}
		if n, ok := e.Due(now); ok {
			due = append(due, n)
		}
	}
	return due
}

func succeeded(c *Client, k *Credential, now time.Time, used func(ClientID, CredentialID) time.Time) bool {
	return slices.ContainsFunc(c.Credentials, func(other *Credential) bool {
		return other.ID != k.ID && other.Kind == k.Kind && other.Created.After(k.Created) && other.UsableAt(now) &&
			(other.NotAfter.IsZero() || other.NotAfter.After(k.NotAfter)) && used(c.ClientID, other.ID).After(other.Created)
	})
}
