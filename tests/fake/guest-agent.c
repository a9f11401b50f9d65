/* SPDX-License-Identifier: MIT */
#include "tests/fake/guest-agent.h"

#include "base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX 16

typedef struct FakeProcess {
        pid_t pid;
        int out, err;
} FakeProcess;

struct FakeAgent {
        FakeAnswer answer;
        void *userdata;
        GThread *thread;
        int listener, connection, stop;
        GString *request;
        GArray *processes;
        FILE *files[FILES_MAX];
        char *busybox; /* folder */
        GMutex lock;
        GHashTable *counts;
};

void fake_agent_send(FakeAgent *fake, const void *bytes, size_t size)
{
        const char *next = bytes;

        while (size > 0 && fake->connection >= 0) {
                struct pollfd fds[] = {{.fd = fake->connection, .events = POLLOUT},
                                       {.fd = fake->stop, .events = POLLIN}};
                (void) poll(fds, 2, -1);
                ssize_t n = fds[1].revents ? -1
                                           : send(fake->connection, next, size,
                                                  MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && !fds[1].revents && errno == EAGAIN)
                        continue;
                if (n < 0)
                        return;
                next += n;
                size -= (size_t) n;
        }
}

void fake_agent_return(FakeAgent *fake, const char *value)
{
        g_autofree char *text = g_strdup_printf("{\"return\": %s}\n", value);

        fake_agent_send(fake, text, strlen(text));
}

void fake_agent_error(FakeAgent *fake, const char *class, const char *description)
{
        g_autoptr(Json) object = json_object_new_object();
        g_autofree char *text = NULL;

        json_object_object_add(object, "class", json_object_new_string(class));
        json_object_object_add(object, "desc", json_object_new_string(description));
        text = g_strdup_printf("{\"error\": %s}\n", json_object_to_json_string(object));
        fake_agent_send(fake, text, strlen(text));
}

void fake_agent_hang_up(FakeAgent *fake)
{
        fake->connection = close_fd(fake->connection);
}

static void return_json(FakeAgent *fake, Json *value)
{
        g_autoptr(Json) owned = value;

        fake_agent_return(fake, json_object_to_json_string_ext(owned, JSON_C_TO_STRING_PLAIN));
}

/* -- programs ------------------------------------------------------------------------------- */

static char **strings(Json *array, size_t n_before)
{
        size_t n = array ? json_object_array_length(array) : 0;
        char **list = g_new0(char *, n_before + n + 1);

        for (size_t i = 0; i < n; i++)
                list[n_before + i] =
                        g_strdup(json_object_get_string(json_object_array_get_idx(array, i)));
        return list;
}

static int input_file(Json *arguments)
{
        const char *text;
        gsize size = 0;
        int fd = memfd_create("input", MFD_CLOEXEC);

        if (json_find_string(arguments, "input-data", &text)) {
                g_autofree guchar *bytes = g_base64_decode(text, &size);
                g_assert(write(fd, bytes, size) == (ssize_t) size);
        }
        (void) lseek(fd, 0, SEEK_SET);
        return fd;
}

/* PATH is replaced, and with it all that the scripts call. */
static void be_busybox(FakeAgent *fake, const char **path, char **environment)
{
        if (!fake->busybox || !g_str_equal(*path, "/bin/sh"))
                return;
        *path = "/bin/busybox";
        for (char **e = environment; *e; e++)
                if (g_str_has_prefix(*e, "PATH=")) {
                        g_free(*e);
                        *e = g_strdup_printf("PATH=%s", fake->busybox);
                }
}

static void run_program(FakeAgent *fake, Json *arguments)
{
        FakeProcess p = {.out = memfd_create("out", MFD_CLOEXEC),
                         .err = memfd_create("err", MFD_CLOEXEC)};
        Json *arg = NULL, *env = NULL;
        const char *path = "";
        autofd input = input_file(arguments);
        posix_spawn_file_actions_t actions;

        (void) json_find_string(arguments, "path", &path);
        (void) json_find_array(arguments, "arg", &arg);
        (void) json_find_array(arguments, "env", &env);
        g_auto(GStrv) argv = strings(arg, 1);
        g_auto(GStrv) environment = strings(env, 0);
        be_busybox(fake, &path, environment);
        argv[0] = g_strdup(g_str_equal(path, "/bin/busybox") ? "sh" : path);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, input, 0);
        posix_spawn_file_actions_adddup2(&actions, p.out, 1);
        posix_spawn_file_actions_adddup2(&actions, p.err, 2);
        posix_spawn_file_actions_addchdir_np(&actions, "/");
        int error = posix_spawnp(&p.pid, path, &actions, NULL, argv, environment);
        posix_spawn_file_actions_destroy(&actions);
        if (error != 0) {
                fake_agent_error(fake, "GenericError", g_strerror(error));
                return;
        }
        g_array_append_val(fake->processes, p);
        Json *reply = json_object_new_object();
        json_object_object_add(reply, "pid", json_object_new_int(p.pid));
        return_json(fake, reply);
}

