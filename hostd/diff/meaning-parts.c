/* SPDX-License-Identifier: MIT */
#include "diff/meaning-parts.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <errno.h>
#include <string.h>

/* Bytes of guests' strings in one sentence. */
#define SENTENCE_SIZE_MAX 400

static const unsigned section_max[_SECTION_MAX] = {
#define X(id, key, max) [SECTION_##id] = (max),
        SECTIONS(X)
#undef X
};

int meaning_lookup(const Meaning *m, int side, const char *path, bool follow, MeaningFile *ret,
                   Fault *f)
{
        return tree_find(m->trees[side], path, follow, &ret->fs, &ret->file, f);
}

static int read_file(const Meaning *m, int side, const char *path, size_t max, char **ret_bytes,
                     size_t *ret_size, Fault *f)
{
        g_autoptr(Content) content = NULL;
        MeaningFile found = {0};

        int r = meaning_lookup(m, side, path, true, &found, f);
        if (r == 0)
                r = lookup_open(found.fs, &found.file, &content, f);
        if (r < 0)
                return r;
        uint64_t size = content_size(content);
        if (size > max)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "it has %" G_GUINT64_FORMAT " bytes; at most %zu are read", size,
                                 max);
        return content_load(content, ret_bytes, ret_size, f);
}

bool meaning_read(Meaning *m, int side, const char *path, size_t max, char **ret_bytes, Span *ret)
{
        Fault fault = {0};
        size_t size = 0;

        *ret_bytes = NULL;
        *ret = (Span){"", 0};
        int r = read_file(m, side, path, max, ret_bytes, &size, &fault);
        if (r == 0) {
                *ret = (Span){*ret_bytes, size};
                return true;
        }
        if (fault.code == FAULT_NOT_FOUND)
                return false;
        report_path_not_read(m->report, path, strlen(path), fault.message);
        m->n_unreadable++;
        return false;
}

bool meaning_read_both(Meaning *m, const char *path, Pair *ret)
{
        unsigned before = m->n_unreadable;

        (void) meaning_read(m, SIDE_OLD, path, CONFIGURATION_SIZE_MAX, &ret->bytes[SIDE_OLD],
                            &ret->old);
        (void) meaning_read(m, SIDE_NEW, path, CONFIGURATION_SIZE_MAX, &ret->bytes[SIDE_NEW],
                            &ret->new);
        return m->n_unreadable == before;
}

void pair_done(Pair *pair)
{
        g_free(pair->bytes[SIDE_OLD]);
        g_free(pair->bytes[SIDE_NEW]);
}

Directory *meaning_list(Meaning *m, int side, const char *path, Filesystem **ret_fs)
{
        Directory *directory = NULL;
        MeaningFile found = {0};
        Fault fault = {0};

        int r = meaning_lookup(m, side, path, true, &found, &fault);
        if (r == 0 && found.file.attributes.kind != KIND_DIRECTORY)
                return NULL;
        if (r == 0)
                r = filesystem_read_directory(found.fs, found.file.ino, &directory, &fault);
        if (r == 0 && ret_fs)
                *ret_fs = found.fs;
        if (r < 0 && fault.code != FAULT_NOT_FOUND)
                report_path_not_read(m->report, path, strlen(path), fault.message);
        return r < 0 ? NULL : directory;
}

bool meaning_changed(const Meaning *m, const char *path)
{
        unsigned i;

        return change_list_find(m->changes, span_of(path), &i);
}

bool meaning_changed_within(const Meaning *m, const char *directory)
{
        Span path = span_of(directory);

        for (unsigned i = 0; i < change_list_segments(m->changes); i++) {
                g_auto(ChangeCursor) cursor =
                        change_cursor(m->changes, change_list_seek(m->changes, i, path));

                if (cursor.next < change_list_segment_end(m->changes, i) &&
                    change_cursor_next(&cursor) &&
                    path_is_within(change_cursor_path(&cursor), path))
                        return true;
        }
        return false;
}

void meaning_foreach_within(Meaning *m, const char *directory, MeaningEach each, void *data)
{
        Span path = span_of(directory);

        for (unsigned i = 0; i < change_list_segments(m->changes); i++) {
                g_auto(ChangeCursor) cursor =
                        change_cursor(m->changes, change_list_seek(m->changes, i, path));

                while (cursor.next < change_list_segment_end(m->changes, i) &&
                       change_cursor_next(&cursor) &&
                       path_is_within(change_cursor_path(&cursor), path))
                        each(m, &cursor, data);
        }
}

void meaning_tell(Meaning *m, unsigned change)
{
        m->told[change] = 1;
}

void meaning_tell_path(Meaning *m, const char *path)
{
        unsigned i;

        if (change_list_find(m->changes, span_of(path), &i))
                meaning_tell(m, i);
}

GString *section_open(Meaning *m, SectionId id)
{
        Section *section = &m->sections[id];

        if (section->length >= section_max[id]) {
                section->left_out++;
                return NULL;
        }
        g_string_append(section->json, section->length++ > 0 ? ",\n{" : "\n{");
        return section->json;
}

void section_close(Meaning *m, SectionId id)
{
        g_string_append_c(m->sections[id].json, '}');
}

void meaning_say(Meaning *m, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        g_autofree char *text = g_strdup_vprintf(format, args);
        va_end(args);
        size_t size = strlen(text);
        g_autofree char *escaped = escape_print(text, MIN(size, SENTENCE_SIZE_MAX));
        g_ptr_array_add(m->sentences, size > SENTENCE_SIZE_MAX ? g_strconcat(escaped, "...", NULL)
                                                               : TAKE_PTR(escaped));
}

void meaning_find(Meaning *m, const Finding *finding)
{
        static const char *const severities[] = {"info", "notice", "warning"};
        GString *out = section_open(m, SECTION_FINDINGS);

        if (finding->severity == SEVERITY_WARNING)
                g_ptr_array_add(m->warnings, (void *) finding->kind);
        if (!out)
                return;
        json_text_member(out, "kind", finding->kind);
        json_text_member(out, "severity", severities[finding->severity]);
        if (finding->path.size > 0) {
                json_text_key(out, "path");
                json_text_printable(out, finding->path.bytes, finding->path.size);
                json_text_key(out, "path_b64");
                json_text_base64(out, finding->path.bytes, finding->path.size);
        }
        if (finding->line > 0)
                json_text_member_uint(out, "line", finding->line);
        if (finding->package)
                json_text_member(out, "package", finding->package);
        json_text_member(out, "text", finding->text);
        if (finding->change >= 0)
                json_text_member_uint(out, "index", (uint64_t) finding->change);
        section_close(m, SECTION_FINDINGS);
}

const Owner *meaning_owner(const Meaning *m, unsigned change)
{
        return m->owner[change] == NO_OWNER ? NULL : m->owners->pdata[m->owner[change]];
}

const Package *owner_package(const Owner *owner)
{
        g_assert(owner->old || owner->new);
        return owner->new ? owner->new : owner->old;
}

const char *owner_name(const Owner *owner)
{
        return owner_package(owner)->name;
}
