#!/usr/bin/env bash
# Runs a command while a Docker engine answers: with-docker.sh USER COMMAND ARGUMENT...
# The engine is set up by setup-docker.sh for USER, and stopped afterwards if it
# was started for nobody else. The exit status is the command's.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
user=$1
shift

# The exit status of the script stays the command's, whatever the trap does.
trap '"$here/setup-docker.sh" stop "$user" || echo "docker: could not be stopped, see above" >&2' EXIT
# A signal must end the script by way of the trap above.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

"$here/setup-docker.sh" start "$user" $$
"$@"
