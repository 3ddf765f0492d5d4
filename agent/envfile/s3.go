package envfile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// S3 is an S3-compatible store.
type S3 struct{ client *s3.Client }

// NewS3 makes a client of the store at a URL; it asks nobody yet.
func NewS3(endpoint, region string, identity aws.CredentialsProvider) *S3 {
	return &S3{s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: region, Credentials: identity,
		UsePathStyle: true, // buckets of one's own store seldom have a host name each
	})}
}

// Open gets an object.
func (s *S3) Open(ctx context.Context, bucket, key string) (io.ReadCloser, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	var answered smithy.APIError
	switch {
	case err == nil:
		return out.Body, nil
	case !errors.As(err, &answered):
		return nil, fmt.Errorf("ask the S3 store: %w", err)
	case answered.ErrorCode() == "NoSuchKey" || answered.ErrorCode() == "NoSuchBucket":
		return nil, fmt.Errorf("%w in the S3 store: %s", ErrNoObject, answered.ErrorCode())
	}
	return nil, fmt.Errorf("the S3 store answered %s: %s", answered.ErrorCode(), answered.ErrorMessage())
}
