/* SPDX-License-Identifier: MIT */
#pragma once

/* The methods of sh.fluid.Host1.Sandbox that have a file of their own, each a MethodHandler, and
 * what the Manager has in common with them. */

#include "api/call.h"
#include "core/sandbox.h"

/* Reads the options of a sandbox that is to be made, which CreateSandbox() and Branch() have in
 * common. `spec` borrows from the message, from `ret_labels`, which is freed with g_free(), and
 * from `ret_ports`, with g_strfreev(), both also on failure. */
int sandbox_object_read_spec(Call *call, bool is_branch, SandboxSpec *spec, char **ret_labels,
                             char ***ret_ports, Fault *f);
/* Replies the path of a sandbox that has just been begun, and watches how it ends. */
int sandbox_object_reply(Call *call, Sandbox *s, Fault *f);

/* sandbox-branch.c */
int sandbox_object_branch(Call *call, void *object, Fault *f);

/* sandbox-command.c */
int sandbox_object_exec(Call *call, void *object, Fault *f);
int sandbox_object_run(Call *call, void *object, Fault *f);

/* sandbox-network.c; the property's getter, too */
int sandbox_object_set_network(Call *call, void *object, Fault *f);
int sandbox_object_explain_network(Call *call, void *object, Fault *f);
int sandbox_object_list_drops(Call *call, void *object, Fault *f);
int sandbox_object_get_network_rules(Call *call, void *object, Fault *f);
int sandbox_object_get_network_counters(sd_bus *bus, const char *path, const char *interface,
                                        const char *property, sd_bus_message *reply, void *object,
                                        sd_bus_error *error);

/* sandbox-file.c */
int sandbox_object_read_file(Call *call, void *object, Fault *f);
int sandbox_object_write_file(Call *call, void *object, Fault *f);
int sandbox_object_pull_file(Call *call, void *object, Fault *f);
int sandbox_object_push_file(Call *call, void *object, Fault *f);
int sandbox_object_diff(Call *call, void *object, Fault *f);
int sandbox_object_read_file_at(Call *call, void *object, Fault *f);
int sandbox_object_extract_at(Call *call, void *object, Fault *f);
