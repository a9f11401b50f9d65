/* SPDX-License-Identifier: MIT */
#include "diff/meaning-parts.h"

#include "base/cleanup.h"
#include "diff/line-changes.h"
#include "diff/secret.h"

#include <string.h>

/* Larger files are looked at in their first bytes. */
#define SCAN_SIZE_MAX (1 << 20)

#define FIRST_SIZE 8192

/* The directory that changes are in, kept while they come in order: its entries are looked up once,
 * not once for each. Only for what is mounted on the root. */
typedef struct Walk {
        Meaning *m;
        GString *path[2];
        Filesystem *fs[2]; /* that the directories are on */
        Directory *directory[2];
} Walk;

static void add(Meaning *m, const ChangeCursor *cursor, const char *kind, Severity severity,
                unsigned line, const char *text)
{
        const Owner *owner = meaning_owner(m, cursor->index);

        meaning_find(m, &(Finding){.kind = kind,
                                   .severity = severity,
                                   .path = change_cursor_path(cursor),
                                   .line = line,
                                   .package = owner ? owner_name(owner) : NULL,
                                   .change = cursor->index,
                                   .text = text});
}

/* -- modes and the like ----------------------------------------------------------------------- */

/* What a package brings is less of a surprise. */
static Severity severity_of(Meaning *m, const ChangeCursor *cursor)
{
        return meaning_owner(m, cursor->index) ? SEVERITY_NOTICE : SEVERITY_WARNING;
}

static void find_mode(Meaning *m, const ChangeCursor *cursor)
{
        const Change *c = &cursor->change;
        bool is_file = c->kind == KIND_FILE;
        uint32_t appeared = c->change == CHANGE_TYPE ? c->new_mode : c->new_mode & ~c->old_mode;
        bool runs = c->new_mode & 0111;
        g_autofree char *text = NULL;

        if (is_file && runs && (c->new_mode & 04000) &&
            ((appeared & 04111) || c->old_uid != c->new_uid || c->change == CHANGE_MODIFIED)) {
                text = g_strdup_printf(
                        "a program that runs as uid %u whoever starts it (mode %04o)%s", c->new_uid,
                        c->new_mode, c->change == CHANGE_MODIFIED ? " was changed" : "");
                add(m, cursor, "setuid", severity_of(m, cursor), 0, text);
        }
        if (is_file && (c->new_mode & 02010) == 02010 && (appeared & 02010)) {
                g_free(text);
                text = g_strdup_printf(
                        "a program that runs with gid %u whoever starts it (mode %04o)", c->new_gid,
                        c->new_mode);
                add(m, cursor, "setgid", SEVERITY_NOTICE, 0, text);
        }
        if (c->new_capability && (!c->old_capability || c->change != CHANGE_ADDED)) {
                add(m, cursor, "capability", severity_of(m, cursor), 0,
                    "a program that has capabilities whoever starts it");
        }
        if ((appeared & 0002) &&
            ((is_file) || (c->kind == KIND_DIRECTORY && !(c->new_mode & 01000)))) {
                g_free(text);
                text = g_strdup_printf("everybody may write to it (mode %04o)", c->new_mode);
                add(m, cursor, "world-writable", SEVERITY_WARNING, 0, text);
        }
        if ((c->kind == KIND_BLOCK || c->kind == KIND_CHAR) && c->change != CHANGE_METADATA &&
            !path_is_within(change_cursor_path(cursor), span_of("/dev")))
                add(m, cursor, "device", SEVERITY_WARNING, 0, "a device node outside of /dev");
}

/* Programs whose names are hidden, where nobody looks. */
static void find_hidden(Meaning *m, const ChangeCursor *cursor)
{
        static const char *const places[] = {"/tmp", "/var/tmp", "/dev",     "/usr",
                                             "/etc", "/opt",     "/var/lib", "/srv"};
        const Change *c = &cursor->change;
        Span path = change_cursor_path(cursor);

        if (c->change != CHANGE_ADDED || c->kind != KIND_FILE || !(c->new_mode & 0111) ||
            !span_starts_with(span_basename(path), ".") || meaning_owner(m, cursor->index))
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
                if (path_is_within(path, span_of(places[i])))
                        add(m, cursor, "hidden-program", SEVERITY_WARNING, 0,
                            "a program with a hidden name");
}

