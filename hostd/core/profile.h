/* SPDX-License-Identifier: MIT */
#pragma once

/* Network profiles: what a sandbox may reach, by name.
 *
 * "none" (no network interface), "isolated" (the gateway's DHCP and DNS only) and "internet" (all
 * but this host, its networks and what is not on the internet) are there without a file; the others
 * are sections of networks.conf, which may also set their own limits for these two:
 *
 *     [mirror]
 *     # The first that matches decides; then names, then internet.
 *     deny = 192.0.2.7
 *     allow = 192.0.2.0/24:443, 10.1.2.3:53/udp, 10.0.0.0/8:8000-8100/tcp, 198.51.100.0/24:/icmp
 *     names = deb.debian.org, *.example.com
 *     private_names = no        # those names may have addresses that are not on the internet
 *     internet = no
 *     admins_only = no          # only root may give it to a sandbox
 *     connections = 1024        # open at a time
 *     connections_per_second = 100 */

#include "base/fault.h"
#include "host/firewall.h"

#include <glib.h>
#include <stdio.h>

typedef struct Profile {
        FirewallProfile rules;    /* rules.name is its name */
        const char *const *names; /* as the resolver takes them; NULL-terminated */
        size_t n_names;
        bool allows_private_names;
        bool admins_only;
} Profile;

typedef struct Profiles Profiles;

/* The built-in ones and those of the text; FAULT_INVALID_ARGUMENT with `path`, the line, what is
 * wrong with it, and how it is written right. */
int profiles_parse(const char *path, const char *text, Profiles **ret, Fault *f);
/* A file that is absent is an empty one; at most 256 KiB. FAULT_IO. */
int profiles_load(const char *path, Profiles **ret, Fault *f);
Profiles *profiles_free(Profiles *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Profiles, profiles_free)

/* All but "none", by name; the array stays with `p`. */
const Profile *profiles_list(const Profiles *p, size_t *ret_n);
/* NULL where there is none; also for "none". */
const Profile *profiles_find(const Profiles *p, const char *name);

/* Whether a sandbox with that profile, at `self`, may open a connection to that address, and why,
 * in words: "'internet' reaches all of the internet", "10.1.2.3 is in this host's own network", …
 * `host` and `local` are this host's own addresses, its networks' broadcast ones among them, and
 * its networks; `is_named`: the resolver has allowed the address. The caller frees `*ret_why`. The
 * kernel's rules decide the same. */
typedef struct ProfileQuestion {
        AddressRange range; /* of the sandboxes */
        uint32_t gateway, self;
        const AddressRange *local;
        size_t n_local;
        const uint32_t *host;
        size_t n_host;
        uint32_t address;
        uint8_t protocol;
        uint16_t port;
        bool is_named;
} ProfileQuestion;
bool profile_decide(const Profile *p, const ProfileQuestion *q, char **ret_why);

/* One line for people: "all of the internet", "192.0.2.0/24 port 443; names deb.debian.org". The
 * caller frees it. */
char *profile_describe(const Profile *p);

/* All of it, exactly, with an entry to a line, as networks.conf has them: profiles that differ do
 * not read alike (core/profile-text.c). The caller frees it. */
char *profile_format(const Profile *p);

/* An example of networks.conf with all that can be set, and its manual page (mdoc or man, as the
 * others). */
void profiles_print_example(FILE *to);
void profiles_print_manual(FILE *to);
