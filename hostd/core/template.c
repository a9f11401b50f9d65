/* SPDX-License-Identifier: MIT */
#include "core/internal.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KERNEL_MAX_BYTES  (UINT64_C(256) << 20)
#define INITRD_MAX_BYTES  (UINT64_C(1) << 30)
#define NVRAM_MAX_BYTES   (UINT64_C(64) << 20)
#define CMDLINE_MAX_BYTES 2048
#define DOMAIN_NAME_MAX   256

const TemplateRow *template_row(const Template *t)
{
        return t->row;
}

char *template_path(const Manager *m, const char *id, const char *file)
{
        return g_build_filename(m->config->state_directory, "templates", id, file, NULL);
}

Template *template_free(Template *t)
{
        if (!t)
                return NULL;
        wait_clear(&t->waiters);
        wait_clear(&t->warm_waiters);
        t->pool_timer = sd_event_source_disable_unref(t->pool_timer);
        (void) template_row_free(t->row);
        g_free(t);
        return NULL;
}

static char *bus_path(const char *id)
{
        return g_strdup_printf("/sh/fluid/Host1/template/%s", id);
}

int template_check_unchanged(const Template *t, Fault *f)
{
        if (!g_str_has_prefix(t->row->source, "domain:"))
                return 0;
        for (guint i = 0; i < t->row->disks->len; i++) {
                const TemplateDiskRow *disk = t->row->disks->pdata[i];
                struct stat st;
                if (stat(disk->path, &st) < 0)
                        return fault_set_errno(f, FAULT_WRONG_STATE, errno,
                                               "disk '%s' of template '%s' is gone", disk->path,
                                               t->row->name);
                int64_t mtime = (int64_t) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
                if ((uint64_t) st.st_size != disk->file_size_bytes || mtime != disk->mtime_nsec)
                        return fault_set(
                                f, FAULT_WRONG_STATE,
                                "disk '%s' was written to since template '%s' was imported; "
                                "remove the template and import the domain again",
                                disk->path, t->row->name);
        }
        return 0;
}

/* -- importing, in a worker ----------------------------------------------------------------- */

typedef struct Import {
        Manager *manager; /* for the hypervisor, the configuration's constants and its paths */
        Template *template;
        AuditEntry *entry;
        int image_fd, kernel_fd, initrd_fd;
        ImageFormat format;
        char *domain;
        Snapshot *snapshot; /* its files stay as long as it is read */
        GPtrArray *layers;  /* of LayerDisk: those files */
        uid_t qemu_uid;
        gid_t qemu_gid;
        TemplateRow *row; /* a new one, filled in by the worker */
} Import;

static void import_free(gpointer data)
{
        Import *q = data;

        (void) close_fd(q->image_fd);
        (void) close_fd(q->kernel_fd);
        (void) close_fd(q->initrd_fd);
        g_free(q->domain);
        g_clear_pointer(&q->layers, g_ptr_array_unref);
        (void) template_row_free(q->row);
        g_free(q);
}

static TemplateDiskRow *add_disk(TemplateRow *row, const char *target, const char *path,
                                 const ImageInfo *info)
{
        TemplateDiskRow *disk = g_new0(TemplateDiskRow, 1);

        *disk = (TemplateDiskRow){.target = g_strdup(target),
                                  .path = g_strdup(path),
                                  .format = g_strdup(image_format_to_string(info->format)),
                                  .virtual_size_bytes = info->virtual_size_bytes};
        g_ptr_array_add(row->disks, disk);
        if (!*row->sha256) {
                g_free(row->sha256);
                row->sha256 = g_strdup(info->sha256);
        }
        row->size_bytes += info->file_size_bytes;
        return disk;
}

static int import_file(const Import *q, int fd, const char *name, uint64_t max, char **ret_path,
                       Fault *f)
{
        g_autofree char *path = template_path(q->manager, q->row->id.text, name);
        char sha256[SHA256_HEX_SIZE];
        int r = file_import(fd, path, max, 0440, 0, q->qemu_gid, sha256, f);

        if (r == 0)
                *ret_path = TAKE_PTR(path);
        return r;
}