/* -- what files hold -------------------------------------------------------------------------- */

static void load_directory(Walk *walk, int side, Span path)
{
        GString *known = walk->path[side];
        MeaningFile found = {0};

        if (known->len > 0 && span_equal((Span){known->str, known->len}, path))
                return;
        walk->directory[side] = directory_free(walk->directory[side]);
        g_string_truncate(known, 0);
        g_string_append_len(known, path.bytes, (gssize) path.size);
        if (meaning_lookup(walk->m, side, known->str, false, &found, NULL) < 0 ||
            found.file.attributes.kind != KIND_DIRECTORY)
                return;
        walk->fs[side] = found.fs;
        (void) filesystem_read_directory(found.fs, found.file.ino, &walk->directory[side], NULL);
}

/* Of what is on the root the inode is known, and the root is open. */
static bool find_file(Walk *walk, int side, const ChangeCursor *cursor, Filesystem **ret_fs,
                      LookupFile *ret)
{
        const Change *change = &cursor->change;
        uint32_t ino = side == SIDE_OLD ? change->old_ino : change->new_ino;
        Span path = change_cursor_path(cursor), name = span_basename(path);
        const Entry *entry = NULL;

        *ret_fs = walk->m->trees[side]->storage->root->fs;
        if (change->filesystem > 0 || ino == 0) {
                load_directory(walk, side, span_dirname(path));
                *ret_fs = walk->fs[side];
                if (walk->directory[side])
                        entry = directory_find(walk->directory[side], name.bytes, name.size);
                ino = entry ? entry->inode : 0;
        }
        return ino > 0 && lookup_inode(*ret_fs, ino, ret, NULL) == 0;
}

/* The file's text, or its first bytes; false where it is no text. */
static bool read_text(Walk *walk, int side, const ChangeCursor *cursor, char **ret, Span *ret_text)
{
        Filesystem *fs;
        g_autoptr(Content) content = NULL;
        g_autofree char *bytes = NULL;
        LookupFile file;

        if (!find_file(walk, side, cursor, &fs, &file) || file.attributes.kind != KIND_FILE ||
            lookup_open(fs, &file, &content, NULL) < 0)
                return false;
        size_t size = (size_t) MIN(content_size(content), SCAN_SIZE_MAX);
        size_t first = MIN(size, FIRST_SIZE);
        bytes = g_malloc(first + 1);
        if (content_read(content, 0, bytes, first, NULL) < 0 ||
            !secret_is_text((Span){bytes, first}))
                return false;
        if (size > first) {
                bytes = g_realloc(bytes, size + 1);
                if (content_read(content, first, bytes + first, size - first, NULL) < 0)
                        return false;
        }
        *ret = TAKE_PTR(bytes);
        *ret_text = (Span){*ret, size};
        return true;
}

static bool holds_secret(Span text, const GArray *secrets, Span wanted)
{
        for (unsigned i = 0; i < secrets->len; i++) {
                const Secret *secret = &g_array_index(secrets, Secret, i);

                if (span_equal((Span){text.bytes + secret->offset, secret->size}, wanted))
                        return true;
        }
        return false;
}

/* A private key's first line is always the same: it is new where the text behind it is. */
static size_t identity_size(Span text, const Secret *secret)
{
        if (strcmp(secret->kind, "private key") != 0)
                return secret->size;
        return MIN(secret->size + 200, text.size - secret->offset);
}

static bool is_new_secret(Span text, const Secret *secret, Span old, const GArray *old_secrets)
{
        size_t size = identity_size(text, secret);
        Span wanted = {text.bytes + secret->offset, size};

        if (size == secret->size)
                return !holds_secret(old, old_secrets, wanted);
        return old.size < size || !memmem(old.bytes, old.size, wanted.bytes, wanted.size);
}

