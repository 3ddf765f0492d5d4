// Package envfile fetches the environment files of containers, which a task
// definition names by the ARN of an object in S3, and reads what is in them. The
// object comes from a folder that the operator allows, or from an S3-compatible
// store. It must not know tasks or containers, and no error of it repeats what
// is in a file.
package envfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// Suffix is how the name of an environment file ends (RegisterTaskDefinition, seed 000).
	Suffix = ".env"
	// MaxSize is how large a file may be, in bytes.
	MaxSize = 1 << 20
)

// ErrNoObject is wrapped by a Source that does not have the object.
var ErrNoObject = errors.New("no such object")

// Source is a place with buckets of objects.
type Source interface {
	// Open returns the content of an object.
	Open(ctx context.Context, bucket, key string) (io.ReadCloser, error)
}

// Variable is one line of a file.
type Variable struct{ Name, Value string }

// Fetch reads the file of an ARN from the first of the sources that has it.
func Fetch(ctx context.Context, sources []Source, arn string) ([]Variable, error) {
	bucket, key, err := parse(arn)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("%s: this host has no source of environment files; start its agent with --env-files-dir or --s3-endpoint", arn)
	}
	for _, source := range sources {
		var content []byte
		if content, err = read(ctx, source, bucket, key); err == nil {
			return Parse(content)
		}
		if !errors.Is(err, ErrNoObject) {
			break
		}
	}
	return nil, fmt.Errorf("%s: %w", arn, err)
}

func read(ctx context.Context, source Source, bucket, key string) (content []byte, err error) {
	file, err := source.Open(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, err = io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > MaxSize {
		return nil, fmt.Errorf("the file is larger than %d bytes", MaxSize)
	}
	return content, nil
}

// parse reads arn:PARTITION:s3:::BUCKET/KEY.
func parse(arn string) (bucket, key string, err error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) == 6 && parts[0] == "arn" && parts[2] == "s3" && strings.HasSuffix(arn, Suffix) {
		bucket, key, _ = strings.Cut(parts[5], "/")
	}
	if bucket == "" || key == "" {
		return "", "", fmt.Errorf("%q is not the ARN of an S3 object whose name ends in %s", arn, Suffix)
	}
	return bucket, key, nil
}

// Parse reads the lines NAME=VALUE of a file. Lines that begin with # and those
// without a name or a value are left out, as the ECS agent does. Nothing is
// unquoted or trimmed: blanks and quotation marks are part of the value. Of a
// name that is there twice the last line counts.
func Parse(content []byte) ([]Variable, error) {
	var out []Variable
	at := map[string]int{}
	for number, line := range bytes.Split(content, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if bytes.HasPrefix(line, []byte("#")) {
			continue
		}
		name, value, found := strings.Cut(string(line), "=")
		if !found || name == "" || value == "" {
			continue
		}
		if strings.ContainsRune(string(line), 0) {
			return nil, fmt.Errorf("line %d of the environment file has a zero byte", number+1)
		}
		if i, twice := at[name]; twice {
			out[i].Value = value
			continue
		}
		at[name] = len(out)
		out = append(out, Variable{name, value})
	}
	return out, nil
}
