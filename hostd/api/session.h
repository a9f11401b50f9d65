/* SPDX-License-Identifier: MIT */
#pragma once

/* Which login a process came of. */

#include "core/caller.h"

/* Fills in has_login, login_uid and session from what the kernel's audit and logind say of the
 * process; left empty where neither knows. Neither is changed by sudo, su or setuid. A number is
 * that of another process once its own has ended: what is told here only ever takes a permission
 * away. */
void session_read(pid_t pid, Caller *ret);
