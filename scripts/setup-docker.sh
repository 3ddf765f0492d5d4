#!/usr/bin/env bash
# Sees to it that a Docker engine answers, and stops it again if it was started here.
#
#   setup-docker.sh [-n] start USER [PID]   USER needs an engine until "stop USER", or until process PID ends
#   setup-docker.sh [-n] stop USER          USER no longer needs one; the last one to say so stops what was started
#
# -n only says what would be done. An engine that already answers is used and
# never touched. What is missing is installed on Debian and Ubuntu, as root, and
# stays installed; elsewhere the script says what to install, and fails.
#
# DOCKER_HOST             another engine than the one at /var/run/docker.sock; it is never started from here
# LONGSHORE_DOCKERD_DIR   start a daemon which keeps everything in this directory, its socket too; beside another
#                         daemon it needs a network namespace of its own
# LONGSHORE_DOCKERD_ARGS  more arguments for a daemon that is started here
# LONGSHORE_RUN_DIR       where records and logs go (.run in the checkout)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run_dir=${LONGSHORE_RUN_DIR:-$root/.run}
state=$run_dir/docker
started=$state/started   # "process PID STARTTIME" or "systemd": how the daemon was started here
users=$state/users       # one file per USER, with its PID if it has one
log=$state/dockerd.log
ping_program=$run_dir/bin/dockerping
packages=(docker.io iptables)
answer_limit=60s         # a cold daemon with many images takes a while
stop_limit=60            # seconds; the daemon stops its containers first
dry_run=
child=                   # the dockerd that was started here, this time

# Root's PATH after a plain "su" lacks the places where daemons are.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

usual_host=unix:///var/run/docker.sock
daemon_args=()
pidfile=/var/run/docker.pid
init_pidfile=/var/run/docker-ssd.pid   # Debian's init script writes it before dockerd writes its own
containerd_pidfile=/var/run/docker/containerd/containerd.pid
if [ -n "${LONGSHORE_DOCKERD_DIR:-}" ]; then
	own=$LONGSHORE_DOCKERD_DIR
	pidfile=$own/docker.pid
	init_pidfile=
	containerd_pidfile=$own/exec/containerd/containerd.pid
	daemon_args=(--data-root "$own/data" --exec-root "$own/exec" --pidfile "$pidfile" --host "unix://$own/docker.sock")
	export DOCKER_HOST=unix://$own/docker.sock
fi

say() { echo "docker: $*"; }
die() { echo "docker: $*" >&2; exit 1; }

# run does what it is told, or with -n says what it would have done.
run() {
	if [ -n "$dry_run" ]; then
		say "would run: $*"
	else
		"$@"
	fi
}

build_ping() {
	CGO_ENABLED=0 go build -C "$root" -buildvcs=false -o "$ping_program" ./scripts/dockerping ||
		die "the program that looks for the engine does not build"
}

# start_time tells a process from a later one with the same id; empty if there is none.
start_time() {
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

is_running() { # NAME PIDFILE: is the process of that file there, and is it a NAME?
	[ -s "$2" ] && [ "$(cat "/proc/$(cat "$2")/comm" 2>/dev/null)" = "$1" ]
}

# daemon_pid prints the id of the dockerd that runs, answering or not.
daemon_pid() {
	local file
	for file in "$pidfile" "$init_pidfile"; do
		if is_running dockerd "$file"; then
			cat "$file"
			return
		fi
	done
	return 1
}

is_debian() {
	# shellcheck disable=SC1091
	[ -r /etc/os-release ] && (. /etc/os-release && case " $ID ${ID_LIKE:-} " in *" debian "* | *" ubuntu "*) ;; *) false ;; esac)
}

runs_systemd() { [ -d /run/systemd/system ]; }

