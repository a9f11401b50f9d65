/* SPDX-License-Identifier: MIT */
#pragma once

/* A sandbox's domain with nothing around it: what a start of it costs at least. Blocks, and ends
 * the program where anything fails. */

#include <glib.h>

typedef struct BareDomain BareDomain;

/* The persistent definition of a sandbox's domain, which has none of what it needs to go on from a
 * memory, under another name and with files of its own in `directory`, which QEMU's user may write
 * to. The sandbox has to stay, since its backing files are this one's, too. */
BareDomain *bare_domain_new(const char *sandbox, const char *directory);
/* Removes its files. */
BareDomain *bare_domain_free(BareDomain *d);

/* Starts it with stopped CPUs: returns when QEMU is there and libvirt is done with it. */
void bare_domain_start(BareDomain *d);

/* Ends it; returns when it is gone. */
void bare_domain_stop(BareDomain *d);
