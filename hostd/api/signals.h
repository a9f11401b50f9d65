/* SPDX-License-Identifier: MIT */
#pragma once

/* News from core, to those connections that may see their object. */

#include "api/object.h"

extern const ManagerObserver signals_observer;
