/* SPDX-License-Identifier: MIT */

/* Playbooks: what they are, who sees them, and their files. */

#include "core/playbook-private.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- what it is -------------------------------------------------------------------------------- */

const PlaybookRow *playbook_row(const Playbook *p)
{
        return p->row;
}

Playbook *playbook_by_id(const Manager *m, const char *id)
{
        return g_hash_table_lookup(m->objects[OBJECT_PLAYBOOK], id);
}

bool playbook_is_written(const Playbook *p)
{
        return g_str_equal(p->row->origin, PLAYBOOK_WRITTEN);
}

bool playbook_is_visible(const Playbook *p, const Caller *caller)
{
        return caller_is_admin(caller) || caller->is_approver || p->row->owner_uid == caller->uid;
}

char *playbook_bus_path(const char *id)
{
        return g_strdup_printf("/sh/fluid/Host1/playbook/%s", id);
}

static bool is_settled(const char *wanted, void *object)
{
        (void) wanted;
        return !((const Playbook *) object)->verification;
}

int playbook_wait(Playbook *p, uint64_t timeout_usec, OperationDone done, void *userdata, Fault *f)
{
        return wait_add(&p->waiters, p->manager->event, "", timeout_usec, is_settled, p, done,
                        userdata, f);
}

void playbook_notify(Playbook *p)
{
        wait_notify(&p->waiters, is_settled, p);
}

void playbook_set(char **member, const char *text)
{
        g_free(*member);
        *member = g_strdup(text ? text : "");
}

/* In place: the table of objects points to the id. */
void playbook_take_row(Playbook *p, PlaybookRow *next)
{
        PlaybookRow old = *p->row;

        *p->row = *next;
        *next = old;
        (void) playbook_row_free(next);
}

/* -- its files --------------------------------------------------------------------------------- */

char *playbook_file(const Manager *m, const char *id, const char *suffix)
{
        return g_strdup_printf("%s/playbooks/%s.%s", m->config->state_directory, id, suffix);
}

static int open_file(const Playbook *p, const char *suffix, int *ret_fd, Fault *f)
{
        g_autofree char *path = playbook_file(p->manager, p->row->id.text, suffix);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 && errno == ENOENT && g_str_equal(suffix, PLAYBOOK_LOG))
                return fault_set(f, FAULT_NOT_FOUND, "playbook %s was never verified",
                                 p->row->id.text);
        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s' of playbook %s", path,
                                       p->row->id.text);
        *ret_fd = fd;
        return 0;
}

int playbook_open_archive(const Playbook *p, int *ret_fd, Fault *f)
{
        return open_file(p, PLAYBOOK_ARCHIVE, ret_fd, f);
}

int playbook_open_document(const Playbook *p, int *ret_fd, Fault *f)
{
        if (playbook_is_written(p))
                return fault_set(f, FAULT_NOT_FOUND,
                                 "playbook %s was written by hand: there is no diff that it was "
                                 "made of",
                                 p->row->id.text);
        return open_file(p, PLAYBOOK_DOCUMENT, ret_fd, f);
}

int playbook_open_log(const Playbook *p, int *ret_fd, Fault *f)
{
        return open_file(p, PLAYBOOK_LOG, ret_fd, f);
}

static int copy_bytes(int from, int to, uint64_t size)
{
        g_autofree uint8_t *buffer = g_malloc(1 << 20);

        for (uint64_t at = 0; at < size;) {
                size_t n = (size_t) MIN(size - at, 1 << 20);
                int r = pread_all(from, buffer, n, at);

                if (r == 0)
                        r = write_all(to, buffer, n);
                if (r < 0)
                        return r;
                at += n;
        }
        return 0;
}

static int seal(int fd)
{
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ||
            lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        return 0;
}

int playbook_open_residual(const Playbook *p, int *ret_fd, Fault *f)
{
        const char *text = p->row->residual;

        if (!*text)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "playbook %s has no residual: it was not verified, or that failed",
                                 p->row->id.text);
        autofd fd = memfd_create("residual", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
        if (r == 0)
                r = seal(fd);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "the residual cannot be handed out");
        *ret_fd = TAKE_FD(fd);
        return 0;
}

