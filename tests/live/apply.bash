# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of applying playbooks share: alice who asks, bob who answers, a template with what Ansible needs on any
# host, alice's sandbox "web", and "production", a sandbox that stands for another machine.

scratch=$(mktemp -d /tmp/fluid-apply-test.XXXXXX) # where alice can read it
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
as() { # USER ARG...: fluidctl as that user
	local user=$1
	shift
	setpriv --reuid="$user" --regid="$user" --init-groups fluidctl "$@"
}
hash_of() { fluidctl review --json "$1" | jq -r .sha256; }
state_is() { [ "$(fluidctl review --json "$1" | jq -r .state)" = "$2" ]; }
reason_of() { fluidctl review --json "$1" | jq -r .reason; }
refused() { # ERROR: how many rows
	fluidctl audit export | jq -rs --arg e "$1" '[.[] | select((.kind | startswith("approval.")) and .error == $e)] | length'
}
in_production() { as fluid-apply exec --timeout 5min production -- sh -c "$1"; }
approves() { as bob approve "$1" --sha256 "$(hash_of "$1")" >/dev/null 2>&1; }

usermod -aG fluid-approver bob
usermod -aG fluid fluid-apply # for the connection of its inventory: production is a sandbox here
mkdir -p /etc/polkit-1/rules.d
cat >/etc/polkit-1/rules.d/10-approve.rules <<-'END'
	polkit.addRule(function(action, subject) {
		if (action.id == "sh.fluid.host1.approve" && (subject.user == "bob" || subject.user == "alice"))
			return polkit.Result.YES;
	});
END

# -- a template with what Ansible needs on any host, and the guest lacks: Python's library
dpkg -L libpython3.11-stdlib | grep -v /share/ | while read -r file; do
	[ -d "$file" ] && [ ! -L "$file" ] || echo "$file"
done >"$scratch/python.list"
tar -cf "$scratch/python.tar" -T "$scratch/python.list" 2>/dev/null
ok "a Debian guest boots" fluidctl create --template debian-kernel --name base --boot-timeout 10min --wait-timeout 10min
[ "${tap_failures-}" = 0 ] || { echo "Bail out! no guest" && exit 1; }
ok "it gets Python's library" fluidctl push base "$scratch/python.tar" /root/python.tar
ok "which works" fluidctl exec --timeout 5min base -- sh -c \
	'tar -C / --keep-directory-symlink -xf /root/python.tar && rm /root/python.tar && python3 -c "import json, zipfile"; sync'
ok "it is kept with its memory" fluidctl snapshot base --memory ready
ok "as a template" fluidctl promote base ready python
ok "alice has a sandbox" as alice create --template python --name web --agent ada --wait-timeout 10min
ok "and there is a machine that stands for production" \
	as fluid-apply create --template python --name production --wait-timeout 10min
ok "base is not needed any more" fluidctl destroy base

# Where playbooks are applied.
name_target() {
	local id

	id=$(as fluid-apply show --json production | jq -r .id)
	cat >/etc/fluid/inventory <<-END
		production ansible_connection=fluid ansible_fluid_sandbox=$id ansible_remote_tmp=/tmp/ansible ansible_pipelining=true
	END
	cat >>/etc/fluid/apply.conf <<-'END'
		inventory = /etc/fluid/inventory
		become = no
	END
}
