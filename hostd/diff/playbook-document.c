/* SPDX-License-Identifier: MIT */
#include "diff/playbook-document.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX     12
#define PATH_SIZE_MAX 4096

static const char *const change_words[_CHANGE_MAX] = {
        [CHANGE_ADDED] = "added",       [CHANGE_REMOVED] = "removed",
        [CHANGE_MODIFIED] = "modified", [CHANGE_METADATA] = "metadata",
        [CHANGE_TYPE] = "type",
};

const char *change_kind_to_string(ChangeKind kind)
{
        return change_words[kind];
}

static const FileKind kinds[] = {KIND_FILE,  KIND_DIRECTORY, KIND_SYMLINK, KIND_CHAR,
                                 KIND_BLOCK, KIND_FIFO,      KIND_SOCKET};

static int no_document(const char *what, Fault *f)
{
        return fault_set(f, FAULT_INVALID_ARGUMENT, "the diff document is not as it should be: %s",
                         what);
}

static bool parse_change(const char *text, ChangeKind *ret)
{
        for (unsigned i = 0; i < _CHANGE_MAX; i++)
                if (strcmp(text, change_words[i]) == 0) {
                        *ret = (ChangeKind) i;
                        return true;
                }
        return false;
}

static bool parse_kind(const char *text, FileKind *ret)
{
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (strcmp(text, file_kind_to_string(kinds[i])) == 0) {
                        *ret = kinds[i];
                        return true;
                }
        return false;
}

/* Bytes in base64, as a string; NULL where they hold a NUL. */
static char *from_base64(const char *text, size_t max)
{
        size_t size = 0;
        g_autofree guchar *bytes = strlen(text) <= max * 2 ? g_base64_decode(text, &size) : NULL;

        if (!bytes || size > max || memchr(bytes, '\0', size))
                return NULL;
        return g_strndup((const char *) bytes, size);
}

static bool is_plain_path(const char *path)
{
        if (path[0] != '/')
                return false;
        if (path[1] == '\0')
                return true;
        for (const char *p = path; *p;) {
                size_t n = strcspn(++p, "/");
                if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                p += n;
        }
        return true;
}

static bool parse_sha256(const char *text, char *ret)
{
        if (strlen(text) != SHA256_HEX_SIZE - 1 ||
            strspn(text, "0123456789abcdef") != SHA256_HEX_SIZE - 1)
                return false;
        (void) g_strlcpy(ret, text, SHA256_HEX_SIZE);
        return true;
}

static bool parse_mode(Json *side, uint32_t *ret)
{
        const char *text;
        char *end;

        if (!json_find_string(side, "mode", &text) || strspn(text, "01234567") != strlen(text) ||
            !*text || strlen(text) > 5)
                return false;
        *ret = (uint32_t) g_ascii_strtoull(text, &end, 8);
        return *ret <= 07777;
}

static int parse_side(Json *change, const char *key, FileKind kind, FileSide *ret, Fault *f)
{
        const char *text;
        uint64_t uid, gid;
        Json *side;

        ret->kind = kind;
        if (!json_find_object(change, key, &side))
                return 0;
        if (!parse_mode(side, &ret->mode) || !json_find_uint(side, "uid", &uid) ||
            !json_find_uint(side, "gid", &gid) || uid > UINT32_MAX || gid > UINT32_MAX)
                return no_document("a change without mode or owner", f);
        ret->uid = (uint32_t) uid;
        ret->gid = (uint32_t) gid;
        (void) json_find_uint(side, "size", &ret->size);
        (void) json_find_string(side, "mtime", &ret->mtime);
        (void) json_find_object(side, "xattrs", &ret->xattrs);
        if (json_find_string(side, "kind", &text) && !parse_kind(text, &ret->kind))
                return no_document("an unknown kind of file", f);
        if (ret->kind == KIND_FILE && json_find_string(side, "sha256", &text) &&
            !parse_sha256(text, ret->sha256))
                return no_document("a file with a sum that is none", f);
        if (ret->kind == KIND_SYMLINK && (!json_find_string(side, "target_b64", &text) ||
                                          !(ret->target = from_base64(text, PATH_SIZE_MAX))))
                return no_document("a link without its target", f);
        ret->exists = true;
        return 0;
}

static void change_free(gpointer data)
{
        FileChange *change = data;

        g_free(change->path);
        g_free(change->old.target);
        g_free(change->new.target);
        if (change->units)
                g_ptr_array_unref(change->units);
        g_free(change);
}

