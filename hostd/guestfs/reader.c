/* SPDX-License-Identifier: MIT */
#include "guestfs/reader.h"

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/file.h"
#include "base/quantity.h"
#include "diff/defer.h"
#include "guestfs/nbd.h"
#include "guestfs/plan.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 2048

typedef struct Reader {
        Chain *old[DISKS_MAX], *new[DISKS_MAX];
        Storage *storage[2]; /* old, new */
        NbdExport exports[PLAN_MAX];
        unsigned n_exports;
        GHashTable *clients; /* descriptor → NbdExport */
        int epoll_fd, listen_fd;
        Fault trouble; /* the first that a client met */
} Reader;

static int open_chains(const Arguments *arguments, Reader *reader, Fault *f)
{
        int r = 0;

        for (unsigned i = 0; r == 0 && i < arguments->old.n; i++)
                r = disk_source_open(&arguments->old.list[i], arguments->old_format, NULL,
                                     &reader->old[i], f);
        for (unsigned i = 0; r == 0 && i < arguments->new.n; i++)
                r = disk_source_open(&arguments->new.list[i], arguments->new_format, reader->old[i],
                                     &reader->new[i], f);
        return r;
}

static void keep_chain(const Chain *chain, GArray *fds)
{
        for (unsigned i = 0; chain && i < chain_depth(chain); i++) {
                int fd = layer_fd(chain_layer(chain, i));

                g_array_append_val(fds, fd);
        }
}

static int seal(const Reader *reader, int plan_fd, Fault *f)
{
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));

        for (unsigned i = 0; i < DISKS_MAX; i++) {
                keep_chain(reader->old[i], fds);
                keep_chain(reader->new[i], fds);
        }
        g_array_append_val(fds, reader->epoll_fd);
        g_array_append_val(fds, reader->listen_fd);
        g_array_append_val(fds, plan_fd);
        return confine_seal_server((const int *) (const void *) fds->data, fds->len, FDS_MAX, f);
}

/* ---- the plan ---- */

static int open_storages(const Arguments *arguments, Reader *reader, Fault *f)
{
        const char *names[DISKS_MAX];
        int r = 0;

        for (unsigned i = 0; i < arguments->new.n; i++)
                names[i] = arguments->new.list[i].name;
        if (mode_has_pairs(arguments->mode))
                r = storage_new(arguments->from, reader->old, names, arguments->new.n,
                                &reader->storage[0], f);
        return r < 0 ? r
                     : storage_new(arguments->to, reader->new, names, arguments->new.n,
                                   &reader->storage[1], f);
}

static int write_plan(Reader *reader, const GArray *places, int plan_fd, Fault *f)
{
        PlanPlace plan[PLAN_MAX];

        if (places->len > PLAN_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "there are %u file systems to copy; at most %d can be",
                                 places->len, PLAN_MAX);
        for (unsigned i = 0; i < places->len; i++) {
                const ForeignPlace *foreign = &g_array_index(places, ForeignPlace, i);
                const Place *place =
                        storage_place(reader->storage[foreign->of_new], foreign->place);

                plan[i] = (PlanPlace){volume_size(place->volume), foreign->place, foreign->of_new,
                                      strcmp(place->signature.type, "btrfs") == 0};
                plan_name(&plan[i], reader->exports[i].name);
                reader->exports[i].volume = place->volume;
        }
        reader->n_exports = places->len;
        g_autofree char *text = plan_to_string(plan, places->len);
        int r = write_all(plan_fd, text, strlen(text));
        (void) close_fd(plan_fd);
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot tell what there is to copy") : 0;
}

/* ---- serving ---- */

static int watch(const Reader *reader, int fd, Fault *f)
{
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        return epoll_ctl(reader->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0
                       ? fault_set_errno(f, FAULT_INTERNAL, errno, "cannot wait for a client")
                       : 0;
}

static int greet(const Reader *reader, Fault *f)
{
        struct sockaddr_un from;
        socklen_t size = sizeof(from);
        autofd fd = accept4(reader->listen_fd, (struct sockaddr *) &from, &size, SOCK_CLOEXEC);
        const NbdExport *export = NULL;

        if (fd < 0 || nbd_negotiate(fd, reader->exports, reader->n_exports, &export) < 0)
                return 0;
        int r = watch(reader, fd, f);
        if (r < 0)
                return r;
        (void) g_hash_table_insert(reader->clients, GINT_TO_POINTER(fd), (gpointer) export);
        (void) TAKE_FD(fd);
        return 0;
}

static void complain(const Fault *f)
{
        g_autofree char *line = g_strdup_printf("fluid-diff-guestfs: %s\n", f->message);

        (void) write_all(STDERR_FILENO, line, strlen(line));
}

static void serve_one(Reader *reader, int fd)
{
        bool was_well = reader->trouble.code == FAULT_NONE;

        if (nbd_serve(fd, g_hash_table_lookup(reader->clients, GINT_TO_POINTER(fd)),
                      &reader->trouble) <= 0) {
                (void) g_hash_table_remove(reader->clients, GINT_TO_POINTER(fd));
                (void) close_fd(fd);
        }
        /* The kernel there calls it an error of the disk, and no more. */
        if (was_well && reader->trouble.code != FAULT_NONE)
                complain(&reader->trouble);
}

static int serve(Reader *reader, Fault *f)
{
        int r = watch(reader, reader->listen_fd, f);

        while (r == 0) {
                struct epoll_event event;
                int n = epoll_wait(reader->epoll_fd, &event, 1, -1);

                if (n < 0 && errno != EINTR)
                        return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot wait");
                if (n == 1 && event.data.fd == reader->listen_fd)
                        r = greet(reader, f);
                else if (n == 1)
                        serve_one(reader, event.data.fd);
        }
        return r;
}

int reader_run(const Arguments *arguments, int listen_fd, int plan_fd, Fault *f)
{
        g_autofree Reader *reader = g_new0(Reader, 1);
        g_autoptr(GArray) places = NULL;
        g_autofree char *what = NULL;

        reader->listen_fd = listen_fd;
        reader->clients = g_hash_table_new(g_direct_hash, g_direct_equal);
        int r = confine_limits(arguments->max_memory_bytes, USEC_INFINITY, f);
        if (r == 0)
                r = open_chains(arguments, reader, f);
        reader->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (r == 0 && reader->epoll_fd < 0)
                r = fault_set_errno(f, FAULT_INTERNAL, errno, "cannot wait for clients");
        if (r == 0)
                r = seal(reader, plan_fd, f);
        if (r == 0)
                r = open_storages(arguments, reader, f);
        if (r == 0)
                r = defer_find(arguments, reader->old, reader->new, &places, &what, f);
        if (r == 0)
                r = write_plan(reader, places, plan_fd, f);
        return r < 0 ? r : serve(reader, f);
}
