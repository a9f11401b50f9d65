/* SPDX-License-Identifier: MIT */
#pragma once

/* The files that a guest's identity is in: the one list for both ways to renew it, the program
 * (guest/identity.c) and the script where that does not run (host/guest-identity-script.c). String
 * constants, so that a preprocessor is enough to make either of it. */

#define IDENTITY_HOSTNAME_KERNEL   "/proc/sys/kernel/hostname"
#define IDENTITY_HOSTNAME          "/etc/hostname"
#define IDENTITY_HOSTS             "/etc/hosts"
#define IDENTITY_MACHINE_ID        "/etc/machine-id"
#define IDENTITY_MACHINE_ID_DBUS   "/var/lib/dbus/machine-id"
#define IDENTITY_URANDOM           "/dev/urandom"
#define IDENTITY_SSHD              "/usr/sbin/sshd"
#define IDENTITY_SSHD_PID          "/run/sshd.pid"
#define IDENTITY_SSH_KEY_DIRECTORY "/etc/ssh/"
#define IDENTITY_SSH_KEY_PREFIX    "ssh_host_"
#define IDENTITY_SSH_KEY           IDENTITY_SSH_KEY_DIRECTORY IDENTITY_SSH_KEY_PREFIX "ed25519_key"

/* FILES(directory, prefix, rest, suffix): regular files that are removed. `rest` is what may be
 * between the two in a name: "*", or "" for the prefix alone. */
#define IDENTITY_LEASES(FILES) \
        FILES("/var/lib/dhcp/", "", "*", ".leases") \
        FILES("/var/lib/dhclient/", "", "*", ".leases") \
        FILES("/var/lib/dhcpcd/", "", "*", "") \
        FILES("/var/lib/NetworkManager/", "secret_key", "", "") \
        FILES("/var/lib/NetworkManager/", "", "*", ".lease") \
        FILES("/var/lib/systemd/", "random-seed", "", "") \
        FILES("/run/systemd/netif/leases/", "", "*", "")

/* What is said of those that could not be removed, of the clock and of the random numbers. */
#define IDENTITY_FAILED_REMOVAL "old keys and leases"
#define IDENTITY_FAILED_CLOCK   "the clock"
#define IDENTITY_FAILED_RANDOM  "the random number generator"
