# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# TAP for shell tests that run inside tests/env/with-host. A case is a sentence:
#
#   ok "a stopped sandbox starts again" fluidctl start web
#   is "the exit status is the command's own" "$(fluidctl exec web -- sh -c 'exit 7'; echo $?)" 7
#   fails 4 "NotFound has exit status 4" fluidctl show nothing
#   like "the error says what to do" "$text" 'start it first'

tap_count=0
tap_failures=0
tap_scratch=$(mktemp -d "${FLUID_HOST_SCRATCH:-/tmp}/tap.XXXXXX")
tap_output=$tap_scratch/output

tap_result() { # 0|1 SENTENCE [DETAIL]
	tap_count=$((tap_count + 1))
	if [ "$1" -eq 0 ]; then
		printf 'ok %d - %s\n' "$tap_count" "$2"
	else
		tap_failures=$((tap_failures + 1))
		printf 'not ok %d - %s\n' "$tap_count" "$2"
		[ -z "${3:-}" ] || printf '%s\n' "$3" | sed 's/^/# /'
	fi
}

# The command succeeds; its output is kept in $tap_output.
ok() { # SENTENCE CMD...
	local sentence=$1 status=0
	shift
	"$@" >"$tap_output" 2>&1 || status=$?
	tap_result "$((status != 0))" "$sentence" "'$*' ended with $status: $(tail -n 5 "$tap_output")"
}

# The command ends with exactly that status; its output is kept in $tap_output.
fails() { # STATUS SENTENCE CMD...
	local expected=$1 sentence=$2 status=0
	shift 2
	"$@" >"$tap_output" 2>&1 || status=$?
	tap_result "$((status != expected))" "$sentence" \
		"'$*' ended with $status, not $expected: $(tail -n 5 "$tap_output")"
}

is() { # SENTENCE ACTUAL EXPECTED
	local differs=0
	[ "$2" = "$3" ] || differs=1
	tap_result "$differs" "$1" "got '$2', expected '$3'"
}

like() { # SENTENCE TEXT EXTENDED-REGEX
	local differs=0
	grep -Eq -- "$3" <<<"$2" || differs=1
	tap_result "$differs" "$1" "'$2' does not match '$3'"
}

said() { # SENTENCE EXTENDED-REGEX: of the last ok or fails
	like "$1" "$(cat "$tap_output")" "$2"
}

# Tries until it succeeds; the condition is what is tested, the bound only ends a test that fails.
until_true() { # SECONDS CMD...
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

# The files and directories of sandboxes; the rules of all, and the sockets of units, are not one's.
files_left() {
	find /var/lib/fluid/sandboxes /run/fluid -mindepth 1 \
		! -regex '/run/fluid/\(firewall\(/ruleset\.nft\|/sandboxes\)?\|fluid-[a-z-]*\.socket\)'
}

state_of() { fluidctl show --json "$1" | jq -r .state; }
is_in_state() { [ "$(state_of "$1")" = "$2" ]; }

# The process of fluid-hostd that comes after that one answers.
is_another_hostd() { # PID
	local pid
	pid=$(host-hostd-pid 2>/dev/null) && [ -n "$pid" ] && [ "$pid" != "$1" ] && fluidctl status >/dev/null 2>&1
}
kill_hostd() { # returns when its unit has brought it back
	local old
	old=$(host-hostd-pid)
	host-kill-hostd -KILL
	until_true 30 is_another_hostd "$old"
}

done_testing() {
	rm -rf "$tap_scratch"
	printf '1..%d\n' "$tap_count"
	[ "$tap_failures" -eq 0 ]
}