static void find_secrets(Walk *walk, const ChangeCursor *cursor)
{
        g_autofree char *bytes = NULL, *old_bytes = NULL;
        Span path = change_cursor_path(cursor), text, old = {"", 0};

        if (cursor->change.kind != KIND_FILE || cursor->change.change == CHANGE_REMOVED ||
            cursor->change.change == CHANGE_METADATA || !span_starts_with(path, "/") ||
            !read_text(walk, SIDE_NEW, cursor, &bytes, &text))
                return;
        g_autoptr(GArray) secrets = secrets_find(text);
        if (secrets->len == 0)
                return;
        if (cursor->change.change == CHANGE_MODIFIED)
                (void) read_text(walk, SIDE_OLD, cursor, &old_bytes, &old);
        g_autoptr(GArray) old_secrets = secrets_find(old);
        for (unsigned i = 0; i < secrets->len; i++) {
                const Secret *secret = &g_array_index(secrets, Secret, i);

                if (!is_new_secret(text, secret, old, old_secrets))
                        continue;
                g_autofree char *words = g_strdup_printf("a secret appeared: %s (line %u)",
                                                         secret->kind, secret->line);
                add(walk->m, cursor, "secret", severity_of(walk->m, cursor), secret->line, words);
        }
}

/* -- files that decide who gets in ------------------------------------------------------------ */

static void find_lines(Walk *walk, const ChangeCursor *cursor, const char *kind, Severity severity,
                       const char *what)
{
        g_autofree char *bytes = NULL, *old_bytes = NULL;
        Span text = {"", 0}, old = {"", 0};

        (void) read_text(walk, SIDE_NEW, cursor, &bytes, &text);
        (void) read_text(walk, SIDE_OLD, cursor, &old_bytes, &old);
        g_autoptr(GArray) lines = line_changes(old, text, line_is_no_comment);
        for (unsigned i = 0; i < lines->len && i < 100; i++) {
                const LineChange *line = &g_array_index(lines, LineChange, i);
                g_autofree char *words =
                        g_strdup_printf("%s was %s", what, line->added ? "added" : "removed");

                add(walk->m, cursor, kind, line->added ? severity : SEVERITY_INFO, line->number,
                    words);
        }
}

static bool is_authorized_keys(Span path)
{
        return span_ends_with(path, "/.ssh/authorized_keys") ||
               span_ends_with(path, "/.ssh/authorized_keys2");
}

static void find_access(Walk *walk, const ChangeCursor *cursor)
{
        Span path = change_cursor_path(cursor);
        g_autofree char *name = NULL;

        if (cursor->change.kind == KIND_DIRECTORY || cursor->change.change == CHANGE_METADATA ||
            !span_starts_with(path, "/"))
                return;
        if (is_authorized_keys(path)) {
                find_lines(walk, cursor, "authorized-keys", SEVERITY_WARNING,
                           "a key that lets in without a password");
                name = span_dup(path);
                meaning_say(walk->m, "keys that let in over SSH changed: %s", name);
                meaning_tell(walk->m, cursor->index);
        } else if (span_is(path, "/etc/ld.so.preload")) {
                find_lines(walk, cursor, "ld-preload", SEVERITY_WARNING,
                           "a library that is loaded into every program");
                meaning_say(walk->m, "libraries that are loaded into every program changed: %s",
                            "/etc/ld.so.preload");
                meaning_tell(walk->m, cursor->index);
        } else if ((path_is_within(path, span_of("/etc/pam.d")) ||
                    span_is(path, "/etc/pam.conf")) &&
                   !meaning_owner(walk->m, cursor->index)) {
                add(walk->m, cursor, "pam", SEVERITY_WARNING, 0,
                    "how users prove who they are changed");
                name = span_dup(path);
                meaning_say(walk->m, "how users prove who they are (PAM) changed: %s", name);
                meaning_tell(walk->m, cursor->index);
        }
}

void meaning_findings(Meaning *m)
{
        Walk walk = {.m = m, .path = {g_string_new(NULL), g_string_new(NULL)}};
        g_auto(ChangeCursor) cursor = change_cursor(m->changes, 0);

        while (change_cursor_next(&cursor)) {
                if (cursor.change.change != CHANGE_REMOVED) {
                        find_mode(m, &cursor);
                        find_hidden(m, &cursor);
                }
                find_access(&walk, &cursor);
                find_secrets(&walk, &cursor);
        }
        for (unsigned i = 0; i < 2; i++) {
                (void) g_string_free(walk.path[i], TRUE);
                (void) directory_free(walk.directory[i]);
        }
}
