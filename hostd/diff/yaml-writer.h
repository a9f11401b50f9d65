/* SPDX-License-Identifier: MIT */
#pragma once

/* One YAML document for Ansible, in pure ASCII, by libyaml.
 *
 * There are two kinds of scalar and no other way to write one. Ours are words of this program: they
 * may hold templates. Theirs come from a guest: each is written as !unsafe "…" with every byte that
 * is not printable ASCII escaped, so that Ansible never takes it for a template, a tag, an alias or
 * another type, and so that a terminal shows it as it is. Keys are always ours.
 *
 * A scalar is one line, however long, and lists are indented as ansible-lint wants them. An item of
 * the document's own list says which of its rules a text of the guest's breaks: no-tabs,
 * yaml[line-length], jinja. */

#include "base/fault.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct YamlWriter YamlWriter;

YamlWriter *yaml_writer_new(void);
YamlWriter *yaml_writer_free(YamlWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YamlWriter, yaml_writer_free)

void yaml_writer_map(YamlWriter *writer);
void yaml_writer_end_map(YamlWriter *writer);
void yaml_writer_list(YamlWriter *writer);
void yaml_writer_end_list(YamlWriter *writer);

/* A key, or a value, of our own: ASCII. Quoted where it would not be a string otherwise. */
void yaml_writer_ours(YamlWriter *writer, const char *text);
void yaml_writer_bool(YamlWriter *writer, bool value);

/* Whether YAML can hold these bytes exactly: whether they are UTF-8, without NUL. */
bool yaml_writer_can_hold(const void *bytes, size_t size);

/* A value of a guest's; it must be one that can be held, or yaml_writer_end() fails. */
void yaml_writer_theirs(YamlWriter *writer, const void *bytes, size_t size);

/* Ends the document and gives its text, from "---" to the last newline. FAULT_NO_MEMORY, and
 * INTERNAL where calls were out of order. */
int yaml_writer_end(YamlWriter *writer, char **ret, Fault *f);
