/* SPDX-License-Identifier: MIT */
#include "diff/meaning.h"

#include "base/cleanup.h"
#include "diff/meaning-parts.h"

#include <string.h>

static void mark_noise(Meaning *m)
{
        g_auto(ChangeCursor) cursor = change_cursor(m->changes, 0);

        while (change_cursor_next(&cursor)) {
                int rule = noise_rules_match(m->rules, change_cursor_path(&cursor), &cursor.change);

                m->noise[cursor.index] = rule < 0 ? NOT_NOISE : (uint8_t) rule;
                m->n_unowned += rule < 0;
        }
}

static void write_noise_of(Meaning *m, unsigned rule, unsigned count)
{
        GString *out = section_open(m, SECTION_NOISE);
        bool first = true;

        if (!out)
                return;
        json_text_member(out, "rule", noise_rule_name(m->rules, rule));
        json_text_member(out, "reason", noise_rule_reason(m->rules, rule));
        json_text_member_uint(out, "count", count);
        json_text_key(out, "changes");
        g_string_append_c(out, '[');
        for (unsigned i = 0; i < m->n; i++) {
                if (m->noise[i] != rule)
                        continue;
                g_string_append_printf(out, "%s%u", first ? "" : ",", i);
                first = false;
        }
        g_string_append_c(out, ']');
        section_close(m, SECTION_NOISE);
}

static void write_noise(Meaning *m)
{
        unsigned counts[NOISE_RULES_MAX] = {0};

        for (unsigned i = 0; i < m->n; i++)
                if (m->noise[i] != NOT_NOISE)
                        counts[m->noise[i]]++;
        for (unsigned i = 0; i < noise_rules_length(m->rules); i++)
                if (counts[i] > 0)
                        write_noise_of(m, i, counts[i]);
}

static const char *const section_keys[_SECTION_MAX] = {
#define X(id, key, max) [SECTION_##id] = (key),
        SECTIONS(X)
#undef X
};

static void report_sections(Meaning *m)
{
        for (unsigned i = 0; i < _SECTION_MAX; i++) {
                Section *section = &m->sections[i];

                g_string_prepend_c(section->json, '[');
                g_string_append_c(section->json, ']');
                report_section(m->report, section_keys[i], section->json->str);
                if (section->left_out > 0) {
                        g_autofree char *reason = g_strdup_printf(
                                "%u more of '%s' are left out", section->left_out, section_keys[i]);
                        report_path_not_read(m->report, "/", 1, reason);
                }
        }
}

static void init(Meaning *m)
{
        m->noise = g_malloc0(m->n + 1);
        m->told = g_malloc0(m->n + 1);
        m->conffile = g_malloc0(m->n + 1);
        m->owner = g_new(uint32_t, m->n + 1);
        for (unsigned i = 0; i < m->n; i++)
                m->owner[i] = NO_OWNER;
        m->sentences = g_ptr_array_new_with_free_func(g_free);
        m->warnings = g_ptr_array_new();
        for (unsigned i = 0; i < _SECTION_MAX; i++)
                m->sections[i].json = g_string_new(NULL);
}

static void done(Meaning *m)
{
        meaning_packages_done(m);
        for (unsigned i = 0; i < _SECTION_MAX; i++)
                if (m->sections[i].json)
                        (void) g_string_free(m->sections[i].json, TRUE);
        if (m->sentences)
                g_ptr_array_unref(m->sentences);
        if (m->warnings)
                g_ptr_array_unref(m->warnings);
        g_free(m->noise);
        g_free(m->told);
        g_free(m->conffile);
        g_free(m->owner);
        (void) noise_rules_free(m->rules);
}

int meaning_report(const Tree *old, const Tree *new, Report *report, Fault *f)
{
        Meaning m = {
                .trees = {old, new},
                .report = report,
                .changes = report_changes(report),
        };

        m.n = change_list_length(m.changes);
        int r = noise_rules_parse(span_of(noise_rules_text), &m.rules, f);
        if (r < 0)
                return r;
        init(&m);
        if (m.n > 0) {
                mark_noise(&m);
                meaning_packages(&m);
                meaning_services(&m);
                meaning_accounts(&m);
                meaning_settings(&m);
                meaning_cron(&m);
                meaning_sources(&m);
                meaning_findings(&m);
                write_noise(&m);
                meaning_summary(&m);
        }
        for (unsigned i = 0; i < m.sentences->len; i++)
                report_summary(report, m.sentences->pdata[i]);
        report_sections(&m);
        done(&m);
        return 0;
}
