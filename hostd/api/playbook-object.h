/* SPDX-License-Identifier: MIT */
#pragma once

#include "api/call.h"
#include "core/playbook.h"

/* Sandbox.ExportPlaybook() */
int playbook_object_export(Call *call, void *object, Fault *f);
/* Sandbox.ImportPlaybook() */
int playbook_object_import(Call *call, void *object, Fault *f);