static int import_path(const Import *q, const char *from, const char *name, uint64_t max,
                       char **ret_path, Fault *f)
{
        autofd fd = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", from);
        return import_file(q, fd, name, max, ret_path, f);
}

static int import_image(Import *q, Fault *f)
{
        g_autofree char *path = template_path(q->manager, q->row->id.text, "vda.img");
        ImageInfo info = {0};
        int r = image_import(q->image_fd, path, q->format, &info, f);

        if (r < 0)
                return r;
        (void) add_disk(q->row, "vda", path, &info);
        if (chown(path, 0, q->qemu_gid) < 0 || chmod(path, 0440) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot set up '%s'", path);
        if (q->kernel_fd >= 0)
                r = import_file(q, q->kernel_fd, "kernel", KERNEL_MAX_BYTES, &q->row->kernel, f);
        if (r == 0 && q->initrd_fd >= 0)
                r = import_file(q, q->initrd_fd, "initrd", INITRD_MAX_BYTES, &q->row->initrd, f);
        return r;
}

/* QEMU runs unprivileged and libvirt does not change the owner of a backing file for us. */
static int check_qemu_can_read(const Import *q, const char *path, const struct stat *st, Fault *f)
{
        bool may_read = st->st_uid == q->qemu_uid   ? st->st_mode & S_IRUSR
                        : st->st_gid == q->qemu_gid ? st->st_mode & S_IRGRP
                                                    : st->st_mode & S_IROTH;

        if (may_read)
                return 0;
        return fault_set(
                f, FAULT_NOT_CLONEABLE,
                "disk '%s' cannot be read by %s; allow it: chgrp %s '%s' && chmod g+r '%s'", path,
                q->manager->config->qemu_user, q->manager->config->qemu_group, path, path);
}

static int clone_disk(Import *q, const SourceDisk *source, Fault *f)
{
        autofd fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        ImageInfo info = {0};
        ImageFormat format;
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return fault_set_errno(f, FAULT_NOT_CLONEABLE, errno, "cannot read disk '%s'",
                                       source->path);
        r = check_qemu_can_read(q, source->path, &st, f);
        if (r == 0)
                r = image_format_from_string(source->format, &format, f);
        if (r == 0)
                r = image_inspect(fd, format, true, &info, f);
        if (r < 0)
                return r;
        TemplateDiskRow *disk = add_disk(q->row, source->target, source->path, &info);
        disk->file_size_bytes = (uint64_t) st.st_size;
        disk->mtime_nsec = (int64_t) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        return 0;
}

static int clone_domain(Import *q, Fault *f)
{
        g_autoptr(Blueprint) b = NULL;
        TemplateRow *row = q->row;
        int r = hypervisor_domain_blueprint(q->manager->hypervisor, q->domain, &b, f);

        for (guint i = 0; r == 0 && i < b->disks->len; i++)
                r = clone_disk(q, b->disks->pdata[i], f);
        if (r == 0 && b->kernel)
                r = import_path(q, b->kernel, "kernel", KERNEL_MAX_BYTES, &row->kernel, f);
        if (r == 0 && b->initrd)
                r = import_path(q, b->initrd, "initrd", INITRD_MAX_BYTES, &row->initrd, f);
        if (r == 0 && b->nvram)
                r = import_path(q, b->nvram, "nvram", NVRAM_MAX_BYTES, &row->nvram, f);
        if (r < 0)
                return r;
        if (row->disks->len == 0)
                return fault_set(f, FAULT_NOT_CLONEABLE,
                                 "domain '%s' has no writable disk in a file", q->domain);
        row->cmdline = g_strdup(b->cmdline);
        row->blueprint = g_strdup(b->xml);
        row->vcpus = row->vcpus ? row->vcpus : b->vcpus;
        row->memory_bytes = row->memory_bytes ? row->memory_bytes : b->memory_bytes;
        return 0;
}

/* What the snapshot shows, without the chain; kernel and variables as its template has them. */
static int copy_snapshot(Import *q, Fault *f)
{
        int r = 0;

        for (guint i = 0; r == 0 && i < q->layers->len; i++) {
                const LayerDisk *layer = q->layers->pdata[i];
                g_autofree char *file = g_strconcat(layer->target, ".img", NULL);
                g_autofree char *path = template_path(q->manager, q->row->id.text, file);
                ImageInfo info = {0};
                r = image_copy(layer->path, path, &info, f);
                if (r < 0)
                        break;
                (void) add_disk(q->row, layer->target, path, &info);
                if (chown(path, 0, q->qemu_gid) < 0)
                        r = fault_set_errno(f, FAULT_IO, errno, "cannot set up '%s'", path);
        }
        const char *const from[] = {q->row->kernel, q->row->initrd, q->row->nvram};
        const char *const names[] = {"kernel", "initrd", "nvram"};
        const uint64_t most[] = {KERNEL_MAX_BYTES, INITRD_MAX_BYTES, NVRAM_MAX_BYTES};
        char **const to[] = {&q->row->kernel, &q->row->initrd, &q->row->nvram};
        for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(from); i++) {
                g_autofree char *old = (char *) from[i];
                *to[i] = NULL;
                if (old)
                        r = import_path(q, old, names[i], most[i], to[i], f);
        }
        return r;
}

