#!/usr/bin/env bash
# Sees to it that programs of others are there: setup-programs.sh PROGRAM...
#
# What is missing is installed on Debian and Ubuntu, as root, from the package of
# the same name, and stays installed; elsewhere the script says what to install.
# Its status is 0 only if all of them are there.
#
# LONGSHORE_RUN_DIR   where the log goes (.run in the checkout)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run_dir=${LONGSHORE_RUN_DIR:-$root/.run}
log=$run_dir/programs-apt.log

# Root's PATH after a plain "su", and users', lack the places where daemons are.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { echo "programs: $*"; }
die() { echo "programs: $*" >&2; exit 1; }

is_debian() {
	# shellcheck disable=SC1091
	[ -r /etc/os-release ] && (. /etc/os-release && case " $ID ${ID_LIKE:-} " in *" debian "* | *" ubuntu "*) ;; *) false ;; esac)
}

find_missing() { # PROGRAM...: those that are not there, in the array missing
	local program
	missing=()
	for program in "$@"; do
		command -v "$program" >/dev/null || missing+=("$program")
	done
}

[ $# -gt 0 ] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0
is_debian || die "not installed: ${missing[*]}"
install=(apt-get install -y --no-install-recommends "${missing[@]}")
[ "$(id -u)" = 0 ] || die "not installed: ${missing[*]}. Run: sudo sh -c 'apt-get update && ${install[*]}'"

say "installing ${missing[*]} with apt-get (log: $log)"
mkdir -p "$run_dir"
# Packages of daemons start them, with settings that nobody asked for. The
# program stays, its service does not: what needs it starts it itself.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
	trap 'rm -f "$policy"' EXIT
fi
status=0
{ apt-get update && DEBIAN_FRONTEND=noninteractive "${install[@]}"; } >"$log" 2>&1 </dev/null || status=$?
find_missing "$@"
if [ ${#missing[@]} -gt 0 ]; then
	tail -n 20 "$log" >&2
	die "installing ${missing[*]} failed; the end of $log is above"
fi
[ "$status" = 0 ] || say "apt-get reports a failure (see $log), but all that is needed is there; going on"
