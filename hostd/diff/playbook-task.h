/* SPDX-License-Identifier: MIT */
#pragma once

/* A task of Ansible's, or a handler, as it is written down.
 *
 * Modules, keys, words and conditions are this program's; values that begin in the guest are
 * "theirs" (diff/yaml-writer.h) and have to be UTF-8. What tasks are called and what they notify
 * may hold a guest's text of which task_name() has left only what cannot be a template: it is
 * written as ours, since what reads playbooks expects a plain name. */

#include "diff/yaml-writer.h"

typedef struct Task Task;

/* `name` is copied, `module` is not. */
Task *task_new(const char *name, const char *module);
Task *task_free(Task *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Task, task_free)

const char *task_get_name(const Task *task);

/* Arguments of the module, in this order. Keys and words are kept, not copied. */
void task_ours(Task *task, const char *key, const char *word);
void task_plain(Task *task, const char *key, const char *text); /* a number or a word; copied */
void task_bool(Task *task, const char *key, bool value);
void task_theirs(Task *task, const char *key, const char *text);
void task_theirs_sized(Task *task, const char *key, const void *bytes, size_t size);

/* One more value of the list at `key`. */
void task_list_ours(Task *task, const char *key, const char *word);
void task_list_theirs(Task *task, const char *key, const char *text);

/* Beside the module. Conditions are templates: they are ours, and reach the guest's text only
 * through a variable. */
void task_when(Task *task, const char *condition);
void task_variable(Task *task, const char *name, const char *theirs);
void task_register(Task *task, const char *variable);
void task_tag(Task *task, const char *tag);
void task_notify(Task *task, const char *handler);

/* Adds the names that it notifies to a set; they live as long as the task. */
void task_collect_notified(const Task *task, GHashTable *names);

void task_write(const Task *task, YamlWriter *writer);

/* "Copy /etc/x": `what` and a guest's text of which only letters, digits and "._/@+:,=~- " are left
 * as they are; the others are \xNN, so that it begins nothing in Jinja or YAML. Cut where it is
 * long. g_free() it. */
char *task_name(const char *what, const void *bytes, size_t size);
