/* SPDX-License-Identifier: MIT */

/* The files that the hook puts back. They are there for a host that is up: after a power cut the
 * daemon writes them anew before it has the first domain started, and a file that was lost or cut
 * leaves its sandbox mute. So each is replaced as a whole, and none waits for the disk: that would
 * cost fifty times what the change in the kernel does. */

#include "host/firewall-private.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SANDBOXES "sandboxes"
#define SUFFIX    ".nft"
#define HEADER    "# Written by fluid-hostd; read by its hook in libvirt. Changes here are lost.\n"

/* Most are: to replace thousands of files costs the host's file system seconds. */
static bool is_there(const char *path, const GString *text)
{
        g_autofree char *now = NULL;
        size_t size;

        return file_read(path, text->len, &now, &size, NULL) == 0 && size == text->len &&
               memcmp(now, text->str, size) == 0;
}

static int write_file(const char *path, const GString *text, Fault *f)
{
        if (is_there(path, text))
                return 0;

        g_autofree char *directory = g_path_get_dirname(path);
        g_autofree char *base = g_path_get_basename(path);
        g_autofree char *draft = g_strdup_printf("%s/.%s", directory, base);
        autofd fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : write_all(fd, text->str, text->len);

        if (r >= 0 && rename(draft, path) < 0)
                r = -errno;
        if (r >= 0)
                return 0;
        (void) unlink(draft);
        return fault_set_errno(f, FAULT_IO, r, "cannot write '%s'", path);
}

static char *sandbox_path(const Firewall *fw, const char *id)
{
        return g_strdup_printf("%s/" SANDBOXES "/%s" SUFFIX, fw->directory, id);
}

int files_write_sandbox(Firewall *fw, const Sandbox *s, Fault *f)
{
        g_autoptr(GString) text = g_string_new(HEADER);
        g_autofree char *path = sandbox_path(fw, s->id.text);

        compose_sandbox(s, NULL, text);
        return write_file(path, text, f);
}

int files_remove_sandbox(Firewall *fw, const char *id, Fault *f)
{
        g_autofree char *path = sandbox_path(fw, id);

        if (unlink(path) < 0 && errno != ENOENT)
                return fault_set_errno(f, FAULT_IO, errno, "cannot remove '%s'", path);
        return 0;
}

int files_write_tables(Firewall *fw, const Model *m, Fault *f)
{
        g_autoptr(GString) text = g_string_new(HEADER);
        g_autofree char *path = g_strdup_printf("%s/ruleset" SUFFIX, fw->directory);

        compose_tables(fw, m, text);
        g_string_append_printf(text, "\ninclude \"%s/" SANDBOXES "/*" SUFFIX "\"\n", fw->directory);
        return write_file(path, text, f);
}

static int remove_others(const char *directory, const Model *m, Fault *f)
{
        DIR *d = opendir(directory);

        if (!d)
                return fault_set_errno(f, FAULT_IO, errno, "cannot read '%s'", directory);
        for (const struct dirent *e; (e = readdir(d));) {
                g_autofree char *id = g_strndup(e->d_name, ID_LENGTH);
                bool is_ours = g_str_has_suffix(e->d_name, SUFFIX) &&
                               strlen(e->d_name) == ID_LENGTH + strlen(SUFFIX) &&
                               g_hash_table_contains(m->sandboxes, id);
                if (!is_ours && e->d_name[0] != '.')
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        }
        (void) closedir(d);
        return 0;
}

int files_write_all(Firewall *fw, const Model *m, Fault *f)
{
        g_autofree char *directory = g_strdup_printf("%s/" SANDBOXES, fw->directory);
        GHashTableIter i;
        gpointer s;
        int r;

        if ((r = make_directory(fw->directory, 0700, geteuid(), getegid(), f)) < 0 ||
            (r = make_directory(directory, 0700, geteuid(), getegid(), f)) < 0)
                return r;
        g_hash_table_iter_init(&i, m->sandboxes);
        while (g_hash_table_iter_next(&i, NULL, &s))
                if ((r = files_write_sandbox(fw, s, f)) < 0)
                        return r;
        if ((r = remove_others(directory, m, f)) < 0)
                return r;
        return files_write_tables(fw, m, f);
}
