/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/digest.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "dbus/ctl/print.h"

#include <inttypes.h>
#include <string.h>

/* What stands in `folds`: two bits of Fold, and the element of the section. */
#define FOLD_BITS         2
#define FOLDS_MAX         (UINT64_C(1) << 24)
#define ELEMENT_OF(value) ((value) >> FOLD_BITS)

static const char *const members[_SECTION_ID_MAX] = {
#define X(id, member) [SECTION_##id] = (member),
        SECTIONS(X)
#undef X
};

static int find_section(const char *member)
{
        for (int i = 0; i < _SECTION_ID_MAX; i++)
                if (g_str_equal(members[i], member))
                        return i;
        return -1;
}

static SectionId section_of(Fold fold)
{
        return fold == FOLD_PACKAGE ? SECTION_PACKAGES : SECTION_NOISE;
}

static void set_fold(Digest *d, Fold fold, uint64_t element, uint64_t index)
{
        uint32_t value = (uint32_t) element << FOLD_BITS | fold;

        if (index >= FOLDS_MAX || element >= FOLDS_MAX)
                return;
        if (index >= d->folds->len)
                g_array_set_size(d->folds, (guint) index + 1);
        uint32_t *place = &g_array_index(d->folds, uint32_t, index);
        if (*place == 0) {
                *place = value;
                d->n_folded[fold]++;
        }
}

/* Takes the numbers of changes out of an element: they may be very many. */
static void take_folds(Digest *d, Fold fold, uint64_t element, Json *json)
{
        Json *changes;

        if (!json_find_array(json, "changes", &changes))
                return;
        for (size_t i = 0; i < json_object_array_length(changes); i++) {
                Json *number = json_object_array_get_idx(changes, i);
                set_fold(d, fold, element, json_object_get_uint64(number));
        }
        json_object_object_del(json, "changes");
}

static bool is_worse(Json *finding, Json *than)
{
        return !than || g_str_equal(json_text(finding, "severity"), "warning");
}

static void take_mark(Digest *d, Json *finding)
{
        uint64_t index;

        if (!json_find_uint(finding, "index", &index))
                return;
        if (is_worse(finding, digest_mark(d, index)))
                g_hash_table_insert(d->marks, g_memdup2(&index, sizeof index), finding);
}

static void note_paths(Digest *d, Json *element)
{
        Json *changes;

        if (!json_find_array(element, "changes", &changes))
                return;
        for (size_t i = 0; i < json_object_array_length(changes); i++) {
                uint64_t n = json_object_get_uint64(json_object_array_get_idx(changes, i));
                g_hash_table_insert(d->paths, g_memdup2(&n, sizeof n), g_strdup(""));
        }
}

static int take_element(Digest *d, SectionId id, const DocumentPart *part, Fault *f)
{
        Section *section = d->sections + id;
        g_autoptr(Json) json = NULL;

        int r = document_parse(part, &json, f);
        if (r < 0)
                return r;
        section->total++;
        if (id == SECTION_PACKAGES)
                take_folds(d, FOLD_PACKAGE, part->index, json);
        else if (id == SECTION_NOISE)
                take_folds(d, FOLD_NOISE, part->index, json);
        if (section->total > SECTION_MAX)
                return 0;
        if (id == SECTION_FINDINGS)
                take_mark(d, json);
        else if (id == SECTION_SERVICE_CONFIGURATION)
                note_paths(d, json);
        (void) json_object_array_add(section->elements, TAKE_PTR(json));
        return 0;
}

static int take_change(Digest *d, const DocumentPart *part, Fault *f)
{
        g_auto(Change) change = {0};

        int r = change_parse(part, &change, f);
        if (r < 0)
                return r;
        d->counts.by_kind[change.kind]++;
        d->n_changes++;
        return 0;
}

static int take_text(char **ret, const DocumentPart *part, Fault *f)
{
        g_autoptr(Json) json = NULL;

        int r = document_parse(part, &json, f);
        if (r < 0)
                return r;
        g_free(*ret);
        *ret = g_strdup(json_object_is_type(json, json_type_string) ? json_object_get_string(json)
                                                                    : "");
        return 0;
}