int playbook_open(const Playbook *p, int *ret_fd, Fault *f)
{
        char sha256[SHA256_HEX_SIZE];
        autofd archive = -1, copy = -1;
        struct stat st;

        int r = playbook_open_archive(p, &archive, f);
        if (r < 0)
                return r;
        if (fstat(archive, &st) < 0 || (uint64_t) st.st_size != p->row->size_bytes)
                return fault_set(f, FAULT_CONTENT_CHANGED,
                                 "the archive of playbook %s was changed or cut off",
                                 p->row->id.text);
        copy = memfd_create("playbook", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        r = copy < 0 ? -errno : copy_bytes(archive, copy, p->row->size_bytes);
        if (r == 0)
                r = seal(copy);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "playbook %s cannot be read",
                                       p->row->id.text);
        /* Of the copy: nobody can change that any more. */
        r = file_sha256(copy, sha256, f);
        if (r < 0)
                return r;
        if (!g_str_equal(sha256, p->row->sha256))
                return fault_set(f, FAULT_CONTENT_CHANGED,
                                 "the archive of playbook %s is not what it was made as: its "
                                 "SHA-256 is %s",
                                 p->row->id.text, sha256);
        if (lseek(copy, 0, SEEK_SET) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "playbook %s cannot be read",
                                       p->row->id.text);
        *ret_fd = TAKE_FD(copy);
        return 0;
}

int playbook_give_name(int fd, const char *path, Fault *f)
{
        g_autofree char *file = g_strdup_printf("/proc/self/fd/%d", fd);

        if (linkat(AT_FDCWD, file, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make '%s'", path);
        return 0;
}

/* -- what may be made -------------------------------------------------------------------------- */

static int check_quota(const Manager *m, uint32_t uid, Fault *f)
{
        uint64_t n = 0;
        GHashTableIter iter;
        void *object;

        g_hash_table_iter_init(&iter, m->objects[OBJECT_PLAYBOOK]);
        while (g_hash_table_iter_next(&iter, NULL, &object))
                n += ((const Playbook *) object)->row->owner_uid == uid;
        if (n >= m->config->playbooks_per_owner_max)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "there are %" G_GUINT64_FORMAT
                                 " playbooks of this owner already (playbooks_per_owner_max); "
                                 "remove some",
                                 n);
        return 0;
}

int playbook_check_new(const Sandbox *s, const char *name, const char *from, const char *to,
                       Fault *f)
{
        int r = manager_has_room(s->manager, f);

        if (r == 0 && name)
                r = name_check("playbook", name, f);
        if (r == 0 && g_str_equal(from, to))
                r = fault_set(f, FAULT_INVALID_ARGUMENT,
                              "'%.80s' is both where it begins and where it leads to", to);
        if (r == 0)
                r = check_quota(s->manager, s->row->owner_uid, f);
        return r < 0 ? r : manager_check_owner(s->manager, s->row->owner_uid, 0, f);
}

PlaybookRow *playbook_new_row(const Sandbox *s, const char *name, const char *from, const char *to,
                              const char *origin)
{
        PlaybookRow *row = g_new0(PlaybookRow, 1);

        *row = (PlaybookRow){
                .id = id_new(),
                .name = g_strdup(name ? name : s->row->name),
                .origin = g_strdup(origin),
                .sandbox_id = s->row->id,
                .sandbox_name = g_strdup(s->row->name),
                .agent = g_strdup(s->row->agent),
                .template_id = s->template->row->id,
                .from_name = g_strdup(from),
                .to_name = g_strdup(to),
                .summary = g_strdup(""),
                .owner_uid = s->row->owner_uid,
                .created_usec = now_realtime_usec(),
                .verified = g_strdup("no"),
                .verified_reason = g_strdup(""),
                .residual = g_strdup(""),
        };
        return row;
}

Json *playbook_describe(const PlaybookRow *row)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "playbook", json_object_new_string(row->id.text));
        (void) json_object_object_add(detail, "name", json_object_new_string(row->name));
        (void) json_object_object_add(detail, "from", json_object_new_string(row->from_name));
        (void) json_object_object_add(detail, "to", json_object_new_string(row->to_name));
        if (row->allows_secrets)
                (void) json_object_object_add(detail, "allow-secrets",
                                              json_object_new_boolean(true));
        if (row->allows_setuid)
                (void) json_object_object_add(detail, "allow-setuid",
                                              json_object_new_boolean(true));
        return detail;
}

