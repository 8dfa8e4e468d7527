package admin

import (
	"errors"
	"fmt"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

func TestFaultOf(t *testing.T) {
	outage := errors.New("disk on fire")
	for _, c := range []struct {
		err            error
		status         int
		reason, detail string
	}{
		{fmt.Errorf("application x: %w", directory.ErrNotFound), 404, "not_found", "application x: not found"},
		{fmt.Errorf("application x: %w", directory.ErrExists), 409, "exists", "application x: exists already"},
		{fmt.Errorf("from a to b: %w", directory.ErrState), 409, "wrong_state", "from a to b: not possible in this state"},
		{fmt.Errorf("three times: %w", directory.ErrStale), 409, "stale", "other changes came first; try again"},
		{directory.ErrInvalid, 422, "not_valid", "not valid"},
		{fmt.Errorf("wrapped: %w", &directory.InvalidError{Field: "name", Reason: "too long"}), 422, "not_valid", "validation failed"},
		{fmt.Errorf("wrapped: %w", newFault(418, "teapot", "short")), 418, "teapot", "short"},
		{outage, 500, "internal", "internal error"},
	} {
		f := faultOf(c.err)
		if f.Status != c.status || f.GetStatus() != c.status || f.reason != c.reason || f.Detail != c.detail || f.Title == "" {
			t.Errorf("%v: %+v %s", c.err, f.ErrorModel, f.reason)
		}
		if (f.cause != nil) != (c.err == outage) {
			t.Errorf("%v: cause %v", c.err, f.cause)
		}
	}
}