static int on_part(const DocumentPart *part, void *userdata, Fault *f)
{
        int section = find_section(part->member);
        Digest *d = userdata;

        if (part->is_end)
                return 0;
        if (part->in_array && g_str_equal(part->member, "changes"))
                return take_change(d, part, f);
        if (part->in_array && section >= 0)
                return take_element(d, (SectionId) section, part, f);
        if (g_str_equal(part->member, "from"))
                return take_text(&d->from, part, f);
        if (g_str_equal(part->member, "to"))
                return take_text(&d->to, part, f);
        if (g_str_equal(part->member, "contents_truncated"))
                d->contents_truncated = part->size == 4; /* true */
        return 0;
}

Digest *digest_new(int fd, Fault *f)
{
        g_autoptr(Digest) d = g_new0(Digest, 1);
        const DocumentReader reader = {.each = on_part, .userdata = d};

        d->from = g_strdup("");
        d->to = g_strdup("");
        for (unsigned i = 0; i < _SECTION_ID_MAX; i++)
                d->sections[i].elements = json_object_new_array();
        d->folds = g_array_new(FALSE, TRUE, sizeof(uint32_t));
        d->marks = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        d->paths = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
        int r = document_rewind(fd, f);
        if (r >= 0)
                r = document_read(fd, &reader, f);
        return r < 0 ? NULL : TAKE_PTR(d);
}

Digest *digest_free(Digest *d)
{
        if (!d)
                return NULL;
        for (unsigned i = 0; i < _SECTION_ID_MAX; i++)
                json_object_put(d->sections[i].elements);
        g_array_free(d->folds, TRUE);
        g_hash_table_unref(d->marks);
        g_hash_table_unref(d->paths);
        g_free(d->from);
        g_free(d->to);
        g_free(d);
        return NULL;
}

Fold digest_fold(const Digest *d, uint64_t index, Json **ret_element)
{
        uint32_t value = index < d->folds->len ? g_array_index(d->folds, uint32_t, index) : 0;
        Fold fold = value & ((1U << FOLD_BITS) - 1);

        if (ret_element)
                *ret_element =
                        fold == FOLD_NONE
                                ? NULL
                                : json_object_array_get_idx(d->sections[section_of(fold)].elements,
                                                            ELEMENT_OF(value));
        return fold;
}

Json *digest_mark(const Digest *d, uint64_t index)
{
        return g_hash_table_lookup(d->marks, &index);
}

bool digest_has_differences(const Digest *d)
{
        return d->n_changes > 0 || d->sections[SECTION_DISKS].total > 0 ||
               d->sections[SECTION_NOT_READ].total > 0;
}

void digest_keep_path(Digest *d, const Change *c)
{
        if (g_hash_table_contains(d->paths, &c->index))
                g_hash_table_insert(d->paths, g_memdup2(&c->index, sizeof c->index),
                                    escape_print(c->path, c->path_size));
}

const char *digest_path(const Digest *d, uint64_t index)
{
        const char *path = g_hash_table_lookup(d->paths, &index);

        return path && *path ? path : NULL;
}

static void add_detail(GString *out, unsigned *n, const char *before, const char *text)
{
        if (*text)
                g_string_append_printf(out, "%s%s%s", (*n)++ > 0 ? ", " : " (", before, text);
}

char *filesystem_format(Json *fs)
{
        GString *out = g_string_new(json_text(fs, "disk"));
        uint64_t partition = json_number(fs, "partition");
        unsigned n = 0;

        if (partition > 0)
                g_string_append_printf(out, "%" PRIu64, partition);
        add_detail(out, &n, "volume ", json_text(fs, "volume"));
        add_detail(out, &n, "", json_text(fs, "type"));
        add_detail(out, &n, "label ", json_text(fs, "label"));
        g_string_append(out, n > 0 ? ")" : "");
        if (*json_text(fs, "mounted_at"))
                g_string_append_printf(out, " on %s", json_text(fs, "mounted_at"));
        return g_string_free(out, FALSE);
}
