/* SPDX-License-Identifier: MIT */
#include "diff/package-source.h"

#include "base/cleanup.h"
#include "diff/deb822.h"
#include "diff/secret.h"

#include <string.h>

#define TEXT_SIZE_MAX 500

static void free_source(void *data)
{
        PackageSource *source = data;

        g_free(source->text);
        g_free(source);
}

static GPtrArray *list_new(void)
{
        return g_ptr_array_new_with_free_func(free_source);
}

static void add(GPtrArray *list, Span text, bool enabled)
{
        PackageSource *source;

        if (list->len >= SOURCES_MAX)
                return;
        source = g_new0(PackageSource, 1);
        source->text = secret_redact((Span){text.bytes, MIN(text.size, TEXT_SIZE_MAX)});
        source->enabled = enabled;
        g_ptr_array_add(list, source);
}

GPtrArray *sources_parse_list(Span text)
{
        GPtrArray *list = list_new();
        Span line, word, rest;

        while (span_next_line(&text, &line)) {
                line = span_trim(line);
                rest = line;
                if (span_next_word(&rest, &word) &&
                    (span_is(word, "deb") || span_is(word, "deb-src")))
                        add(list, line, true);
        }
        return list;
}

/* A value on one line: its words, with one blank between. */
static void append_words(GString *out, Span value)
{
        Span line, word;

        while (span_next_line(&value, &line))
                while (span_next_word(&line, &word)) {
                        if (out->len > 0)
                                g_string_append_c(out, ' ');
                        g_string_append_len(out, word.bytes,
                                            (gssize) MIN(word.size, TEXT_SIZE_MAX));
                        if (out->len > 2 * TEXT_SIZE_MAX)
                                return;
                }
}

GPtrArray *sources_parse_deb822(Span text)
{
        static const char *const fields[] = {"Types", "URIs", "Suites", "Components"};
        GPtrArray *list = list_new();
        Span stanza, value;

        while (list->len < SOURCES_MAX && deb822_next_stanza(&text, &stanza)) {
                g_autoptr(GString) out = g_string_new(NULL);
                bool enabled = true;

                for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
                        if (deb822_find(stanza, fields[i], &value))
                                append_words(out, value);
                if (deb822_find(stanza, "Trusted", &value) && span_is(value, "yes"))
                        g_string_append(out, " [trusted]");
                if (deb822_find(stanza, "Enabled", &value))
                        enabled = !span_is(value, "no");
                if (out->len > 0)
                        add(list, (Span){out->str, out->len}, enabled);
        }
        return list;
}

typedef struct Repo {
        Span id, url;
        bool enabled, checked;
} Repo;

static void add_repo(GPtrArray *list, const Repo *repo)
{
        g_autoptr(GString) out = g_string_new(NULL);

        if (repo->id.size == 0)
                return;
        g_string_append_len(out, repo->id.bytes, (gssize) MIN(repo->id.size, 100));
        g_string_append_c(out, ' ');
        g_string_append_len(out, repo->url.bytes, (gssize) MIN(repo->url.size, TEXT_SIZE_MAX));
        if (!repo->checked)
                g_string_append(out, " (signatures not checked)");
        add(list, (Span){out->str, out->len}, repo->enabled);
}

static bool is_no(Span value)
{
        return span_is(value, "0") || span_is(value, "no") || span_is(value, "false") ||
               span_is(value, "False");
}

GPtrArray *sources_parse_repo(Span text)
{
        GPtrArray *list = list_new();
        Repo repo = {.id = {"", 0}};
        Span line, name;

        while (span_next_line(&text, &line)) {
                line = span_trim(line);
                if (line.size == 0 || strchr("#;", line.bytes[0]))
                        continue;
                if (line.bytes[0] == '[' && span_ends_with(line, "]")) {
                        add_repo(list, &repo);
                        repo = (Repo){{line.bytes + 1, line.size - 2}, {"", 0}, true, true};
                        continue;
                }
                if (!span_has(line, '=') || !span_next_part(&line, '=', &name))
                        continue;
                name = span_trim(name);
                line = span_trim(line);
                if (span_is(name, "baseurl") || span_is(name, "metalink") ||
                    span_is(name, "mirrorlist"))
                        repo.url = line;
                else if (span_is(name, "enabled"))
                        repo.enabled = !is_no(line);
                else if (span_is(name, "gpgcheck"))
                        repo.checked = !is_no(line);
        }
        add_repo(list, &repo);
        return list;
}
