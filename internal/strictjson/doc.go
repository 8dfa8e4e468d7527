// Package strictjson reads JSON objects that a stranger wrote, without the
// leniency of encoding/json: member names match to the letter, no name occurs
// twice at any depth, nothing follows the object, text is valid UTF-8, nesting
// is bounded. Two parsers that disagree about one object are how a check is
// made on one value and the work is done with another; this package is the only
// parser that tokens, keys, proofs and admin requests meet.
//
// RFC 8259; RFC 7515 section 4 and RFC 7519 section 4 (duplicate names);
// RFC 8725 section 2.4.
package strictjson
