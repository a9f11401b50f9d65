/* SPDX-License-Identifier: MIT */
#pragma once

#include "api/call.h"
#include "core/playbook.h"