int playbook_check_point(const Sandbox *s, const char *name, Fault *f)
{
        if (g_str_equal(name, POINT_TEMPLATE) || snapshot_find(s, name))
                return 0;
        return fault_set(f, FAULT_NOT_FOUND,
                         "sandbox '%s' has no snapshot '%.80s': what the playbook begins at and "
                         "leads to has to be there",
                         s->row->name, name);
}

/* -- beginning and end ------------------------------------------------------------------------- */

Playbook *playbook_add(Manager *m, PlaybookRow *row)
{
        Playbook *p = g_new0(Playbook, 1);

        *p = (Playbook){.manager = m, .row = row};
        manager_add(m, OBJECT_PLAYBOOK, row->id.text, p);
        return p;
}

Playbook *playbook_free(Playbook *p)
{
        if (!p)
                return NULL;
        wait_clear(&p->waiters);
        p->verification = verification_free(p->verification);
        (void) playbook_row_free(p->row);
        g_free(p);
        return NULL;
}

static int remove_files(const Manager *m, const char *id, Fault *f)
{
        static const char *const suffixes[] = {PLAYBOOK_ARCHIVE, PLAYBOOK_DOCUMENT, PLAYBOOK_LOG};

        for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
                g_autofree char *path = playbook_file(m, id, suffixes[i]);
                if (unlink(path) < 0 && errno != ENOENT)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot remove '%s'", path);
        }
        return 0;
}

int playbook_remove(Playbook *p, Caller *caller, Fault *f)
{
        g_autofree char *path = playbook_bus_path(p->row->id.text);
        Manager *m = p->manager;
        AuditEntry *entry = NULL;
        Fault gone = {0};
        int r;

        if (!caller_is_admin(caller) && caller->uid != p->row->owner_uid)
                return fault_set(f, FAULT_DENIED, "playbook %s is somebody else's",
                                 p->row->id.text);
        if (p->verification)
                return fault_set(f, FAULT_BUSY, "playbook %s is being verified", p->row->id.text);
        r = audit_begin(m, caller, "playbook.remove", path, NULL, &entry, f);
        if (r < 0)
                return r;
        r = store_delete_playbook(m->store, p->row->id.text, f);
        if (r >= 0) {
                /* What stays is removed at the next start. */
                if (remove_files(m, p->row->id.text, &gone) < 0)
                        log_warning("%s", gone.message);
                fault_clear(&gone);
        }
        (void) audit_end(entry, r, f);
        if (r < 0)
                return r;
        (void) fault_set(&gone, FAULT_NOT_FOUND, "playbook %s was removed", p->row->id.text);
        manager_remove(m, OBJECT_PLAYBOOK, p->row->id.text, p);
        wait_fail(&p->waiters, &gone);
        (void) playbook_free(p);
        return 0;
}

/* What a daemon that was killed has left without a row. */
static void remove_unused_files(const Manager *m)
{
        g_autofree char *directory =
                g_build_filename(m->config->state_directory, "playbooks", NULL);
        g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);

        for (const char *name; files && (name = g_dir_read_name(files));) {
                g_autofree char *id = g_strndup(name, ID_LENGTH);
                g_autofree char *path = g_build_filename(directory, name, NULL);

                if (playbook_by_id(m, id))
                        continue;
                if (unlink(path) < 0)
                        log_warning("'%s', which is no playbook's, cannot be removed: %s", path,
                                    g_strerror(errno));
                else
                        log_warning("'%s', which was no playbook's, is removed", path);
        }
}

int playbook_load_all(Manager *m, Fault *f)
{
        g_autoptr(GPtrArray) rows = NULL;
        int r = store_load_playbooks(m->store, &rows, f);

        if (r < 0)
                return r;
        g_ptr_array_set_free_func(rows, NULL);
        for (guint i = 0; i < rows->len; i++) {
                Playbook *p = playbook_add(m, rows->pdata[i]);
                if (g_str_equal(p->row->verified, "verifying"))
                        playbook_interrupted(p);
        }
        remove_unused_files(m);
        return 0;
}