static int import_run(void *request, Fault *f)
{
        Import *q = request;
        g_autofree char *directory = template_path(q->manager, q->row->id.text, NULL);
        int r = make_directory(directory, 0710, 0, q->qemu_gid, f);

        if (r == 0)
                r = q->layers   ? copy_snapshot(q, f)
                    : q->domain ? clone_domain(q, f)
                                : import_image(q, f);
        if (r == 0)
                r = sync_path(directory, f);
        if (r < 0)
                (void) remove_tree(directory, NULL);
        return r;
}

/* -- the loop's side ------------------------------------------------------------------------ */

static bool is_ready(const char *wanted, void *object)
{
        (void) wanted;
        return g_str_equal(((Template *) object)->row->state, "ready");
}

static void forget(Template *t, const Fault *why)
{
        Fault f = {0};

        if (store_delete_template(t->manager->store, t->row->id.text, &f) < 0)
                log_error("cannot forget template '%s': %s", t->row->name, f.message);
        manager_remove(t->manager, OBJECT_TEMPLATE, t->row->id.text, t);
        wait_fail(&t->waiters, why);
        (void) template_free(t);
}

static void fill_defaults(const Manager *m, TemplateRow *row)
{
        if (!row->vcpus)
                row->vcpus = (unsigned) m->config->vcpus_default;
        if (!row->memory_bytes)
                row->memory_bytes = m->config->memory_default_bytes;
}

static void import_done(void *request, int r, const Fault *f, void *userdata)
{
        Import *q = request;
        Template *t = q->template;
        Manager *m = t->manager;
        Fault why = *f;

        (void) userdata;
        t->is_busy = false;
        if (q->snapshot)
                q->snapshot->readers--;
        if (r == 0) {
                g_free(q->row->state);
                q->row->state = g_strdup("ready");
                fill_defaults(m, q->row);
                r = store_put_template(m->store, q->row, &why);
        }
        (void) audit_end(q->entry, r, &why);
        if (r < 0) {
                log_warning("template '%s' was not imported: %s", t->row->name, why.message);
                g_autofree char *directory = template_path(m, t->row->id.text, NULL);
                (void) remove_tree(directory, NULL);
                forget(t, &why);
        } else {
                /* The object is known by the id inside its row: keep that one, take the rest. */
                TemplateRow *old = t->row;
                (void) g_hash_table_steal(m->objects[OBJECT_TEMPLATE], old->id.text);
                t->row = TAKE_PTR(q->row);
                (void) g_hash_table_insert(m->objects[OBJECT_TEMPLATE], t->row->id.text, t);
                (void) template_row_free(old);
                manager_changed(m, OBJECT_TEMPLATE, t);
                wait_notify(&t->waiters, is_ready, t);
        }
        manager_end_operation(m);
}

