/* SPDX-License-Identifier: MIT */
#pragma once

/* Real guests for the tests of host/ that run inside tests/env/with-host --no-hostd, and what their
 * agents say. A test is called with KERNEL INITRD CMDLINE-FILE DISK.qcow2. */

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/name.h"
#include "base/quantity.h"
#include "host/hypervisor.h"
#include "host/image.h"
#include "tests/host/timed.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define DIRECTORY   "/var/lib/libvirt/fluid-live"
#define WAIT_USEC   (120 * USEC_PER_SEC)
#define MEMORY_SIZE (UINT64_C(256) << 20)

static struct {
        sd_event *event;
        Hypervisor *h;
        uid_t uid;
        gid_t gid;
        char *cmdline;
        char *template;
} t;

typedef struct Guest {
        Id id;
        DomainDisk disk;
        char *socket;
        DomainSpec spec;
} Guest;

/* -- results -------------------------------------------------------------------------------- */

#define REFUSED(expected, what, function, ...) \
        ({ \
                Fault reason = {0}; \
                int result = function(__VA_ARGS__, &reason); \
                tap_ok(result < 0 && reason.code == FAULT_##expected, "%s", what); \
                tap_note("%s: %s", fault_to_string(reason.code), reason.message); \
        })

static inline void expect_state(const Guest *g, DomainState expected, const char *what)
{
        DomainState state = _DOMAIN_STATE_MAX;
        Fault f = {0};

        if (hypervisor_domain_state(t.h, g->id.text, &state, &f) < 0)
                tap_note("%s", f.message);
        tap_is_int(state, expected, "%s", what);
}

__attribute__((format(printf, 1, 2))) static inline char *output_of(const char *format, ...)
{
        va_list args;
        char *output = NULL;

        va_start(args, format);
        g_autofree char *command = g_strdup_vprintf(format, args);
        va_end(args);
        char *argv[] = {(char *) "/bin/sh", (char *) "-c", command, NULL};
        (void) g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, NULL, NULL,
                            NULL);
        return output ? g_strchomp(output) : g_strdup("");
}

/* -- guests --------------------------------------------------------------------------------- */

static inline char *in_directory(const char *name)
{
        return g_build_filename(DIRECTORY, name, NULL);
}

/* A new overlay on `base`, a path. */
static inline void make_overlay(const char *path, const char *base)
{
        Fault f = {0};

        if (image_create_overlay(path, base, IMAGE_QCOW2, 0, t.uid, t.gid, &f) < 0)
                tap_bail_out(f.message);
}

static inline Guest *guest_new(const char *name, const char *base)
{
        Guest *g = g_new0(Guest, 1);
        g_autofree char *file = g_strconcat(name, ".qcow2", NULL);

        g->id = id_new();
        g->socket = g_strconcat(DIRECTORY "/", name, ".sock", NULL);
        g->disk = (DomainDisk){.target = (char *) "vda", .path = in_directory(file)};
        g->spec = (DomainSpec){
                .id = g->id.text,
                .title = g_strdup(name),
                .vcpus = 1,
                .memory_bytes = MEMORY_SIZE,
                .disks = &g->disk,
                .n_disks = 1,
                .kernel = DIRECTORY "/vmlinuz",
                .initrd = DIRECTORY "/initrd",
                .cmdline = t.cmdline,
                .agent_socket = g->socket,
                .console_log = g_strconcat(DIRECTORY "/", name, ".log", NULL),
                .qemu_uid = t.uid,
                .qemu_gid = t.gid,
        };
        make_overlay(g->disk.path, base);
        return g;
}

static inline Guest *guest_free(Guest *g)
{
        Fault f = {0};

        if (hypervisor_remove_domain(t.h, g->id.text, &f) < 0)
                tap_note("%s", f.message);
        (void) unlink(g->disk.path);
        g_free(g->disk.path);
        g_free(g->socket);
        g_free((char *) g->spec.title);
        g_free((char *) g->spec.console_log);
        g_free(g);
        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guest, guest_free)

/* Reads one line, or gives up after the socket's time. */
static inline bool read_line(int fd, GString *line)
{
        char c;

        g_string_truncate(line, 0);
        while (read(fd, &c, 1) == 1 && c != '\n')
                if (c != '\xff')
                        g_string_append_c(line, c);
                else
                        g_string_truncate(line, 0);
        return line->len > 0;
}

/* The agent's answer to one request, or NULL. */
static inline Json *ask(int fd, GString *line, const char *request)
{
        Json *reply = NULL, *value = NULL;

        if (write_all(fd, request, strlen(request)) < 0 || !read_line(fd, line) ||
            json_parse(line->str, line->len, 16, &reply, NULL) < 0)
                return NULL;
        (void) json_object_object_get_ex(reply, "return", &value);
        value = json_object_get(value);
        json_object_put(reply);
        return value;
}

