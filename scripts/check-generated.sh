#!/usr/bin/env bash
# Fails if generating the code in proto/ again changes it. The work happens in
# place, so after a failure the new code is there to be looked at and committed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT

cp -R proto "$before"
go generate ./proto/...
if ! diff -r -q "$before/proto" proto; then
	echo "proto/ was not as its generators make it; commit what they have made now" >&2
	exit 1
fi
