// Package sigv4 finds out who is calling: it checks the AWS Signature Version 4
// of a request against the access keys that the operator configured. It decides
// nothing about what a caller may do.
//
// Without configured keys nobody can be told apart, so every caller is let in,
// signed or not, as with other servers that stand in for AWS on a developer's
// machine. An Authorization header that is not one of Signature Version 4 is
// refused all the same: it is a mistake that its sender wants to hear of.
package sigv4
