package audit

import "time"

// Selection chooses events. What is empty chooses all.
type Selection struct {
	Actor string
	// Action is one action, or all of a noun: "credential.*".
	Action       string
	NotNouns     []string // leaves out all actions of these
	Organisation string
	Subject      string
	Since, Until time.Time // from Since on, before Until
}

// All tells whether it chooses every event.
func (s Selection) All() bool {
	return s.Actor == "" && s.Action == "" && len(s.NotNouns) == 0 && s.Organisation == "" && s.Subject == "" && s.Since.IsZero() && s.Until.IsZero()
}
