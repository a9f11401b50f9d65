/* SPDX-License-Identifier: MIT */
#pragma once

/* json-c with bounds, for text that somebody else wrote. */

#include "base/fault.h"

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct json_object Json;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_object_put)

/* Parses exactly one value, no deeper than `max_depth`; strict RFC 8259, trailing bytes are an
 * error. FAULT_INVALID_ARGUMENT. */
int json_parse(const char *text, size_t size, int max_depth, Json **ret, Fault *f);

/* Members by name and type; false if absent or of another type. Strings and objects are borrowed.
 */
bool json_find_string(Json *object, const char *key, const char **ret);
bool json_find_uint(Json *object, const char *key, uint64_t *ret);
bool json_find_bool(Json *object, const char *key, bool *ret);
bool json_find_object(Json *object, const char *key, Json **ret);
bool json_find_array(Json *object, const char *key, Json **ret);
