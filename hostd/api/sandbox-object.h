/* SPDX-License-Identifier: MIT */
#pragma once

/* The methods of sh.fluid.Host1.Sandbox that have a file of their own; each is a MethodHandler. */

#include "api/call.h"
#include "core/sandbox.h"

/* sandbox-command.c */
int sandbox_object_exec(Call *call, void *object, Fault *f);
int sandbox_object_run(Call *call, void *object, Fault *f);

/* sandbox-file.c */
int sandbox_object_read_file(Call *call, void *object, Fault *f);
int sandbox_object_write_file(Call *call, void *object, Fault *f);
int sandbox_object_pull_file(Call *call, void *object, Fault *f);
int sandbox_object_push_file(Call *call, void *object, Fault *f);
int sandbox_object_diff(Call *call, void *object, Fault *f);
