package sigv4

import (
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/proto/ecs"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
	terminator = "aws4_request"
)

// authorization is the Authorization header, taken apart.
type authorization struct {
	accessKey string
	date      string // of the credential's scope, as 20060102
	region    string
	service   string
	signed    []string // names of the signed headers, lower case and sorted
	signature string   // hex
}

func (a *authorization) scope() string {
	return strings.Join([]string{a.date, a.region, a.service, terminator}, "/")
}

func incomplete(format string, args ...any) error {
	return ecs.Errorf(ecs.CodeIncompleteSignature, format, args...)
}

// parseAuthorization takes a header apart and refuses what is not complete.
func parseAuthorization(header string) (*authorization, error) {
	name, rest, _ := strings.Cut(header, " ")
	if name != algorithm {
		return nil, incomplete("Authorization header does not start with %q.", algorithm)
	}
	var a authorization
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch key {
		case "Credential":
			if err := a.readCredential(value); err != nil {
				return nil, err
			}
		case "SignedHeaders":
			a.signed = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		default:
			return nil, incomplete("%q is not a valid key=value pair in the Authorization header.", clip(part))
		}
	}
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"Credential", a.accessKey == ""},
		{"Signature", a.signature == ""},
		{"SignedHeaders", len(a.signed) == 0 || a.signed[0] == ""},
	} {
		if need.missing {
			return nil, incomplete("Authorization header requires '%s' parameter.", need.name)
		}
	}
	if !slices.IsSorted(a.signed) {
		return nil, incomplete("SignedHeaders must be in alphabetical order.")
	}
	return &a, nil
}

func (a *authorization) readCredential(value string) error {
	parts := strings.Split(value, "/")
	if len(parts) != 5 || parts[4] != terminator || slices.Contains(parts, "") {
		return incomplete("Credential must have the form KEY/DATE/REGION/SERVICE/%s, got %q.", terminator, clip(value))
	}
	if _, err := time.Parse(dateFormat, parts[1]); err != nil {
		return incomplete("Credential must have a date of the form YYYYMMDD, got %q.", clip(parts[1]))
	}
	a.accessKey, a.date, a.region, a.service = parts[0], parts[1], parts[2], parts[3]
	return nil
}

// clip keeps an answer short, whatever was sent.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