static void free_disk_row(gpointer data)
{
        (void) template_disk_row_free(data);
}

static TemplateRow *new_row(const Caller *caller, const TemplateSpec *spec, const Id *id)
{
        TemplateRow *row = g_new0(TemplateRow, 1);

        *row = (TemplateRow){.id = *id,
                             .name = g_strdup(spec->name),
                             .state = g_strdup("importing"),
                             .source = spec->domain   ? g_strdup_printf("domain:%s", spec->domain)
                                       : spec->source ? g_strdup(spec->source)
                                                      : g_strdup("image"),
                             .sha256 = g_strdup(""),
                             .cmdline = spec->domain ? NULL : g_strdup(spec->cmdline),
                             .vcpus = spec->vcpus,
                             .memory_bytes = spec->memory_bytes,
                             .created_usec = now_realtime_usec(),
                             .owner_uid = caller->uid};
        row->disks = g_ptr_array_new_with_free_func(free_disk_row);
        return row;
}

static int check_source(const TemplateSpec *spec, ImageFormat *ret_format, Fault *f)
{
        *ret_format = _IMAGE_FORMAT_MAX;
        if (spec->domain) {
                if (spec->image_fd >= 0 || spec->kernel_fd >= 0 || spec->initrd_fd >= 0 ||
                    spec->cmdline || spec->format)
                        return fault_set(
                                f, FAULT_INVALID_ARGUMENT,
                                "a domain brings its own disks and boot settings: leave out "
                                "image, format, kernel, initrd and cmdline");
                if (!*spec->domain || strlen(spec->domain) > DOMAIN_NAME_MAX)
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "that is no domain's name");
                return 0;
        }
        if (spec->image_fd < 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "name what to import: an image, or a libvirt domain");
        if (spec->kernel_fd < 0 && (spec->initrd_fd >= 0 || spec->cmdline))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "initrd and cmdline are of use with a kernel only");
        if (spec->cmdline && strlen(spec->cmdline) > CMDLINE_MAX_BYTES)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "cmdline is longer than %d bytes",
                                 CMDLINE_MAX_BYTES);
        return spec->format ? image_format_from_string(spec->format, ret_format, f) : 0;
}

static int check_size(const Manager *m, unsigned vcpus, uint64_t memory_bytes, Fault *f)
{
        if (vcpus > m->config->vcpus_max)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%u vcpus are more than vcpus_max, %u",
                                 vcpus, (unsigned) m->config->vcpus_max);
        if (memory_bytes &&
            (memory_bytes < (UINT64_C(32) << 20) || memory_bytes > m->config->memory_max_bytes))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "memory has to be between 32M and memory_max");
        return 0;
}

static int check_import(Manager *m, const TemplateSpec *spec, Fault *f)
{
        GHashTableIter iter;
        void *object;
        int r = manager_admits_work(m, f);

        if (r == 0)
                r = name_check("template", spec->name, f);
        if (r == 0)
                r = check_size(m, spec->vcpus, spec->memory_bytes, f);
        if (r < 0)
                return r;
        g_hash_table_iter_init(&iter, m->objects[OBJECT_TEMPLATE]);
        while (g_hash_table_iter_next(&iter, NULL, &object))
                if (g_str_equal(((Template *) object)->row->name, spec->name))
                        return fault_set(f, FAULT_EXISTS,
                                         "template '%s' exists already; remove it first, or choose "
                                         "another name",
                                         spec->name);
        if (g_hash_table_size(m->objects[OBJECT_TEMPLATE]) >= m->config->templates_max)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "this host has %u templates already (templates_max)",
                                 (unsigned) m->config->templates_max);
        return manager_has_room(m, f);
}

