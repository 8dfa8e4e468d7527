package admin

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// InstancePath names an instance of an application.
type InstancePath struct {
	ApplicationPath
	Instance string `path:"instance" maxLength:"64"`
}

func (p *InstancePath) seen(s *directory.Snapshot, by Caller) bool {
	i := s.Instance(directory.InstanceID(p.Instance))
	return i != nil && string(i.ClientID) == p.ClientID && p.ApplicationPath.seen(s, by)
}

func (p *InstancePath) missing() error { return notThere("instance", p.Instance) }

// Instance as the API shows it: one replica of an application.
type Instance struct {
	ID       string    `json:"id"`
	ClientID string    `json:"client_id"`
	Name     string    `json:"name"`
	State    string    `json:"state"`
	Created  time.Time `json:"created"`
}

// InstanceChange is what became of one, and what that ends.
type InstanceChange struct {
	Instance
	Ends *Ends `json:"ends,omitempty"`
}

// NewInstance is the body that makes one.
type NewInstance struct {
	ID   string `json:"id,omitempty" maxLength:"64" doc:"Made by the server when omitted"`
	Name string `json:"name" minLength:"1" maxLength:"200" doc:"Unique in its application"`
}

type (
	instanceInput    struct{ InstancePath }
	endInstanceInput struct {
		InstancePath
		DryRunQuery
	}
	createInstanceInput struct {
		ApplicationPath
		Body NewInstance
	}
	listInstancesInput struct {
		ApplicationPath
		ListQuery
		RecordQuery
	}
	instanceOutput struct {
		Tag
		Body Instance
	}
	instanceChangeOutput struct {
		Tag
		Body InstanceChange
	}
	instancesOutput struct{ Body Page[Instance] }
)

func showInstance(i *directory.Instance) Instance {
	return Instance{ID: string(i.ID), ClientID: string(i.ClientID), Name: i.Name, State: string(i.State), Created: i.Created}
}

func instanceNow(s *directory.Snapshot, id string) (*instanceOutput, error) {
	i := s.Instance(directory.InstanceID(id))
	if i == nil {
		return nil, notThere("instance", id)
	}
	return &instanceOutput{tagOf(i.Changed), showInstance(i)}, nil
}

func instanceAfter(o directory.Outcome) (*instanceOutput, error) {
	return instanceNow(o.After, o.Subject)
}

func (a *api) listInstances(_ context.Context, _ Caller, in *listInstancesInput) (*instancesOutput, error) {
	c, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	all := only(slices.Values(c.Instances), func(i *directory.Instance) bool { return in.wants(i.State, i.Name) })
	p, err := page(a, "instances of "+in.ClientID, all, in.ListQuery, func(i *directory.Instance) string { return string(i.ID) }, showInstance)
	return &instancesOutput{p}, err
}

func (a *api) showInstance(_ context.Context, _ Caller, in *instanceInput) (*instanceOutput, error) {
	return instanceNow(a.Directory.Current(), in.Instance)
}

// createInstance: an operator of one organisation does not choose the id, which
// would tell whether another has it.
func (a *api) createInstance(ctx context.Context, caller Caller, in *createInstanceInput) (string, error) {
	if err := ownID(caller, "id", in.Body.ID); err != nil {
		return "", err
	}
	i, err := a.Directory.CreateInstance(ctx, caller.actor(), directory.Instance{
		ID: directory.InstanceID(in.Body.ID), ClientID: directory.ClientID(in.ClientID), Name: in.Body.Name,
	})
	return string(i.ID), err
}

func (a *api) revokeInstance(ctx context.Context, caller Caller, in *endInstanceInput) (string, error) {
	return in.Instance, a.Directory.RevokeInstance(ctx, caller.actor(), directory.InstanceID(in.Instance))
}

func instanceEnd(o directory.Outcome) (*instanceChangeOutput, error) {
	now, err := instanceAfter(o)
	if err != nil {
		return nil, err
	}
	return &instanceChangeOutput{now.Tag, InstanceChange{now.Body, endsOf(o, true)}}, nil
}