static void add_output(Json *reply, const char *key, int fd)
{
        off_t size = lseek(fd, 0, SEEK_END);

        if (size > 0) {
                g_autofree guchar *bytes = g_malloc((gsize) size);
                g_assert(pread(fd, bytes, (size_t) size, 0) == (ssize_t) size);
                g_autofree char *text = g_base64_encode(bytes, (gsize) size);
                json_object_object_add(reply, key, json_object_new_string(text));
        }
        (void) close_fd(fd);
}

static void program_status(FakeAgent *fake, Json *arguments)
{
        Json *reply = json_object_new_object();
        uint64_t pid = 0;
        int status;
        guint i = 0;

        (void) json_find_uint(arguments, "pid", &pid);
        while (i < fake->processes->len &&
               g_array_index(fake->processes, FakeProcess, i).pid != (pid_t) pid)
                i++;
        if (i == fake->processes->len) {
                json_object_put(reply);
                fake_agent_error(fake, "GenericError", "PID does not exist");
                return;
        }
        FakeProcess *p = &g_array_index(fake->processes, FakeProcess, i);
        bool has_ended = waitpid(p->pid, &status, WNOHANG) == p->pid;
        json_object_object_add(reply, "exited", json_object_new_boolean(has_ended));
        if (has_ended) {
                if (WIFEXITED(status))
                        json_object_object_add(reply, "exitcode",
                                               json_object_new_int(WEXITSTATUS(status)));
                else
                        json_object_object_add(reply, "signal",
                                               json_object_new_int(WTERMSIG(status)));
                add_output(reply, "out-data", p->out);
                add_output(reply, "err-data", p->err);
                g_array_remove_index_fast(fake->processes, i);
        }
        return_json(fake, reply);
}

/* -- files ---------------------------------------------------------------------------------- */

static void open_file(FakeAgent *fake, Json *arguments)
{
        const char *path = "", *mode = "r";
        int i = 0;

        (void) json_find_string(arguments, "path", &path);
        (void) json_find_string(arguments, "mode", &mode);
        while (fake->files[i])
                i++;
        fake->files[i] = fopen(path, mode);
        if (fake->files[i])
                return_json(fake, json_object_new_int(i));
        else
                fake_agent_error(fake, "GenericError", g_strerror(errno));
}

static void read_file_piece(FakeAgent *fake, FILE *file, Json *arguments)
{
        Json *reply = json_object_new_object();
        uint64_t count = 0;

        (void) json_find_uint(arguments, "count", &count);
        g_autofree guchar *bytes = g_malloc(count + 1);
        size_t n = fread(bytes, 1, count, file);
        g_autofree char *text = g_base64_encode(bytes, n);
        json_object_object_add(reply, "count", json_object_new_uint64(n));
        json_object_object_add(reply, "buf-b64", json_object_new_string(text));
        json_object_object_add(reply, "eof", json_object_new_boolean(feof(file) != 0));
        return_json(fake, reply);
}

static void write_file_piece(FakeAgent *fake, FILE *file, Json *arguments)
{
        Json *reply = json_object_new_object();
        const char *text = "";
        gsize size;

        (void) json_find_string(arguments, "buf-b64", &text);
        g_autofree guchar *bytes = g_base64_decode(text, &size);
        json_object_object_add(reply, "count",
                               json_object_new_uint64(fwrite(bytes, 1, size, file)));
        json_object_object_add(reply, "eof", json_object_new_boolean(false));
        return_json(fake, reply);
}

static void use_file(FakeAgent *fake, const char *command, Json *arguments)
{
        uint64_t handle = FILES_MAX, offset = 0;

        (void) json_find_uint(arguments, "handle", &handle);
        if (handle >= FILES_MAX || !fake->files[handle]) {
                fake_agent_error(fake, "GenericError", "no such handle");
                return;
        }
        FILE *file = fake->files[handle];
        if (g_str_equal(command, "guest-file-read")) {
                read_file_piece(fake, file, arguments);
                return;
        }
        if (g_str_equal(command, "guest-file-write")) {
                write_file_piece(fake, file, arguments);
                return;
        }
        if (g_str_equal(command, "guest-file-seek")) {
                (void) json_find_uint(arguments, "offset", &offset);
                (void) fseek(file, (long) offset, SEEK_SET);
        } else if (g_str_equal(command, "guest-file-flush")) {
                (void) fflush(file);
        } else {
                (void) fclose(file);
                fake->files[handle] = NULL;
        }
        fake_agent_return(fake, "{}");
}

/* -- requests ------------------------------------------------------------------------------- */

static void sync_delimited(FakeAgent *fake, Json *arguments)
{
        uint64_t id = 0;

        (void) json_find_uint(arguments, "id", &id);
        fake_agent_send(fake, "\xff", 1);
        return_json(fake, json_object_new_uint64(id));
}

void fake_agent_be_good(FakeAgent *fake, const char *command, Json *arguments)
{
        if (g_str_equal(command, "guest-sync-delimited"))
                sync_delimited(fake, arguments);
        else if (g_str_equal(command, "guest-ping"))
                fake_agent_return(fake, "{}");
        else if (g_str_equal(command, "guest-exec"))
                run_program(fake, arguments);
        else if (g_str_equal(command, "guest-exec-status"))
                program_status(fake, arguments);
        else if (g_str_equal(command, "guest-file-open"))
                open_file(fake, arguments);
        else if (g_str_has_prefix(command, "guest-file-"))
                use_file(fake, command, arguments);
        else if (g_str_has_prefix(command, "guest-fsfreeze-"))
                fake_agent_return(fake, "1");
        else
                fake_agent_error(fake, "CommandNotFound", "The command has not been found");
}

