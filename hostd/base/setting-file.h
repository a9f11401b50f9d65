/* SPDX-License-Identifier: MIT */
#pragma once

/* A file of lines 'key = value', each at most once, of comments (#) and empty lines. */

#include "base/fault.h"

#include <stddef.h>

typedef struct SettingForm {
        const char *manual; /* that tells of the keys: "fluid.conf(5)" */
        size_t n_keys;
        char *(*name)(size_t key); /* as it stands in the file; freed by the caller */
        /* What is wrong with the value is told without its name. */
        int (*set)(void *settings, size_t key, const char *value, Fault *f);
} SettingForm;

/* FAULT_INVALID_ARGUMENT, with the line in `path`. */
int setting_file_parse(const SettingForm *form, const char *path, const char *text, void *settings,
                       Fault *f);
