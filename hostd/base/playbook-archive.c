/* SPDX-License-Identifier: MIT */
#include "base/playbook-archive.h"

#include "base/cleanup.h"
#include "base/escape.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PARTS_MAX 4 /* roles/ROLE/tasks/NAME */

int playbook_member_refuse(const char *name, const char *why, Fault *f)
{
        g_autofree char *text = escape_print(name, strlen(name));

        return fault_set(f, FAULT_INVALID_ARGUMENT, "the archive has '%.200s', %s", text, why);
}

/* -- names ------------------------------------------------------------------------------------- */

static bool is_name(const char *text)
{
        if (!g_ascii_isalnum(*text) || strlen(text) > PLAYBOOK_NAME_MAX)
                return false;
        for (const char *p = text; *p; p++)
                if (!g_ascii_isalnum(*p) && !strchr("._-", *p))
                        return false;
        return true;
}

static bool is_role_directory(const char *name)
{
        static const char *const known[] = {"tasks", "handlers", "defaults", "vars",
                                            "meta",  "files",    "templates"};

        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (g_str_equal(known[i], name))
                        return true;
        return false;
}

static bool is_top_file(const char *name)
{
        static const char *const known[] = {".yml", ".json", ".md", ".txt"};

        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (g_str_has_suffix(name, known[i]))
                        return is_name(name);
        return false;
}

/* Whether a playbook has a file, or a directory, whose name has these parts. */
static bool is_known(char *const *parts, bool is_directory)
{
        guint n = g_strv_length((char **) parts);

        if (n == 1 && !is_directory)
                return is_top_file(parts[0]);
        if (n < 1 || n > PARTS_MAX || !g_str_equal(parts[0], "roles"))
                return false;
        if ((n > 1 && !is_name(parts[1])) || (n > 2 && !is_role_directory(parts[2])))
                return false;
        return is_directory ? n < PARTS_MAX : n == PARTS_MAX && is_name(parts[3]);
}

int playbook_member_check(const ArchiveEntry *e, char ***ret_parts, Fault *f)
{
        bool is_directory = e->kind == ENTRY_DIRECTORY;
        g_autofree char *name = g_strdup(e->name);
        size_t length = strlen(name);

        if (e->kind != ENTRY_FILE && !is_directory)
                return playbook_member_refuse(name,
                                              "which is neither a regular file nor a directory", f);
        if (is_directory && length > 0 && name[length - 1] == '/')
                name[length - 1] = '\0';
        /* What is longer than any good name has is not cut apart. */
        if (length > (PARTS_MAX + 1) * PLAYBOOK_NAME_MAX)
                return playbook_member_refuse(name, "a name that is too long", f);
        g_auto(GStrv) parts = g_strsplit(name, "/", -1);
        if (!is_known(parts, is_directory))
                return playbook_member_refuse(name, "which no playbook has", f);
        *ret_parts = g_steal_pointer(&parts);
        return 0;
}

int playbook_archive_check_rest(int fd, Fault *f)
{
        char bytes[4096];
        ssize_t n;

        while ((n = read(fd, bytes, sizeof bytes)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot read the archive");
                for (ssize_t i = 0; i < n; i++)
                        if (bytes[i] != '\0')
                                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                                 "the archive goes on after its end");
        }
        return 0;
}

/* -- a whole one that somebody wrote ------------------------------------------------------------
 */

static int check_text(Archive *archive, const ArchiveEntry *e, Fault *f)
{
        g_autofree char *text = NULL;
        size_t size = 0;
        ssize_t n;

        if (e->size > PLAYBOOK_TEXT_MAX)
                return playbook_member_refuse(
                        e->name, "which is larger than 1 MiB: contents go below files/ of a role",
                        f);
        text = g_malloc(e->size + 1);
        while (size < e->size && (n = archive_read(archive, text + size, e->size - size, f)) != 0) {
                if (n < 0)
                        return (int) n;
                size += (size_t) n;
        }
        /* A NUL is no UTF-8 here. */
        if (size != e->size || !g_utf8_validate(text, (gssize) size, NULL))
                return playbook_member_refuse(e->name, "which is not UTF-8 text", f);
        return 0;
}

/* By its name without a '/' behind it. */
static int check_member(Archive *archive, const ArchiveEntry *e, GHashTable *names, Fault *f)
{
        g_auto(GStrv) parts = NULL;
        int r = playbook_member_check(e, &parts, f);

        if (r < 0)
                return r;
        bool is_content = g_strv_length(parts) > 2 && g_str_equal(parts[2], "files");
        if (!g_hash_table_add(names, g_strjoinv("/", parts)))
                return playbook_member_refuse(e->name, "twice", f);
        if (g_hash_table_size(names) > PLAYBOOK_FILES_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED, "the archive has more than %d files",
                                 PLAYBOOK_FILES_MAX);
        return e->kind == ENTRY_FILE && !is_content ? check_text(archive, e, f) : 0;
}

int playbook_archive_check(int fd, Fault *f)
{
        g_autoptr(Archive) archive = archive_new(fd);
        g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        uint64_t left = PLAYBOOK_BYTES_MAX;
        const ArchiveEntry *entry;
        int r;

        while ((r = archive_next(archive, &entry, f)) > 0) {
                if (entry->size > left)
                        return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                         "the archive is larger than %d GiB",
                                         (int) (PLAYBOOK_BYTES_MAX >> 30));
                left -= entry->size;
                r = check_member(archive, entry, names, f);
                if (r < 0)
                        return r;
        }
        if (r == 0)
                r = playbook_archive_check_rest(fd, f);
        if (r == 0 && !g_hash_table_contains(names, PLAYBOOK_MAIN_FILE))
                r = fault_set(f, FAULT_INVALID_ARGUMENT, "the archive has no " PLAYBOOK_MAIN_FILE);
        return r;
}