static void on_request(FakeAgent *fake, const char *text, size_t size)
{
        g_autoptr(Json) request = NULL;
        Json *arguments = NULL;
        const char *command;

        if (json_parse(text, size, 32, &request, NULL) < 0 ||
            !json_find_string(request, "execute", &command)) {
                fake_agent_error(fake, "GenericError", "JSON parse error");
                return;
        }
        (void) json_find_object(request, "arguments", &arguments);
        g_mutex_lock(&fake->lock);
        gpointer count = g_hash_table_lookup(fake->counts, command);
        g_hash_table_insert(fake->counts, g_strdup(command),
                            GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + 1));
        g_mutex_unlock(&fake->lock);
        if (!fake->answer || !fake->answer(fake, command, arguments, fake->userdata))
                fake_agent_be_good(fake, command, arguments);
}

static void receive(FakeAgent *fake)
{
        char bytes[65536];
        ssize_t n = recv(fake->connection, bytes, sizeof bytes, 0);

        if (n <= 0) {
                fake_agent_hang_up(fake);
                return;
        }
        for (ssize_t i = 0; i < n && fake->connection >= 0; i++) {
                if ((unsigned char) bytes[i] == 0xFF) {
                        g_string_truncate(fake->request, 0);
                } else if (bytes[i] == '\n') {
                        on_request(fake, fake->request->str, fake->request->len);
                        g_string_truncate(fake->request, 0);
                } else {
                        g_string_append_c(fake->request, bytes[i]);
                }
        }
}

static void *run(void *userdata)
{
        FakeAgent *fake = userdata;

        for (;;) {
                bool is_connected = fake->connection >= 0;
                struct pollfd fds[] = {
                        {.fd = is_connected ? fake->connection : fake->listener, .events = POLLIN},
                        {.fd = fake->stop, .events = POLLIN}};

                (void) poll(fds, 2, -1);
                if (fds[1].revents)
                        return NULL;
                if (is_connected) {
                        receive(fake);
                } else {
                        fake->connection = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
                        g_string_truncate(fake->request, 0);
                }
        }
}

FakeAgent *fake_agent_new(const char *socket_path, FakeAnswer answer, void *userdata)
{
        FakeAgent *fake = g_new0(FakeAgent, 1);
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path);
        (void) unlink(socket_path);
        fake->answer = answer;
        fake->userdata = userdata;
        fake->connection = -1;
        fake->stop = eventfd(0, EFD_CLOEXEC);
        fake->request = g_string_new(NULL);
        fake->processes = g_array_new(FALSE, FALSE, sizeof(FakeProcess));
        fake->counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_mutex_init(&fake->lock);
        fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert(bind(fake->listener, (struct sockaddr *) &address, sizeof address) == 0);
        g_assert(listen(fake->listener, 1) == 0);
        fake->thread = g_thread_new("fake agent", run, fake);
        return fake;
}

FakeAgent *fake_agent_free(FakeAgent *fake)
{
        uint64_t one = 1;

        if (!fake)
                return NULL;
        g_assert(write(fake->stop, &one, sizeof one) == sizeof one);
        g_thread_join(fake->thread);
        fake_agent_hang_up(fake);
        (void) close_fd(fake->listener);
        (void) close_fd(fake->stop);
        for (guint i = 0; i < fake->processes->len; i++) {
                FakeProcess *p = &g_array_index(fake->processes, FakeProcess, i);
                (void) close_fd(p->out);
                (void) close_fd(p->err);
        }
        for (int i = 0; i < FILES_MAX; i++)
                if (fake->files[i])
                        (void) fclose(fake->files[i]);
        g_array_unref(fake->processes);
        g_hash_table_unref(fake->counts);
        g_string_free(fake->request, TRUE);
        g_mutex_clear(&fake->lock);
        g_free(fake->busybox);
        g_free(fake);
        return NULL;
}

unsigned fake_agent_count(FakeAgent *fake, const char *command)
{
        g_mutex_lock(&fake->lock);
        unsigned count = GPOINTER_TO_UINT(g_hash_table_lookup(fake->counts, command));
        g_mutex_unlock(&fake->lock);
        return count;
}

void fake_agent_use_busybox(FakeAgent *fake, const char *folder)
{
        static const char *const programs[] = {
                "cat", "chmod", "chown", "grep", "id",   "mv",   "readlink", "rm",  "setpriv",
                "sh",  "sleep", "stat",  "su",   "sync", "true", "setsid",   "env", "test"};

        for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
                g_autofree char *path = g_strdup_printf("%s/%s", folder, programs[i]);
                (void) unlink(path);
                g_assert(symlink("/bin/busybox", path) == 0);
        }
        fake->busybox = g_strdup(folder);
}
