package admin

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// EventPageQuery chooses a page of events.
type EventPageQuery struct {
	After int64 `query:"after" minimum:"0" doc:"Sequence of the last event that is known"`
	Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type (
	eventsInput struct {
		EventPageQuery
		Actor        string    `query:"actor" maxLength:"64" doc:"client_id of the operator, or system"`
		Action       string    `query:"action" maxLength:"64" doc:"Such as credential.revoked; credential.* is all of a noun"`
		Organisation string    `query:"organisation" maxLength:"64"`
		Subject      string    `query:"subject" maxLength:"512" doc:"Id of what changed"`
		Since        time.Time `query:"since" doc:"RFC 3339; this time and later"`
		Until        time.Time `query:"until" doc:"RFC 3339; before this time"`
	}
	organisationHistoryInput struct {
		OrganisationPath
		EventPageQuery
	}
	applicationHistoryInput struct {
		ApplicationPath
		EventPageQuery
	}
	credentialHistoryInput struct {
		CredentialPath
		EventPageQuery
	}
	eventsOutput      struct{ Body EventPage }
	checkpointsOutput struct{ Body CheckpointPage }
)

// EventPage is a part of the audit. Next, when there may be more, is the "after"
// of the next page.
type EventPage struct {
	Items []AuditEvent `json:"items" nullable:"false"`
	Next  int64        `json:"next,omitempty"`
}

// AuditCheckpoint is a signed statement that the chain ended in an event.
type AuditCheckpoint struct {
	Sequence   int64  `json:"sequence" doc:"Of the event"`
	Checkpoint string `json:"checkpoint" doc:"Compact JWS, typ holdfast-checkpoint+jwt"`
}

// CheckpointPage is a part of the checkpoints. Next, when there may be more, is
// the "after" of the next page.
type CheckpointPage struct {
	Items []AuditCheckpoint `json:"items" nullable:"false"`
	Next  int64             `json:"next,omitempty"`
}

// describeAudit is the list of the audit's operations.
func describeAudit(d *door, a *api) {
	register(d, get("/audit", "List audit events"), installation, a.listEvents)
	register(d, get("/audit/checkpoints", "List checkpoints"), installation, a.listCheckpoints)
	register(d, get("/organisations/{organisation}/history", "Show history of organisation"), operators, a.organisationHistory)
	register(d, get("/applications/{client_id}/history", "Show history of application"), operators, a.applicationHistory)
	register(d, get("/credentials/{credential_id}/history", "Show history of credential"), operators, a.credentialHistory)
}

func (a *api) listEvents(ctx context.Context, _ Caller, in *eventsInput) (*eventsOutput, error) {
	by := audit.Selection{
		Actor: in.Actor, Action: in.Action, Organisation: in.Organisation, Subject: in.Subject, Since: in.Since, Until: in.Until,
	}
	for _, filter := range []string{in.Actor, in.Action, in.Organisation, in.Subject} {
		if !isText(filter) { // nothing that was written down is like that
			return showEvents(nil, in.Limit, nil)
		}
	}
	if by.All() {
		events, err := a.Events(ctx, in.After, in.Limit)
		return showEvents(events, in.Limit, err)
	}
	events, err := a.SelectEvents(ctx, in.After, in.Limit, by)
	return showEvents(events, in.Limit, err)
}

func showEvents(events []audit.Event, limit int, err error) (*eventsOutput, error) {
	if err != nil {
		return nil, err
	}
	p := EventPage{Items: make([]AuditEvent, len(events))}
	for i := range events {
		p.Items[i] = showEvent(&events[i])
	}
	if len(events) == limit {
		p.Next = events[len(events)-1].Sequence
	}
	return &eventsOutput{p}, nil
}

func (a *api) listCheckpoints(ctx context.Context, _ Caller, in *EventPageQuery) (*checkpointsOutput, error) {
	checkpoints, err := a.Checkpoints(ctx, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	p := CheckpointPage{Items: make([]AuditCheckpoint, len(checkpoints))}
	for i, c := range checkpoints {
		p.Items[i] = AuditCheckpoint{Sequence: c.Sequence, Checkpoint: c.JWS}
	}
	if len(checkpoints) == in.Limit {
		p.Next = checkpoints[len(checkpoints)-1].Sequence
	}
	return &checkpointsOutput{p}, nil
}

// history is all events of one subject. Ids are unique within their kind alone, so
// what is of other kinds is left out by its noun.
func (a *api) history(ctx context.Context, of directory.OrganisationID, subject string, in EventPageQuery, notNouns ...string) (*eventsOutput, error) {
	events, err := a.SelectEvents(ctx, in.After, in.Limit, audit.Selection{Organisation: string(of), Subject: subject, NotNouns: notNouns})
	return showEvents(events, in.Limit, err)
}

func (a *api) organisationHistory(ctx context.Context, _ Caller, in *organisationHistoryInput) (*eventsOutput, error) {
	return a.history(ctx, directory.OrganisationID(in.ID), in.ID, in.EventPageQuery,
		"application", "operator", "role", "credential", "certificate", "key", "token", "resource", "instance", "trust_anchor")
}

func (a *api) applicationHistory(ctx context.Context, _ Caller, in *applicationHistoryInput) (*eventsOutput, error) {
	c, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	return a.history(ctx, c.Organisation, in.ClientID, in.EventPageQuery,
		"organisation", "credential", "certificate", "key", "token", "resource", "instance", "trust_anchor")
}

func (a *api) credentialHistory(ctx context.Context, _ Caller, in *credentialHistoryInput) (*eventsOutput, error) {
	s := a.Directory.Current()
	k := s.Credential(directory.CredentialID(in.ID))
	if k == nil {
		return nil, in.missing()
	}
	c := s.Client(k.ClientID)
	return a.history(ctx, c.Organisation, in.ID, in.EventPageQuery,
		"organisation", "application", "operator", "role", "key", "token", "resource", "instance", "trust_anchor")
}

// addLastUsed fills in when credentials of one application were last used.
func (a *api) addLastUsed(ctx context.Context, client directory.ClientID, shown ...*Credential) error {
	used, err := a.LastUsed(ctx, client)
	if err != nil {
		return err
	}
	for _, c := range shown {
		c.LastUsed = moment(used[directory.CredentialID(c.ID)])
	}
	return nil
}

func hexadecimal(hash [32]byte) string { return hex.EncodeToString(hash[:]) }