static int parse_file(Json *object, GPtrArray *changes, Fault *f)
{
        FileChange *change = g_new0(FileChange, 1);
        const char *path, *text, *kind_text;
        uint64_t filesystem = 0;
        FileKind kind;

        g_ptr_array_add(changes, change);
        change->noise = change->package = NO_INDEX;
        if (!json_find_string(object, "path_b64", &path) ||
            !(change->path = from_base64(path, PATH_SIZE_MAX)) || !is_plain_path(change->path))
                return no_document("a change without a path", f);
        if (!json_find_string(object, "change", &text) || !parse_change(text, &change->change) ||
            !json_find_string(object, "kind", &kind_text) || !parse_kind(kind_text, &kind))
                return no_document("an unknown change", f);
        (void) json_find_uint(object, "filesystem", &filesystem);
        change->filesystem = (unsigned) MIN(filesystem, UINT32_MAX);
        int r = parse_side(object, "old", kind, &change->old, f);
        if (r == 0)
                r = parse_side(object, "new", kind, &change->new, f);
        if (r < 0)
                return r;
        if (change->old.exists != (change->change != CHANGE_ADDED) ||
            change->new.exists != (change->change != CHANGE_REMOVED))
                return no_document("a change with too many sides, or too few", f);
        return 0;
}

FileChange *playbook_document_change(const PlaybookDocument *document, size_t i)
{
        return document->changes->pdata[i];
}

static int compare_path(gconstpointer a, gconstpointer b)
{
        const FileChange *x = *(FileChange *const *) a, *y = *(FileChange *const *) b;

        return strcmp(x->path, y->path);
}

FileChange *playbook_document_find(const PlaybookDocument *document, const char *path)
{
        for (unsigned i = 0; i < document->changes->len; i++) {
                FileChange *change = document->changes->pdata[i];
                if (change->filesystem == 0 && strcmp(change->path, path) == 0)
                        return change;
        }
        return NULL;
}

/* Calls for every change whose index is in the element's "changes". */
typedef void (*Mark)(FileChange *change, Json *element, uint32_t index);

static void mark(const PlaybookDocument *document, Json *array, Mark set)
{
        size_t n = json_object_array_length(array);

        for (size_t i = 0; i < n; i++) {
                Json *element = json_object_array_get_idx(array, i), *indices;

                if (!json_find_array(element, "changes", &indices))
                        continue;
                for (size_t j = 0; j < json_object_array_length(indices); j++) {
                        Json *index = json_object_array_get_idx(indices, j);
                        if (!json_object_is_type(index, json_type_int) ||
                            json_object_get_int64(index) < 0 ||
                            json_object_get_uint64(index) >= document->changes->len)
                                continue;
                        set(document->changes->pdata[json_object_get_uint64(index)], element,
                            (uint32_t) i);
                }
        }
}

static void set_noise(FileChange *change, Json *element, uint32_t index)
{
        (void) element;
        change->noise = index;
}

static void set_package(FileChange *change, Json *element, uint32_t index)
{
        (void) element;
        change->package = index;
}

static void add_unit(FileChange *change, const char *name)
{
        if (!change->units)
                change->units = g_ptr_array_new();
        if (!g_ptr_array_find_with_equal_func(change->units, name, g_str_equal, NULL))
                g_ptr_array_add(change->units, (gpointer) name);
}

static void set_service(FileChange *change, Json *element, uint32_t index)
{
        const char *name;

        (void) index;
        if (json_find_string(element, "name", &name) &&
            playbook_member_is(element, "scope", "system"))
                add_unit(change, name);
}

static void set_configuration(FileChange *change, Json *element, uint32_t index)
{
        Json *names;

        (void) index;
        if (!json_find_array(element, "services", &names))
                return;
        for (size_t i = 0; i < json_object_array_length(names); i++) {
                Json *name = json_object_array_get_idx(names, i);
                if (json_object_is_type(name, json_type_string))
                        add_unit(change, json_object_get_string(name));
        }
}

static void mark_findings(const PlaybookDocument *document, Json *findings)
{
        for (size_t i = 0; i < json_object_array_length(findings); i++) {
                Json *finding = json_object_array_get_idx(findings, i);
                uint64_t index;

                if (!json_find_uint(finding, "index", &index) || index >= document->changes->len)
                        continue;
                FileChange *change = document->changes->pdata[index];
                change->is_secret |= playbook_member_is(finding, "kind", "secret");
                change->is_conffile |= playbook_member_is(finding, "kind", "conffile");
        }
}

