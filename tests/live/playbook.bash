# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of playbooks on real guests share: callers, a package in a repository that is a directory, another one on its
# own, and a Debian guest that Ansible can work in. After tests/live/tap.bash.

scratch=$(mktemp -d /tmp/fluid-playbook.XXXXXX) # where alice can read it
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"

# Alice is in group fluid; with no capability, and no way to get one.
as_alice() { setpriv --reuid=alice --regid=alice --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"; }
ctl() { as_alice fluidctl "$@"; }
in_guest() { ctl exec --timeout 10min "$1" -- sh -c "$2"; }

package() { # NAME VERSION
	mkdir -p "$scratch/$1/DEBIAN" "$scratch/$1/etc" "$scratch/$1/lib/systemd/system" "$scratch/$1/usr/share/$1" "$scratch/repository"
	printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: fluid <fluid@example.org>\nDescription: for a test\n' "$1" "$2" \
		>"$scratch/$1/DEBIAN/control"
	printf 'listen 80\nworkers 1\n' >"$scratch/$1/etc/$1.conf"
	echo "/etc/$1.conf" >"$scratch/$1/DEBIAN/conffiles"
	printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >"$scratch/$1/lib/systemd/system/$1.service"
	seq 100 >"$scratch/$1/usr/share/$1/numbers"
	(cd "$scratch/$1" && find etc lib usr -type f -exec md5sum {} +) >"$scratch/$1.md5sums"
	mv "$scratch/$1.md5sums" "$scratch/$1/DEBIAN/md5sums"
	dpkg-deb --root-owner-group --build "$scratch/$1" "$scratch/repository/$1_$2_all.deb" >/dev/null
}

# $scratch/repository.tar with the package "site", and $scratch/extra_2.0_all.deb.
make_packages() {
	package site 1.2-1
	package extra 2.0
	(
		cd "$scratch/repository" || exit
		mv extra_2.0_all.deb ..
		dpkg-deb -f site_1.2-1_all.deb
		printf 'Filename: ./site_1.2-1_all.deb\nSize: %s\nSHA256: %s\n\n' "$(stat -c %s site_1.2-1_all.deb)" \
			"$(sha256sum <site_1.2-1_all.deb | cut -c 1-64)"
	) >"$scratch/Packages"
	mv "$scratch/Packages" "$scratch/repository/"
	tar -C "$scratch" -cf "$scratch/repository.tar" --owner=0 --group=0 repository
}

# What Ansible needs on any host, and the guest lacks: Python's library and apt's module, as this machine has them.
make_python() {
	local file

	dpkg -L libpython3.11-stdlib python3-apt | grep -v /share/ | while read -r file; do
		[ -d "$file" ] && [ ! -L "$file" ] || echo "$file"
	done >"$scratch/python.list"
	tar -cf "$scratch/python.tar" -T "$scratch/python.list" 2>/dev/null
}

# A sandbox of that name, with Python, at rest.
make_guest() { # NAME
	ok "a Debian guest boots" ctl create --template debian-kernel --name "$1" --boot-timeout 10min --wait-timeout 10min
	[ "${tap_failures-}" = 0 ] || { echo "Bail out! no guest" && exit 1; }
	ok "it gets Python's library" ctl push "$1" "$scratch/python.tar" /root/python.tar
	ok "and apt's module" in_guest "$1" \
		'tar -C / --keep-directory-symlink -xf /root/python.tar && rm /root/python.tar && python3 -c "import json, zipfile, apt_pkg"'
	ok "it comes to rest" in_guest "$1" 'systemctl is-system-running --wait >/dev/null; sync'
}
