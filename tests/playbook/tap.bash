# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of playbooks share: TAP (tests/live/tap.bash), a private bus, and Ansible as this user.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export build
build=$(realpath "${FLUID_BUILD:-$here/build}")
. "$here/tests/live/tap.bash"
scratch=$tap_scratch

# Nothing of the user's own configuration; all that Ansible writes goes into the scratch directory.
printf '[defaults]\n' >"$scratch/ansible.cfg"
export ANSIBLE_CONFIG=$scratch/ansible.cfg ANSIBLE_LOCAL_TEMP=$scratch/local ANSIBLE_REMOTE_TEMP=$scratch/remote ANSIBLE_HOME=$scratch/home
export ANSIBLE_NOCOLOR=1 ANSIBLE_RETRY_FILES_ENABLED=0 ANSIBLE_DEPRECATION_WARNINGS=0
export ANSIBLE_CONNECTION_PLUGINS=$here/contrib/ansible/connection
export LC_ALL=C.UTF-8
unset PYTHONHOME PYTHONPATH DBUS_SYSTEM_BUS_ADDRESS
PATH=/usr/sbin:/usr/bin:/sbin:/bin

bus='' service=''
stop_service() {
	[ -z "$service" ] || kill "$service" 2>/dev/null
	[ -z "$bus" ] || kill "$bus" 2>/dev/null
	bus='' service=''
}
trap stop_service EXIT

# tests/playbook/host-service on a bus of its own: $FLUID_BUS_ADDRESS.
start_service() {
	cat >"$scratch/bus.conf" <<-END
		<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
		 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
		<busconfig><type>session</type><listen>unix:path=$scratch/bus</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/>
		<allow own="*"/></policy></busconfig>
	END
	export FLUID_BUS_ADDRESS=unix:path=$scratch/bus
	bus=$(dbus-daemon --config-file="$scratch/bus.conf" --fork --print-pid)
	"$here/tests/playbook/host-service" "$FLUID_BUS_ADDRESS" >"$scratch/calls" 2>"$scratch/service.err" &
	service=$!
	until_true 20 grep -q ready "$scratch/calls"
}

# The numbers of the recap's only line: changed, failed, unreachable.
recap() { # WORD
	sed -n "s/.* $1=\([0-9]*\).*/\1/p" "$tap_output" | tail -n 1
}
