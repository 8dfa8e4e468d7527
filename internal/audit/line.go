package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// eventDepth bounds the levels of JSON in an event with its detail.
const eventDepth = 32

// AppendJSON appends e as one JSON object without line breaks.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"sequence":`...), e.Sequence, 10)
	dst = e.At.UTC().AppendFormat(append(dst, `,"at":"`...), time.RFC3339Nano)
	for _, m := range [...]struct{ name, value string }{
		{`","actor":`, e.Actor}, {`,"action":`, e.Action}, {`,"organisation":`, e.Organisation}, {`,"subject":`, e.Subject},
	} {
		dst = strictjson.AppendText(append(dst, m.name...), m.value)
	}
	dst = append(append(dst, `,"detail":`...), e.DetailJSON()...)
	dst = hex.AppendEncode(append(dst, `,"previous":"`...), e.Previous[:])
	dst = hex.AppendEncode(append(dst, `","hash":"`...), e.Hash[:])
	return append(dst, `"}`...)
}

// DetailJSON is the detail as a JSON value that keeps every byte of it: the
// object that it is, or, of a detail that is no compact object (somebody changed
// it), the string of its text.
func (e *Event) DetailJSON() []byte {
	var compact bytes.Buffer
	err := json.Compact(&compact, []byte(e.Detail))
	if err == nil && compact.String() == e.Detail && strictjson.Value(e.Detail).IsObject() {
		return compact.Bytes()
	}
	return strictjson.AppendText(nil, e.Detail)
}

// ParseEvent reads what AppendJSON wrote, and refuses everything else.
func ParseEvent(line []byte) (Event, error) {
	var e Event
	seen := 0
	err := strictjson.Members(line, eventDepth, func(name string, v strictjson.Value) (err error) {
		seen++
		switch name {
		case "sequence":
			e.Sequence, err = v.Integer()
		case "at":
			e.At, err = readTime(v)
		case "actor":
			e.Actor, err = v.Text()
		case "action":
			e.Action, err = v.Text()
		case "organisation":
			e.Organisation, err = v.Text()
		case "subject":
			e.Subject, err = v.Text()
		case "detail":
			e.Detail, err = readDetail(v)
		case "previous":
			err = readHash(&e.Previous, v)
		case "hash":
			err = readHash(&e.Hash, v)
		default:
			err = errors.New("unknown member")
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		return nil
	})
	if err == nil && seen != 9 {
		err = errors.New("a member is missing")
	}
	return e, err
}

func readTime(v strictjson.Value) (time.Time, error) {
	text, err := v.Text()
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, errors.New("not a time of RFC 3339")
	}
	return at.UTC(), nil
}

func readDetail(v strictjson.Value) (string, error) {
	if v.IsObject() {
		return string(v), nil
	}
	return v.Text()
}