static inline int connect_agent(const Guest *g, GString *line)
{
        static const char sync[] = "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":"
                                   "{\"id\":%u}}\n";
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct timeval patience = {.tv_usec = 300000}, longer = {.tv_sec = 20};
        uint64_t deadline = now_monotonic_usec() + WAIT_USEC;
        autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_strlcpy(address.sun_path, g->socket, sizeof address.sun_path);
        if (connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return -1;
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        while (now_monotonic_usec() < deadline) {
                unsigned number = g_random_int_range(1, 1 << 30);
                g_autofree char *request = g_strdup_printf(sync, number);
                g_autofree char *expected = g_strdup_printf("%u", number);
                if (write_all(fd, request, strlen(request)) < 0)
                        return -1;
                while (read_line(fd, line))
                        if (strstr(line->str, expected)) {
                                (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longer,
                                                  sizeof longer);
                                return TAKE_FD(fd);
                        }
        }
        return -1;
}

static inline char *wait_for_exit(int fd, GString *line, uint64_t pid)
{
        g_autofree char *request = g_strdup_printf(
                "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":%" PRIu64 "}}\n", pid);
        uint64_t deadline = now_monotonic_usec() + WAIT_USEC;

        while (now_monotonic_usec() < deadline) {
                g_autoptr(Json) status = ask(fd, line, request);
                const char *encoded = "";
                bool has_exited = false;
                gsize size;
                if (!json_find_bool(status, "exited", &has_exited))
                        return NULL;
                if (has_exited) {
                        (void) json_find_string(status, "out-data", &encoded);
                        g_autofree guchar *bytes = g_base64_decode(encoded, &size);
                        return g_strchomp(g_strndup((const char *) bytes, size));
                }
                g_usleep(10 * USEC_PER_MSEC);
        }
        return NULL;
}

/* What a shell script prints in the guest, once its agent answers. */
static inline char *in_guest(const Guest *g, const char *script)
{
        g_autoptr(GString) line = g_string_new(NULL);
        g_autoptr(Json) text = json_object_new_string(script);
        g_autofree char *request = g_strdup_printf(
                "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/sh\",\"capture-output\""
                ":true,\"arg\":[\"-c\",%s]}}\n",
                json_object_to_json_string(text));
        autofd fd = connect_agent(g, line);
        uint64_t pid = 0;

        if (fd < 0)
                return g_strdup("(the agent does not answer)");
        g_autoptr(Json) started = ask(fd, line, request);
        if (!json_find_uint(started, "pid", &pid))
                return g_strdup("(the script was not started)");
        char *output = wait_for_exit(fd, line, pid);
        return output ? output : g_strdup("(the script did not end)");
}

static inline void do_in_guest(const Guest *g, const char *script)
{
        g_free(in_guest(g, script));
}

/* -- begin and end ---------------------------------------------------------------------------- */

static inline void prepare_files(char **argv)
{
        char sha256[SHA256_HEX_SIZE];
        ImageInfo info;
        Fault f = {0};
        struct {
                const char *from, *to;
        } copies[] = {{argv[1], DIRECTORY "/vmlinuz"}, {argv[2], DIRECTORY "/initrd"}};

        (void) remove_tree(DIRECTORY, NULL);
        if (make_directory(DIRECTORY, 0770, 0, t.gid, &f) < 0)
                tap_bail_out(f.message);
        for (size_t i = 0; i < G_N_ELEMENTS(copies); i++) {
                autofd fd = open(copies[i].from, O_RDONLY | O_CLOEXEC);
                if (file_import(fd, copies[i].to, 64 << 20, 0444, 0, 0, sha256, &f) < 0)
                        tap_bail_out(f.message);
        }
        autofd fd = open(argv[4], O_RDONLY | O_CLOEXEC);
        t.template = g_strdup(DIRECTORY "/template.qcow2");
        if (image_import(fd, t.template, _IMAGE_FORMAT_MAX, &info, &f) < 0 ||
            file_read(argv[3], 4096, &t.cmdline, NULL, &f) < 0)
                tap_bail_out(f.message);
        g_strstrip(t.cmdline);
}

/* Makes the files, and connects. */
static inline void set_up(int argc, char **argv, const HypervisorObserver *observer)
{
        const struct passwd *qemu = getpwnam("libvirt-qemu");
        uint64_t deadline = now_monotonic_usec() + WAIT_USEC;
        Fault f = {0};

        if (argc != 5 || !qemu || sd_event_new(&t.event) < 0)
                tap_bail_out("arguments: KERNEL INITRD CMDLINE-FILE DISK");
        (void) signal(SIGPIPE, SIG_IGN); /* as in the daemon: libvirt writes to sockets */
        t.uid = qemu->pw_uid;
        t.gid = qemu->pw_gid;
        prepare_files(argv);
        if (hypervisor_new(t.event, "qemu:///system", "qemu", observer, NULL, &t.h, &f) < 0)
                tap_bail_out(f.message);
        while (!hypervisor_is_connected(t.h) && now_monotonic_usec() < deadline)
                (void) sd_event_run(t.event, 100 * USEC_PER_MSEC);
}

static inline void tear_down(void)
{
        t.h = hypervisor_free(t.h);
        (void) remove_tree(DIRECTORY, NULL);
        g_free(t.cmdline);
        g_free(t.template);
        sd_event_unref(t.event);
}
