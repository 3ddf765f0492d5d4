package ecs

import "fmt"

// Error is an error that the API answers: one of the model's exceptions, or one
// of the codes that every AWS JSON service shares.
type Error struct {
	Code        string   // the exception's name, the "__type" on the wire
	Message     string   // what was wanted and what was there
	ResourceIDs []string // of a ConflictException, otherwise nil
}

// Error returns the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes an Error of one of the Code constants.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Codes that are not in the model because they belong to the protocol.
const (
	CodeAccessDenied               = "AccessDeniedException"
	CodeIncompleteSignature        = "IncompleteSignatureException"
	CodeInvalidSignature           = "InvalidSignatureException"
	CodeMissingAuthenticationToken = "MissingAuthenticationTokenException"
	CodeRequestEntityTooLarge      = "RequestEntityTooLargeException"
	CodeSerialization              = "SerializationException"
	CodeServiceUnavailable         = "ServiceUnavailableException"
	CodeThrottling                 = "ThrottlingException"
	CodeUnknownOperation           = "UnknownOperationException"
	CodeUnrecognizedClient         = "UnrecognizedClientException"
)
