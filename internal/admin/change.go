package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// change registers an operation that makes one change of the directory: act makes
// it and names its subject, show tells what became of that. The answer is made of
// the outcome before it is stored, so that it is in the same transaction as the
// change (Idempotency-Key) and can be given without one (dry_run).
func change[I, O any](d *door, op huma.Operation, who access,
	act func(context.Context, Caller, *I) (subject string, err error), show func(directory.Outcome) (*O, error),
) {
	status := statusOf(op)
	register(d, op, who, func(ctx context.Context, caller Caller, in *I) (*O, error) {
		var out *O
		look := func(o directory.Outcome) (err error) {
			if out, err = show(o); err != nil {
				return err
			}
			return d.foreseen(ctx, out, status)
		}
		watched := directory.Watch(ctx, look)
		if isDryRun(in) {
			watched = directory.DryRun(ctx, look)
		}
		subject, err := act(watched, caller, in)
		if err != nil || out != nil {
			return out, err
		}
		now := d.Directory.Current() // there was nothing to change
		return show(directory.Outcome{Subject: subject, Before: now, After: now, Now: d.Table.Now()})
	})
}

// statusOf is the status of an operation's success.
func statusOf(op huma.Operation) int {
	if op.DefaultStatus != 0 {
		return op.DefaultStatus
	}
	return http.StatusOK
}

// DryRunQuery is for operations that end something.
type DryRunQuery struct {
	DryRun bool `query:"dry_run" doc:"Decide, tell what would end, and change nothing"`
}

func (q *DryRunQuery) dryRun() bool { return q.DryRun }

func isDryRun(in any) bool {
	q, ok := in.(interface{ dryRun() bool })
	return ok && q.dryRun()
}

// Tag is the entity tag of what an operation shows (RFC 9110 section 8.8.3): it is
// strong, and changes whenever what is shown does.
type Tag struct {
	ETag string `header:"ETag"`
}

func (t *Tag) etag() string { return t.ETag }

type tagged interface{ etag() string }

// tagOf is the tag of what was made by these changes.
func tagOf(changes ...int64) Tag {
	return Tag{`"` + strconv.FormatInt(slices.Max(changes), 10) + `"`}
}

// matches tells whether a list of entity tags, or "*", has the tag (RFC 9110
// section 13.1). Our tags are numbers in quotes, and a weak one is none of ours.
func matches(list []string, tag string) bool {
	for _, header := range list {
		for one := range strings.SplitSeq(header, ",") {
			if one = strings.TrimSpace(one); one == "*" || one == tag {
				return true
			}
		}
	}
	return false
}

// unchanged is the guard that a change with If-Match needs: the record is what the
// caller saw.
func unchanged(ctx context.Context, tag func(*directory.Snapshot) Tag) directory.Guard {
	header := visitOf(ctx).request.Header.Values("If-Match")
	return func(s *directory.Snapshot, _ time.Time) error {
		if !matches(header, tag(s).ETag) {
			return newFault(http.StatusPreconditionFailed, "changed_meanwhile", "it has changed since: read it again")
		}
		return nil
	}
}

// decided makes a change under guards, which look first: what they refuse is
// refused before anything is said of what else is wrong.
func decided[T any](d *directory.Directory, change func(...directory.Guard) (T, error), guards ...directory.Guard) (T, error) {
	for _, g := range guards {
		if err := g(d.Current(), time.Time{}); err != nil {
			var none T
			return none, err
		}
	}
	return change(guards...)
}

// Ends is what a change ends.
type Ends struct {
	Applications     []string   `json:"applications" doc:"Those that can get no tokens any more, or not for as much, the first 100"`
	ApplicationCount int        `json:"application_count"`
	Credentials      []string   `json:"credentials" doc:"Those that are not accepted any more, the first 100"`
	CredentialCount  int        `json:"credential_count"`
	TokensIssued     *time.Time `json:"tokens_issued_before,omitempty" doc:"Access tokens of theirs that were issued before this time end"`
}

const endsShown = 100

// endsOf compares the two snapshots; what they share did not change.
func endsOf(o directory.Outcome, tokens bool) *Ends {
	e := &Ends{Applications: []string{}, Credentials: []string{}}
	for after := range o.After.Clients() {
		before := o.Before.Client(after.ClientID)
		if before == nil || before == after {
			continue
		}
		if able(before, o.Now) && !able(after, o.Now) || len(before.Allowed) > 0 && !within(before.Allowed, after.Allowed) {
			e.Applications = append(e.Applications, string(after.ClientID))
		}
		for _, k := range before.Credentials {
			now := o.After.Credential(k.ID)
			if before.Live && k.UsableAt(o.Now) && !(after.Live && now.UsableAt(o.Now)) {
				e.Credentials = append(e.Credentials, string(k.ID))
			}
		}
	}
	e.ApplicationCount, e.CredentialCount = len(e.Applications), len(e.Credentials)
	e.cut()
	if tokens {
		e.TokensIssued = moment(o.Now.Add(time.Second - 1).Truncate(time.Second))
	}
	return e
}

// cut keeps of the lists what is shown.
func (e *Ends) cut() {
	for _, list := range []*[]string{&e.Applications, &e.Credentials} {
		slices.Sort(*list)
		*list = (*list)[:min(len(*list), endsShown)]
	}
}

// grants tells whether there is a scope of the resource among them.
func grants(all []directory.Grant, resource string) bool {
	return slices.ContainsFunc(all, func(g directory.Grant) bool { return g.Resource == resource })
}

// able tells whether an application can authenticate at all.
func able(c *directory.Client, now time.Time) bool {
	return c.Live && (c.JWKSURI != "" || c.TLSName != (directory.TLSName{}) ||
		slices.ContainsFunc(c.Credentials, func(k *directory.Credential) bool { return k.UsableAt(now) }))
}
