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
