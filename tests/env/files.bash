# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The files of a private host: the machine's, writable in memory, with what is installed on top. $tree is where they are put
# together: a directory, or nothing for the root of the caller's own mount namespace.

scratch=$FLUID_HOST_SCRATCH
tree=${tree-} # whoever reads this has set it
libvirt_cache=$FLUID_HOST_CACHE/libvirt-kvm-$FLUID_HOST_KVM # what libvirt found out about QEMU, which takes it a second

die() {
	echo "with-host: $*" >&2
	exit 1
}

# overlay DIRECTORY LOWER...: the machine's DIRECTORY with the lower ones on top of it, writable in memory.
overlay() {
	local directory=$1 lower=$1 layer name
	name=${1//\//-}
	shift
	for layer; do
		[ ! -d "$layer" ] || lower=$layer:$lower
	done
	mkdir -p "$scratch/memory/$name"/{upper,work} "$tree$directory"
	mount -t overlay -o "lowerdir=$lower,upperdir=$scratch/memory/$name/upper,workdir=$scratch/memory/$name/work" \
		overlay "$tree$directory" || die "cannot put an overlay on $directory (see dmesg)"
}

# private DIRECTORY [OWNER [MODE]]: an empty directory on disk in its place.
private() {
	local real
	real=$scratch/disk/${1//\//-}
	mkdir -p "$real" "$tree$1"
	chown "${2-root:root}" "$real"
	chmod "${3-711}" "$real"
	mount --bind "$real" "$tree$1"
}

make_system_files() {
	mkdir "$scratch/memory"
	mount -t tmpfs -o mode=755 tmpfs "$scratch/memory"
	overlay /usr "$scratch/stage/usr"
	overlay /etc "$scratch/stage/etc"
	overlay /var
	[ -s "$tree/etc/machine-id" ] || tr -d - < /proc/sys/kernel/random/uuid > "$tree/etc/machine-id"
}

# Nothing of the machine's own domains.
make_libvirt_files() {
	mount -t tmpfs -o mode=755 tmpfs "$tree/etc/libvirt"
	[ ! -d "$scratch/stage/etc/libvirt" ] || cp -a "$scratch/stage/etc/libvirt/." "$tree/etc/libvirt/"
	echo 'cgroup_controllers = [ ]' >> "$tree/etc/libvirt/qemu.conf"
	private /var/lib/libvirt
	private /var/cache/libvirt
	[ ! -d "$libvirt_cache" ] || flock -s "$FLUID_HOST_CACHE" cp -a "$libvirt_cache/." "$tree/var/cache/libvirt/"
	private /var/log/libvirt root:root 755
	mkdir -p "$tree"/var/lib/libvirt/{boot,images,qemu}
	chown libvirt-qemu:libvirt-qemu "$tree/var/lib/libvirt/qemu"
}

# /var/lib/fluid: the cached state as a lower layer. metacopy, since libvirt's chown must not copy whole images.
make_state() {
	if [ -n "$FLUID_HOST_STATE" ]; then
		mkdir -p "$tree/var/lib/fluid"
		mount --bind "$FLUID_HOST_STATE" "$tree/var/lib/fluid"
	elif [ -n "$FLUID_HOST_LOWER" ]; then
		mkdir -p "$tree/var/lib/fluid" "$scratch"/fluid/{upper,work}
		chown --reference="$FLUID_HOST_LOWER" "$scratch/fluid/upper"
		chmod --reference="$FLUID_HOST_LOWER" "$scratch/fluid/upper"
		mount -t overlay -o "metacopy=on,lowerdir=$FLUID_HOST_LOWER,upperdir=$scratch/fluid/upper,workdir=$scratch/fluid/work" \
			overlay "$tree/var/lib/fluid" || die "cannot put an overlay on /var/lib/fluid: is $scratch on an overlayfs itself?"
	else
		private /var/lib/fluid root:root 755
	fi
}

# One that libvirtd changes meanwhile is not kept; the next host tries again.
keep_libvirt_cache() {
	local new=$libvirt_cache.new lock
	exec {lock}< "$FLUID_HOST_CACHE"
	flock "$lock"
	rm -rf "$new"
	if ! diff -rq "$tree/var/cache/libvirt" "$libvirt_cache" > /dev/null 2>&1 &&
		cp -a "$tree/var/cache/libvirt" "$new" 2> /dev/null; then
		rm -rf "$libvirt_cache"
		mv -T "$new" "$libvirt_cache"
	fi
	exec {lock}<&-
}
