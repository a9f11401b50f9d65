/* SPDX-License-Identifier: MIT */
#pragma once

#include "api/call.h"
#include "core/approval.h"

/* Manager.RequestApproval() */
int approval_object_request(Call *call, void *object, Fault *f);
