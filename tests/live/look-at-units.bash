# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Cases that hold of fluid-hostd and of each program that runs for it, whoever has read their units.

here=$(dirname "$0")
hostd=$(host-hostd-pid)

field() { # PID NAME
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}
space() { # PID KIND
	readlink "/proc/$1/ns/$2"
}
differs() { # SENTENCE ONE OTHER
	tap_result "$([ "$2" != "$3" ] && echo 0 || echo 1)" "$1" "both are '$2'"
}

# -- fluid-hostd: CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_NET_ADMIN
is "fluid-hostd has four capabilities, and can get no other" "$(field "$hostd" CapEff) $(field "$hostd" CapBnd)" \
	"000000000000100b 000000000000100b"
is "it can get no privileges, and its system calls are filtered" "$(field "$hostd" NoNewPrivs) $(field "$hostd" Seccomp)" "1 2"

# -- what it has run
# UNIT PROGRAM USER GROUP
look_at() {
	local unit=$1 program=$2 user=$3 group=$4 asked pid
	coproc HOLD { exec "$here/hold-unit" "$unit"; }
	read -r asked <&"${HOLD[0]}"
	is "$unit runs for root" "$asked" asked
	until_true 20 pgrep -x "$program" >/dev/null
	pid=$(pgrep -x "$program")
	is "$program is its user alone" "$(field "$pid" Uid | cut -f 2) $(field "$pid" Gid | cut -f 2)" \
		"$(id -u "$user") $(getent group "$group" | cut -d : -f 3)"
	is "it has no capability, and can get none" "$(field "$pid" CapEff) $(field "$pid" CapPrm) $(field "$pid" CapBnd)" \
		"0000000000000000 0000000000000000 0000000000000000"
	is "it can get no privileges, and its system calls are filtered" "$(field "$pid" NoNewPrivs) $(field "$pid" Seccomp)" "1 2"
	differs "its users are not the host's" "$(space "$pid" user)" "$(space $$ user)"
	differs "nor are its mounts" "$(space "$pid" mnt)" "$(space $$ mnt)"
	is "what it sees of the system is read-only" "$(awk '$5 == "/usr" || $5 == "/" { print $6 }' "/proc/$pid/mountinfo" | cut -c 1-2 | sort -u)" ro
	if [ "$unit" = fluid-resolver ] || [ "$unit" = fluid-apply ]; then
		is "its network is the host's" "$(space "$pid" net)" "$(space $$ net)"
	else
		differs "its network is its own" "$(space "$pid" net)" "$(space $$ net)"
	fi
	eval "exec ${HOLD[1]}>&-"
	until_true 20 eval "! pgrep -x $program >/dev/null"
	fails 1 "it is killed when who asked hangs up" pgrep -x "$program"
	until_true 20 eval "! pgrep -f [f]luid-runner.*$program >/dev/null"
	fails 1 "and so is what ran it" pgrep -f "[f]luid-runner.*$program"
	fails 1 "nobody else can ask" runuser -u alice -- python3 -c "$(cat "$here/hold-unit")" "$unit"
	said "for want of permission" 'Permission denied'
}
look_at fluid-diff fluid-diff fluid-diff fluid-diff
# Its name is cut where the kernel does.
[ ! -e /run/fluid/fluid-diff-guestfs.socket ] || look_at fluid-diff-guestfs fluid-diff-gues fluid-guestfs fluid-guestfs
look_at fluid-image qemu-img libvirt-qemu libvirt-qemu
look_at fluid-resolver fluid-resolver fluid-resolver fluid-resolver
look_at fluid-apply fluid-ansible fluid-apply fluid-apply
look_at fluid-verify fluid-ansible fluid-verify fluid-verify
