package elbv2

import (
	"bytes"
	"encoding/xml"

	"github.com/longshore/longshore/proto/ecs"
)

const namespace = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"

// answer is the frame of every answer.
type answer struct {
	XMLName  xml.Name
	Result   result
	Metadata struct{ RequestId string } `xml:"ResponseMetadata"`
}

// result is what an operation returned, under its own name.
type result struct {
	name string
	out  any
}

// MarshalXML implements xml.Marshaler.
func (r result) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	return e.EncodeElement(r.out, xml.StartElement{Name: xml.Name{Local: r.name}})
}

func writeAnswer(operation, requestID string, out any) ([]byte, error) {
	a := answer{XMLName: xml.Name{Space: namespace, Local: operation + "Response"}, Result: result{operation + "Result", out}}
	a.Metadata.RequestId = requestID
	return encode(a)
}

// queryCodes are the codes of the Query protocol for what is wrong with any request.
var queryCodes = map[string]string{
	ecs.CodeUnknownOperation:   "InvalidAction",
	ecs.CodeThrottling:         "Throttling",
	ecs.CodeServer:             "InternalFailure",
	ecs.CodeServiceUnavailable: "ServiceUnavailable",
	ecs.CodeSerialization:      "MalformedInput",

	"InvalidSignatureException":           "SignatureDoesNotMatch",
	"IncompleteSignatureException":        "IncompleteSignature",
	"MissingAuthenticationTokenException": "MissingAuthenticationToken",
	"UnrecognizedClientException":         "InvalidClientTokenId",
}

func writeError(e *ecs.Error, requestID string) ([]byte, error) {
	code, ok := queryCodes[e.Code]
	if !ok {
		code = e.Code
	}
	kind := "Sender"
	if e.Code == ecs.CodeServer || e.Code == ecs.CodeServiceUnavailable {
		kind = "Receiver"
	}
	return encode(struct {
		XMLName xml.Name `xml:"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/ ErrorResponse"`
		Error   struct{ Type, Code, Message string }
		ID      string `xml:"RequestId"`
	}{Error: struct{ Type, Code, Message string }{kind, code, e.Message}, ID: requestID})
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := xml.NewEncoder(&b).Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