static int duplicate(int fd)
{
        return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* With what is to be copied filled in by the caller. */
static int begin_import(Manager *m, Caller *caller, const TemplateSpec *spec, Import **ret,
                        Fault *f)
{
        Id id = id_new();
        g_autoptr(TemplateRow) row = new_row(caller, spec, &id);
        g_autofree char *path = bus_path(id.text);
        AuditEntry *entry = NULL;
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "name", json_object_new_string(spec->name));
        (void) json_object_object_add(detail, "source", json_object_new_string(row->source));
        int r = audit_begin(m, caller, "template.import", path, detail, &entry, f);
        if (r < 0)
                return r;
        r = store_put_template(m->store, row, f);
        if (r < 0) {
                (void) audit_end(entry, r, f);
                return r;
        }
        Template *t = g_new0(Template, 1);
        *t = (Template){.manager = m, .row = TAKE_PTR(row), .is_busy = true};
        Import *q = g_new0(Import, 1);
        *q = (Import){.manager = m,
                      .template = t,
                      .entry = entry,
                      .image_fd = -1,
                      .kernel_fd = -1,
                      .initrd_fd = -1,
                      .qemu_uid = m->qemu_uid,
                      .qemu_gid = m->qemu_gid,
                      .row = new_row(caller, spec, &id)};
        manager_add(m, OBJECT_TEMPLATE, t->row->id.text, t);
        manager_begin_operation(m);
        *ret = q;
        return 0;
}

static Template *submit_import(Import *q)
{
        Template *t = q->template;

        (void) workers_submit(q->manager->workers, import_run, import_done, q, import_free, NULL);
        return t;
}

int template_import(Manager *m, Caller *caller, const TemplateSpec *spec, Template **ret, Fault *f)
{
        ImageFormat format;
        Import *q = NULL;
        int r = check_import(m, spec, f);

        if (r == 0)
                r = check_source(spec, &format, f);
        if (r == 0)
                r = begin_import(m, caller, spec, &q, f);
        if (r < 0)
                return r;
        g_assert(q);
        q->image_fd = duplicate(spec->image_fd);
        q->kernel_fd = duplicate(spec->kernel_fd);
        q->initrd_fd = duplicate(spec->initrd_fd);
        q->format = format;
        q->domain = g_strdup(spec->domain);
        *ret = submit_import(q);
        return 0;
}

int snapshot_promote(Snapshot *snapshot, Caller *caller, const char *name, Template **ret, Fault *f)
{
        Sandbox *s = snapshot->sandbox;
        const TemplateRow *old = s->template->row;
        g_autofree char *source =
                g_strdup_printf("snapshot:%s/%s", s->row->name, snapshot->row->name);
        TemplateSpec spec = {.name = name,
                             .source = source,
                             .vcpus = s->row->vcpus,
                             .memory_bytes = s->row->memory_bytes};
        Import *q = NULL;
        int r = check_import(s->manager, &spec, f);

        if (r == 0)
                r = template_check_unchanged(s->template, f);
        if (r == 0)
                r = begin_import(s->manager, caller, &spec, &q, f);
        if (r < 0)
                return r;
        g_assert(q);
        q->snapshot = snapshot;
        snapshot->readers++;
        q->layers = layer_plan(s, snapshot->row->layer, NULL);
        q->row->kernel = g_strdup(old->kernel);
        q->row->initrd = g_strdup(old->initrd);
        q->row->nvram = g_strdup(old->nvram);
        q->row->cmdline = g_strdup(old->cmdline);
        q->row->blueprint = g_strdup(old->blueprint);
        *ret = submit_import(q);
        return 0;
}

int template_wait(Template *t, uint64_t timeout_usec, OperationDone done, void *userdata, Fault *f)
{
        return wait_add(&t->waiters, t->manager->event, "ready", timeout_usec, is_ready, t, done,
                        userdata, f);
}

/* -- removing ------------------------------------------------------------------------------- */

typedef struct Removal {
        Template *template;
        AuditEntry *entry;
        char *directory;
        OperationDone done;
        void *userdata;
} Removal;

static void removal_free(gpointer data)
{
        Removal *q = data;

        g_free(q->directory);
        g_free(q);
}

static int removal_run(void *request, Fault *f)
{
        return remove_tree(((Removal *) request)->directory, f);
}

