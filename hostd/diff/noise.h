/* SPDX-License-Identifier: MIT */
#pragma once

/* Which changes are noise: rules by path, from a file that people read (hostd/diff/noise.rules says
 * how they are written). */

#include "diff/changes.h"

#define NOISE_RULES_MAX 64

typedef struct NoiseRules NoiseRules;

/* The rules that fluid-diff has in it. */
extern const char noise_rules_text[];

/* FAULT_INVALID_ARGUMENT with the line. */
int noise_rules_parse(Span text, NoiseRules **ret, Fault *f);
NoiseRules *noise_rules_free(NoiseRules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NoiseRules, noise_rules_free)

unsigned noise_rules_length(const NoiseRules *rules);
const char *noise_rule_name(const NoiseRules *rules, unsigned i);
const char *noise_rule_reason(const NoiseRules *rules, unsigned i);

/* The first rule that matches, or -1. */
int noise_rules_match(const NoiseRules *rules, Span path, const Change *change);

/* One pattern against one path, without conditions. */
bool noise_pattern_match(Span pattern, Span path);
