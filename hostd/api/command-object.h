/* SPDX-License-Identifier: MIT */
#pragma once

/* What Sandbox.Run() shows of a command without its object. */

#include "core/command.h"

/* Of the program; 128 + signal where one ended it; -1 where it is not known. */
int command_exit_status(const Command *c);