install_missing() {
	local missing=()
	command -v dockerd >/dev/null || missing+=("${packages[0]}")
	command -v iptables >/dev/null || missing+=("${packages[1]}")
	[ ${#missing[@]} -gt 0 ] || return 0
	is_debian ||
		die "no engine answers, and ${missing[*]} cannot be installed here: install Docker Engine (https://docs.docker.com/engine/install/) and iptables, start it, and try again"
	local install=(apt-get install -y --no-install-recommends "${missing[@]}")
	[ "$(id -u)" = 0 ] ||
		die "no engine answers, and installing needs root. Run: sudo sh -c 'apt-get update && ${install[*]}', and try again"
	command -v dockerd >/dev/null || say "no engine answers and dockerd is not installed"
	say "installing ${missing[*]} with apt-get (log: $state/apt.log)"
	if [ -n "$dry_run" ]; then
		run apt-get update
		run "${install[@]}"
	elif ! { apt-get update && DEBIAN_FRONTEND=noninteractive "${install[@]}"; } >"$state/apt.log" 2>&1 </dev/null 9>&-; then
		tail -n 20 "$state/apt.log" >&2
		# Without systemd the package starts the daemon by a script that
		# fails in many containers, and then counts as failed itself.
		{ command -v dockerd && command -v iptables; } >/dev/null ||
			die "installing ${missing[*]} failed; the end of $state/apt.log is above"
		say "apt-get reports a failure (above), but all that is needed is there; going on"
	fi
}

# mount_cgroups gives a machine without an init system its control groups. A
# kernel that binds no controller to a version 1 hierarchy has them for version 2.
mount_cgroups() {
	grep -q ' /sys/fs/cgroup' /proc/mounts && return
	if ! awk '!/^#/ && $2 != 0 { found = 1 } END { exit !found }' /proc/cgroups; then
		say "mounting control groups (version 2) on /sys/fs/cgroup"
		run mount -t cgroup2 cgroup2 /sys/fs/cgroup
		return
	fi
	say "mounting control groups (version 1) on /sys/fs/cgroup"
	run mount -t tmpfs -o uid=0,gid=0,mode=0755 cgroup /sys/fs/cgroup
	local controller enabled
	while read -r controller _ _ enabled; do
		[ "$enabled" = 1 ] || continue
		run mkdir -p "/sys/fs/cgroup/$controller"
		run mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" ||
			say "controller $controller cannot be mounted; going on without it"
	done </proc/cgroups
}

# remove_stale NAME PIDFILE: a daemon that was killed leaves its pid file, and
# refuses to start once any other process has that id.
remove_stale() {
	if [ -e "$2" ] && ! is_running "$1" "$2"; then
		say "removing $2, which a killed $1 left behind"
		run rm -f "$2"
	fi
}

# neighbour prints the id of a dockerd in this network namespace.
neighbour() {
	local comm pid
	for comm in /proc/[0-9]*/comm; do
		[ "$(cat "$comm" 2>/dev/null)" = dockerd ] || continue
		pid=${comm#/proc/}
		pid=${pid%/comm}
		if [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" ]; then
			echo "$pid"
			return
		fi
	done
	return 1
}

start_process() {
	local other
	# Two daemons with one network undo each other's bridge and packet filter.
	if other=$(neighbour); then
		die "a dockerd (process $other) runs here with another socket; set DOCKER_HOST to use that one, or run this in a network namespace of its own (unshare --net)"
	fi
	mount_cgroups
	remove_stale dockerd "$pidfile"
	remove_stale containerd "$containerd_pidfile"
	say "starting dockerd in the background (log: $log)"
	# Words in LONGSHORE_DOCKERD_ARGS are arguments of their own.
	# shellcheck disable=SC2206
	daemon_args+=(${LONGSHORE_DOCKERD_ARGS:-})
	if [ -n "$dry_run" ]; then
		run dockerd "${daemon_args[@]}"
		return
	fi
	# A session of its own, so that Ctrl-C here does not reach it; no
	# descriptors of ours, so that nobody waits for it to close them.
	setsid dockerd "${daemon_args[@]}" >"$log" 2>&1 </dev/null 9>&- &
	child=$!
	record_process "$child"
}

record_process() {
	echo "process $1 $(start_time "$1")" >"$started"
}

start_systemd() {
	say "starting the docker service of systemd"
	run systemctl start docker || die "the docker service does not start; see: journalctl -u docker"
	[ -n "$dry_run" ] || echo systemd >"$started"
}

start_engine() {
	if [ "${DOCKER_HOST:-$usual_host}" != "$usual_host" ] && [ -z "${LONGSHORE_DOCKERD_DIR:-}" ]; then
		die "no engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST to use the usual one"
	fi
	[ "$(uname -s)" = Linux ] || die "no engine answers: start Docker (Docker Desktop, colima, …), and try again"
	local was_installed='' pid
	command -v dockerd >/dev/null && was_installed=yes
	install_missing
	[ "$(id -u)" = 0 ] || die "no engine answers, and starting one needs root. Run: sudo systemctl start docker (or: sudo dockerd), and try again"
	if pid=$(daemon_pid); then
		say "a dockerd is starting (process $pid)"
		# Installing the package may have started it: then it came with us.
		if [ -z "$was_installed" ] && ! runs_systemd; then record_process "$pid"; fi
	elif runs_systemd && [ -z "${LONGSHORE_DOCKERD_DIR:-}" ]; then
		start_systemd
	else
		start_process
	fi
	[ -n "$dry_run" ] || await_engine
}

# await_engine waits until the engine answers, or the dockerd that was started
# above ends without having done so.
await_engine() {
	local status=0 asking
	"$ping_program" -wait "$answer_limit" >"$state/ping.out" &
	asking=$!
	wait -n "$asking" ${child:+"$child"} || status=$?
	if kill "$asking" 2>/dev/null; then
		wait "$asking" || status=$?
	fi
	[ "$status" = 0 ] || explain_silence
	say "$(cat "$state/ping.out")"
}

explain_silence() {
	if [ -s "$log" ]; then
		tail -n 20 "$log" >&2
		die "dockerd does not answer; the end of $log is above"
	fi
	die "dockerd does not answer"
}

start() {
	local user=$1 pid=${2-} answer status=0
	build_ping
	answer=$("$ping_program" 2>"$state/ping.err") || status=$?
	case $status in
	0) say "$answer" ;;
	3) die "an engine is there, but you may not use it ($(cat "$state/ping.err")). Run: sudo usermod -aG docker $(id -un), log in again, and try again; or run this as root" ;;
	*) start_engine ;;
	esac
	[ -n "$dry_run" ] || echo "$pid" >"$users/$user"
}

# others_need_it: is there a USER other than $1, apart from those whose process has ended?
others_need_it() {
	local file pid
	for file in "$users"/*; do
		if [ ! -e "$file" ] || [ "$file" = "$users/$1" ]; then continue; fi
		pid=$(cat "$file")
		[ -z "$pid" ] || [ -e "/proc/$pid" ] || continue
		say "${file##*/} still uses the engine; it stays"
		return 0
	done
	return 1
}

stop() {
	run rm -f "$users/$1"
	[ -s "$started" ] || return 0
	! others_need_it "$1" || return 0
	local how pid begun
	read -r how pid begun <"$started"
	if [ "$how" = systemd ]; then
		say "stopping the docker service, which was started here"
		run systemctl stop docker.socket docker
	elif [ -n "$begun" ] && [ "$(start_time "$pid")" = "$begun" ]; then
		say "stopping dockerd (process $pid), which was started here"
		run kill -TERM "$pid"
		run timeout "$stop_limit" tail --pid="$pid" -s 0.1 -f /dev/null ||
			die "dockerd (process $pid) did not end within $stop_limit s; see $log"
	fi
	run rm -f "$started"
}

if [ "${1-}" = -n ]; then
	dry_run=yes
	shift
fi
case "${1-} $#" in
"start 2" | "start 3" | "stop 2") ;;
*)
	sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
	exit 2
	;;
esac

mkdir -p "$users" "$run_dir/bin"
# Two at once would both start a daemon. Where there is no flock (macOS),
# nothing is ever started from here.
if command -v flock >/dev/null; then
	exec 9>"$state/lock"
	flock 9
fi
"$@"