static void removal_done(void *request, int r, const Fault *f, void *userdata)
{
        Removal *q = request;
        Manager *m = q->template->manager;
        Fault gone = {0};

        (void) userdata;
        (void) audit_end(q->entry, r, f);
        q->template->is_busy = false;
        if (r == 0) {
                (void) fault_set(&gone, FAULT_NOT_FOUND, "template '%s' was removed",
                                 q->template->row->name);
                forget(q->template, &gone);
        }
        q->done(r, f, q->userdata);
        manager_end_operation(m);
}

/* The intent: one that is found like this at the next start is removed. */
static int forget_readiness(Template *t, Fault *f)
{
        char *ready = t->row->state;
        int r;

        t->row->state = (char *) "importing";
        r = store_put_template(t->manager->store, t->row, f);
        t->row->state = ready;
        return r;
}

/* Its images and its pool are gone. */
static void cleared(int r, const Fault *f, void *userdata)
{
        Removal *q = userdata;
        Fault why = fault_copy(f);

        if (r >= 0)
                r = forget_readiness(q->template, &why);
        if (r >= 0) {
                (void) workers_submit(q->template->manager->workers, removal_run, removal_done, q,
                                      removal_free, NULL);
                return;
        }
        removal_done(q, r, &why, NULL);
        removal_free(q);
}

static int check_unused(const Template *t, Fault *f)
{
        GHashTableIter iter;
        void *object;

        if (t->is_busy || t->is_cooling)
                return fault_set(f, FAULT_BUSY,
                                 "template '%s' is being imported, removed or cooled",
                                 t->row->name);
        g_hash_table_iter_init(&iter, t->manager->objects[OBJECT_SANDBOX]);
        while (g_hash_table_iter_next(&iter, NULL, &object))
                if (((Sandbox *) object)->template == t && !sandbox_is_hidden(object))
                        return fault_set(f, FAULT_IN_USE,
                                         "sandboxes stand on template '%s'; destroy them first",
                                         t->row->name);
        return 0;
}

int template_remove(Template *t, Caller *caller, OperationDone done, void *userdata, Fault *f)
{
        Manager *m = t->manager;
        AuditEntry *entry = NULL;
        int r = check_unused(t, f);

        if (r < 0)
                return r;
        g_autofree char *path = bus_path(t->row->id.text);
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "name", json_object_new_string(t->row->name));
        r = audit_begin(m, caller, "template.remove", path, detail, &entry, f);
        if (r < 0)
                return r;
        Removal *q = g_new0(Removal, 1);
        *q = (Removal){.template = t,
                       .entry = entry,
                       .directory = template_path(m, t->row->id.text, NULL),
                       .done = done,
                       .userdata = userdata};
        t->is_busy = true;
        manager_begin_operation(m);
        warm_clear(t, cleared, q);
        return 0;
}

/* -- beginning ------------------------------------------------------------------------------ */

/* A half-made one is cleaned: its importer is gone. */
static int adopt(Manager *m, TemplateRow *row, Fault *f)
{
        g_autofree char *directory = template_path(m, row->id.text, NULL);

        if (!g_str_equal(row->state, "ready")) {
                log_warning("template '%s' was half imported and is removed", row->name);
                int r = remove_tree(directory, f);
                if (r == 0)
                        r = store_delete_template(m->store, row->id.text, f);
                (void) template_row_free(row);
                return r;
        }
        Template *t = g_new0(Template, 1);
        *t = (Template){.manager = m, .row = row, .pool_taken_usec = now_monotonic_usec()};
        manager_add(m, OBJECT_TEMPLATE, row->id.text, t);
        return 0;
}

int template_load_all(Manager *m, Fault *f)
{
        g_autoptr(GPtrArray) rows = NULL;
        int r = store_load_templates(m->store, &rows, f);

        if (r < 0)
                return r;
        g_ptr_array_set_free_func(rows, NULL);
        for (guint i = 0; i < rows->len; i++) {
                int q = adopt(m, rows->pdata[i], f);
                r = r < 0 ? r : q;
        }
        return r;
}
