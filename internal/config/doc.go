// Package config is the configuration of the long-running parts: one commented
// YAML file each for `holdfast serve` and `holdfast gateway`, which flags and
// HOLDFAST_* variables of the environment may override (flag over environment
// over file over default).
//
// The comment of each field of [Serve] and [Gateway] is its manual: the example
// files that [Example] returns are made of these comments.
//
// Loading is strict. A key that is unknown or written twice, a value of another
// type, a variable HOLDFAST_* that nothing reads and a value that cannot work
// are faults, each with its place; all faults of a file are told at once.
// Whether the files that are named exist and can be read is for the caller to
// find out, who has to open them.
package config
