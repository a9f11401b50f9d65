/* SPDX-License-Identifier: MIT */
#include "diff/noise.h"

#include "base/cleanup.h"

#include <string.h>

typedef enum Condition {
        IF_DIRECTORY = 1 << 0,
        IF_FILE = 1 << 1,
        IF_SYMLINK = 1 << 2,
        IF_ADDED = 1 << 3,
        IF_REMOVED = 1 << 4,
        IF_CHANGED = 1 << 5,
        IF_ONLY_TIME = 1 << 6,
} Condition;

static const struct {
        const char *word;
        Condition condition;
} conditions[] = {
        {"directory", IF_DIRECTORY}, {"file", IF_FILE},       {"symlink", IF_SYMLINK},
        {"added", IF_ADDED},         {"removed", IF_REMOVED}, {"changed", IF_CHANGED},
        {"only-time", IF_ONLY_TIME},
};

typedef struct Pattern {
        unsigned rule;
        unsigned conditions; /* of Condition */
        char *text;
        size_t size;
        size_t literal; /* bytes before the first of ? and * */
} Pattern;

typedef struct Rule {
        char *name, *reason;
} Rule;

struct NoiseRules {
        GArray *rules;    /* of Rule */
        GArray *patterns; /* of Pattern */
};

static bool match_here(Span pattern, Span path);

/* `pattern` is what follows the stars. */
static bool match_star(Span pattern, Span path, bool any)
{
        for (size_t i = 0;; i++) {
                if (match_here(pattern, span_skip(path, i)))
                        return true;
                if (i >= path.size || (!any && path.bytes[i] == '/'))
                        return false;
        }
}

/* Recursion is as deep as a pattern has stars: patterns are an administrator's, and bounded. */
// NOLINTNEXTLINE(misc-no-recursion)
static bool match_here(Span pattern, Span path)
{
        while (pattern.size > 0) {
                if (span_starts_with(pattern, "**"))
                        return match_star(span_skip(pattern, 2), path, true);
                if (pattern.bytes[0] == '*')
                        return match_star(span_skip(pattern, 1), path, false);
                if (path.size == 0 || (pattern.bytes[0] == '?' ? path.bytes[0] == '/'
                                                               : pattern.bytes[0] != path.bytes[0]))
                        return false;
                pattern = span_skip(pattern, 1);
                path = span_skip(path, 1);
        }
        return path.size == 0;
}

bool noise_pattern_match(Span pattern, Span path)
{
        return match_here(pattern, path);
}

static bool holds(unsigned wanted, const Change *change)
{
        unsigned have = 0;

        if (change->kind == KIND_DIRECTORY)
                have |= IF_DIRECTORY;
        else if (change->kind == KIND_SYMLINK)
                have |= IF_SYMLINK;
        else if (change->kind == KIND_FILE)
                have |= IF_FILE;
        if (change->change == CHANGE_ADDED)
                have |= IF_ADDED;
        else if (change->change == CHANGE_REMOVED)
                have |= IF_REMOVED;
        else
                have |= IF_CHANGED;
        if (change->only_time)
                have |= IF_ONLY_TIME;
        return (wanted & have) == wanted;
}

int noise_rules_match(const NoiseRules *rules, Span path, const Change *change)
{
        for (unsigned i = 0; i < rules->patterns->len; i++) {
                const Pattern *pattern = &g_array_index(rules->patterns, Pattern, i);
                Span rest = {pattern->text + pattern->literal, pattern->size - pattern->literal};

                if (path.size >= pattern->literal && holds(pattern->conditions, change) &&
                    memcmp(path.bytes, pattern->text, pattern->literal) == 0 &&
                    match_here(rest, span_skip(path, pattern->literal)))
                        return (int) pattern->rule;
        }
        return -1;
}

static void clear_rule(void *data)
{
        Rule *rule = data;

        g_free(rule->name);
        g_free(rule->reason);
}

static void clear_pattern(void *data)
{
        g_free(((Pattern *) data)->text);
}

NoiseRules *noise_rules_free(NoiseRules *rules)
{
        if (!rules)
                return NULL;
        g_array_unref(rules->rules);
        g_array_unref(rules->patterns);
        g_free(rules);
        return NULL;
}

static int parse_rule(NoiseRules *rules, Span line, unsigned number, Fault *f)
{
        Span name, reason = span_skip(line, 1);

        if (!span_next_part(&reason, ']', &name) || name.size == 0 || !reason.bytes)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "line %u of the noise rules is no '[NAME] REASON'", number);
        if (rules->rules->len >= NOISE_RULES_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "line %u: there are more than %d noise rules", number,
                                 NOISE_RULES_MAX);
        Rule rule = {span_dup(name), span_dup(span_trim(reason))};
        g_array_append_val(rules->rules, rule);
        return 0;
}

static bool condition_from_word(Span word, unsigned *ret)
{
        for (size_t i = 0; i < G_N_ELEMENTS(conditions); i++)
                if (span_is(word, conditions[i].word)) {
                        *ret |= conditions[i].condition;
                        return true;
                }
        return false;
}

static unsigned count_stars(Span pattern)
{
        unsigned n = 0;

        for (size_t i = 0; i < pattern.size; i++)
                n += pattern.bytes[i] == '*';
        return n;
}

static int parse_pattern(NoiseRules *rules, Span line, unsigned number, Fault *f)
{
        enum { STARS_MAX = 8 };
        Pattern pattern = {.rule = rules->rules->len - 1};
        Span word, rest = line;

        while (rest.size > 0 && rest.bytes[0] != '/') {
                if (!span_next_word(&rest, &word) ||
                    !condition_from_word(word, &pattern.conditions))
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "line %u of the noise rules has neither a path nor a "
                                         "condition that is known",
                                         number);
                rest = span_trim(rest);
        }
        if (rest.size == 0 || rules->rules->len == 0 || count_stars(rest) > STARS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "line %u of the noise rules has no path, too many '*', or is "
                                 "before the first rule",
                                 number);
        while (pattern.literal < rest.size && !strchr("*?", rest.bytes[pattern.literal]))
                pattern.literal++;
        pattern.text = span_dup(rest);
        pattern.size = strlen(pattern.text);
        pattern.literal = MIN(pattern.literal, pattern.size);
        g_array_append_val(rules->patterns, pattern);
        return 0;
}

int noise_rules_parse(Span text, NoiseRules **ret, Fault *f)
{
        g_autoptr(NoiseRules) rules = g_new0(NoiseRules, 1);
        unsigned number = 0;
        Span line;

        rules->rules = g_array_new(FALSE, FALSE, sizeof(Rule));
        g_array_set_clear_func(rules->rules, clear_rule);
        rules->patterns = g_array_new(FALSE, FALSE, sizeof(Pattern));
        g_array_set_clear_func(rules->patterns, clear_pattern);
        while (span_next_line(&text, &line)) {
                int r = 0;

                number++;
                line = span_trim(line);
                if (line.size == 0 || line.bytes[0] == '#')
                        continue;
                if (line.bytes[0] == '[')
                        r = parse_rule(rules, line, number, f);
                else
                        r = parse_pattern(rules, line, number, f);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(rules);
        return 0;
}

unsigned noise_rules_length(const NoiseRules *rules)
{
        return rules->rules->len;
}

const char *noise_rule_name(const NoiseRules *rules, unsigned i)
{
        return g_array_index(rules->rules, Rule, i).name;
}

const char *noise_rule_reason(const NoiseRules *rules, unsigned i)
{
        return g_array_index(rules->rules, Rule, i).reason;
}
