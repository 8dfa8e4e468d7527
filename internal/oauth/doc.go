// Package oauth is the vocabulary of RFC 6749 and its relatives: error codes,
// the rules of a form, the metadata document. It decides nothing.
//
// RFC 6749 sections 3.2, 4.4 and 5.2; RFC 8414; RFC 8705 section 5;
// RFC 9449 section 5.1.
package oauth
