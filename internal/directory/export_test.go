package directory

// CheckURI is for the fuzzing of its rules.
var CheckURI = checkURI
