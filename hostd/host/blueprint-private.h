/* SPDX-License-Identifier: MIT */
#pragma once

/* What blueprint.c and blueprint-disks.c share while they read a domain's definition. */

#include "host/hypervisor.h"
#include "host/xml.h"

#include <glib.h>

typedef struct BlueprintReader {
        Blueprint *blueprint;
        xmlNode *out;        /* the blueprint's <domain> */
        GPtrArray *refusals; /* of char *, no two alike */
        GArray *boot_orders; /* of guint64, one for each of blueprint->disks */
} BlueprintReader;

/* Notes why the domain cannot be cloned; the same reason twice is noted once. */
void blueprint_refuse(BlueprintReader *in, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Copies an element and all below it; one with elements of another namespace is refused. */
void blueprint_copy_node(BlueprintReader *in, xmlNode *parent, xmlNode *node);

/* `text` may be NULL. */
bool blueprint_is_one_of(const char *text, const char *const *list);

/* Adds a <disk> of the domain's to the blueprint, refuses it, or leaves out an empty drive. */
void blueprint_read_disk(BlueprintReader *in, xmlNode *devices, xmlNode *disk);

void source_disk_free(void *disk);