static Json *array(const PlaybookDocument *document, const char *key)
{
        Json *ret = document->nothing;

        (void) json_find_array(document->root, key, &ret);
        return ret;
}

static int parse_changes(PlaybookDocument *document, Fault *f)
{
        Json *changes = array(document, "changes");
        size_t n = json_object_array_length(changes);

        if (n > PLAYBOOK_CHANGES_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "%zu changes are too many for a playbook; it takes %u", n,
                                 PLAYBOOK_CHANGES_MAX);
        for (size_t i = 0; i < n; i++) {
                int r = parse_file(json_object_array_get_idx(changes, i), document->changes, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_paths(const PlaybookDocument *document, Fault *f)
{
        g_autoptr(GPtrArray) sorted = g_ptr_array_copy(document->changes, NULL, NULL);

        g_ptr_array_set_free_func(sorted, NULL);
        g_ptr_array_sort(sorted, compare_path);
        for (unsigned i = 1; i < sorted->len; i++) {
                const FileChange *a = sorted->pdata[i - 1], *b = sorted->pdata[i];
                if (a->filesystem == b->filesystem && strcmp(a->path, b->path) == 0)
                        return no_document("a path that changed twice", f);
        }
        return 0;
}

int playbook_document_parse(const char *text, size_t size, PlaybookDocument **ret, Fault *f)
{
        g_autoptr(PlaybookDocument) document = g_new0(PlaybookDocument, 1);

        if (size > PLAYBOOK_DOCUMENT_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "the diff is too large for a playbook (%zu bytes; %u are taken)",
                                 size, PLAYBOOK_DOCUMENT_MAX);
        document->changes = g_ptr_array_new_with_free_func(change_free);
        document->nothing = json_object_new_array();
        int r = json_parse(text, size, DEPTH_MAX, &document->root, f);
        if (r < 0)
                return r;
        if (!json_find_string(document->root, "from", &document->from) ||
            !json_find_string(document->root, "to", &document->to))
                return no_document("no points", f);
        r = parse_changes(document, f);
        if (r == 0)
                r = check_paths(document, f);
        if (r < 0)
                return r;
        document->packages = array(document, "packages");
        document->services = array(document, "services");
        document->users = array(document, "users");
        document->groups = array(document, "groups");
        document->sources = array(document, "sources");
        document->noise = array(document, "noise");
        document->kernel_command_line = array(document, "kernel_command_line");
        document->not_read = array(document, "not_read");
        document->filesystems = array(document, "filesystems");
        mark(document, document->noise, set_noise);
        mark(document, document->packages, set_package);
        mark(document, document->services, set_service);
        mark(document, array(document, "service_configuration"), set_configuration);
        mark_findings(document, array(document, "findings"));
        *ret = TAKE_PTR(document);
        return 0;
}

PlaybookDocument *playbook_document_free(PlaybookDocument *document)
{
        if (!document)
                return NULL;
        if (document->changes)
                g_ptr_array_unref(document->changes);
        json_object_put(document->root);
        json_object_put(document->nothing);
        g_free(document);
        return NULL;
}

char *playbook_member(Json *object, const char *key)
{
        g_autoptr(GString) bytes = g_string_new(NULL);
        const char *text;

        if (!json_find_string(object, key, &text))
                return NULL;
        for (const char *p = text; *p; p++) {
                int high = 0, low = 0;

                if (p[0] == '\\' && p[1] == 'x') {
                        high = g_ascii_xdigit_value(p[2]);
                        low = high < 0 ? -1 : g_ascii_xdigit_value(p[3]);
                        if (high < 0 || low < 0 || high + low == 0)
                                return NULL;
                        g_string_append_c(bytes, (char) (high << 4 | low));
                        p += 3;
                } else {
                        g_string_append_c(bytes, *p);
                }
        }
        return g_strdup(bytes->str);
}

bool playbook_member_is(Json *object, const char *key, const char *word)
{
        const char *text;

        return json_find_string(object, key, &text) && strcmp(text, word) == 0;
}

int playbook_document_read(int fd, char **ret, size_t *ret_size, Fault *f)
{
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        uint8_t buffer[65536];
        ssize_t n;

        while ((n = pread(fd, buffer, sizeof(buffer), bytes->len)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot read the document");
                if (bytes->len + (size_t) n > PLAYBOOK_DOCUMENT_MAX)
                        return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                         "the diff is too large for a playbook");
                g_byte_array_append(bytes, buffer, (guint) n);
        }
        *ret_size = bytes->len;
        *ret = (char *) g_byte_array_free(TAKE_PTR(bytes), FALSE);
        return 0;
}
