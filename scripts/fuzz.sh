#!/usr/bin/env bash
# Runs every fuzz test of the module for a while, one after the other, because
# go test fuzzes one at a time: fuzz.sh TIME, for example 30s.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=$1
found=0
while IFS=: read -r file declaration; do
	name=${declaration#func }
	name=${name%%(*}
	found=$((found + 1))
	echo "fuzz: $name in $(dirname "$file") for $time"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$(dirname "$file")"
done < <(grep -r --include='*_test.go' --exclude-dir=testdata --exclude-dir='.?*' -o '^func Fuzz[A-Za-z0-9_]*(' .)
if [ "$found" = 0 ]; then
	echo "fuzz: no fuzz test was found" >&2
	exit 1
fi
