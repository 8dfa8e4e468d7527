package directory

// CheckURI is for the fuzzing of its rules.
var CheckURI = checkURI

// Actions are those of the audit trail, each with what a restore makes of it.
func Actions() (all map[string]bool, ending []string) {
	all = map[string]bool{}
	for action, of := range effects {
		all[action] = true
		if of == ends || of == narrows {
			ending = append(ending, action)
		}
	}
	return all, ending
}
