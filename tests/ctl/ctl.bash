# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# For the tests of fluidctl: tests/fake/host-service on a private bus, and TAP. FLUID_BUILD: the build
# directory.

set -uo pipefail

BUILD=${FLUID_BUILD:-build}
# shellcheck disable=SC2034 # of those who source this
HERE=$(cd "$(dirname "$0")/../.." && pwd)
SCRATCH=$(mktemp -d)
cases=0
failures=0
export FAKE_DOCUMENTS=$SCRATCH/documents NO_COLOR=1 LC_ALL=C.UTF-8 TZ=UTC
unset DBUS_SYSTEM_BUS_ADDRESS FLUID_PAGER PAGER

clean_up() {
	[ -z "${fake-}" ] || kill "$fake" 2>/dev/null
	[ -z "${bus-}" ] || kill "$bus" 2>/dev/null
	rm -rf "$SCRATCH"
}
trap clean_up EXIT

ok() {
	cases=$((cases + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $cases - $2"
		return
	fi
	failures=$((failures + 1))
	echo "not ok $cases - $2"
	echo "# status ${status-}"
	sed 's/^/# stdout: /' "$SCRATCH/out"
	sed 's/^/# stderr: /' "$SCRATCH/err"
}

start_bus() {
	cat > "$SCRATCH/bus.conf" <<-END
		<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
		 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
		<busconfig><type>session</type><listen>unix:path=$SCRATCH/bus</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/>
		<allow own="*"/></policy></busconfig>
	END
	bus=$(dbus-daemon --config-file="$SCRATCH/bus.conf" --fork --print-pid) || exit 1
}

start_fake() {
	: > "$SCRATCH/fake"
	FAKE_BROKEN_AUDIT=${1-} "$BUILD/tests/fake/host-service" "unix:path=$SCRATCH/bus" \
		> "$SCRATCH/fake" &
	fake=$!
	for _ in $(seq 600); do
		grep -q ready "$SCRATCH/fake" && return
		sleep 0.05
	done
	echo 'Bail out! the fake service does not start'
	exit 1
}

stop_fake() {
	kill "$fake" 2>/dev/null
	wait "$fake" 2>/dev/null
}

ctl() {
	"$BUILD/fluidctl" --bus-address "unix:path=$SCRATCH/bus" "$@" \
		> "$SCRATCH/out" 2> "$SCRATCH/err" < /dev/null
	status=$?
}

# On a terminal, both streams as one.
ctl_on_terminal() {
	local command

	printf -v command '%q ' "$BUILD/fluidctl" --bus-address "unix:path=$SCRATCH/bus" "$@"
	script -qec "$command" /dev/null > "$SCRATCH/out" 2> "$SCRATCH/err" < /dev/null
	status=$?
}

# exits STATUS NAME ARGUMENT...
exits() {
	local expected=$1 name=$2
	shift 2
	ctl "$@"
	[ "$status" -eq "$expected" ]
	ok $? "$name"
}

# also STREAM PATTERN NAME: of the last call.
also() {
	grep -qE -e "$2" "$SCRATCH/$1"
	ok $? "$3"
}

# also_json FILTER NAME: stdout is JSON of which the filter holds.
also_json() {
	jq -e "$1" "$SCRATCH/out" > "$SCRATCH/jq" 2>> "$SCRATCH/err"
	ok $? "$2"
}

also_status() {
	[ "$status" -eq "$1" ]
	ok $? "$2"
}

also_is() {
	[ "$(cat "$SCRATCH/$1")" = "$2" ]
	ok $? "$3"
}

# Nothing that a terminal acts on, but for newline, carriage return and tab.
also_harmless() {
	! LC_ALL=C grep -qP '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xe2\x80\xae' "$SCRATCH/out"
	ok $? "$1"
}

finish() {
	stop_fake
	echo "1..$cases"
	[ "$failures" -eq 0 ]
}
