/* SPDX-License-Identifier: MIT */
#include "core/command.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quantity.h"
#include "core/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGV_MAX         1024
#define ARGV_BYTES_MAX   (128 * 1024)
#define ENVIRONMENT_MAX  256
#define COMMAND_READ_MAX (1024 * 1024)
#define SIGNAL_EXIT_BASE 128
#define SIGNAL_MAX       64

struct Command {
        Manager *manager;
        CommandRow *row;
        Sandbox *sandbox;
        GuestTask *task;
        AuditEntry *entry;
        int spool_fds[_COMMAND_STREAM_MAX];
        Fault fault;
        WaitList waiters;
};

const CommandRow *command_row(const Command *c)
{
        return c->row;
}

Sandbox *command_sandbox(const Command *c)
{
        return c->sandbox;
}

const Fault *command_fault(const Command *c)
{
        return &c->fault;
}

bool command_has_ended(const Command *c)
{
        return !g_str_equal(c->row->state, "running");
}

static char *bus_path(const Command *c)
{
        return g_strdup_printf("/sh/fluid/Host1/command/%s", c->row->id.text);
}

static char *spool_path(const Command *c, CommandStream stream)
{
        static const char *const endings[] = {"out", "err"};
        g_autofree char *file = g_strdup_printf("commands/%s.%s", c->row->id.text, endings[stream]);

        return sandbox_file(c->manager, c->sandbox->row->id.text, file);
}

static Json *describe_end(const Command *c)
{
        const CommandRow *row = c->row;
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "state", json_object_new_string(row->state));
        if (g_str_equal(row->state, "exited"))
                (void) json_object_object_add(detail, "exit_status",
                                              json_object_new_int(row->exit_status));
        if (row->signal)
                (void) json_object_object_add(detail, "signal", json_object_new_int(row->signal));
        (void) json_object_object_add(detail, "stdout_bytes",
                                      json_object_new_uint64(row->stdout_bytes));
        (void) json_object_object_add(detail, "stderr_bytes",
                                      json_object_new_uint64(row->stderr_bytes));
        return detail;
}

/* With the end of its audit row: one wait for the disk. */
static void save_end(Command *c, int result)
{
        Store *store = c->manager->store;
        Fault f = {0};

        audit_set_result(c->entry, describe_end(c));
        int r = store_begin(store, &f);
        if (r == 0)
                r = store_put_command(store, c->row, &f);
        if (r == 0)
                r = audit_write_end(c->entry, result, &c->fault, &f);
        if (r == 0)
                r = store_commit(store, &f);
        if (r == 0) {
                c->entry = audit_discard(c->entry);
                return;
        }
        store_rollback(store);
        log_error("cannot save the end of command %s: %s", c->row->id.text, f.message);
        c->entry = audit_end(c->entry, result, &c->fault);
}

/* -- its life in the guest ------------------------------------------------------------------ */

static bool has_ended(const char *wanted, void *object)
{
        (void) wanted;
        return command_has_ended(object);
}

static void close_spools(Command *c)
{
        for (size_t i = 0; i < _COMMAND_STREAM_MAX; i++)
                c->spool_fds[i] = close_fd(c->spool_fds[i]);
}

static void end(Command *c, const char *state, int r)
{
        c->task = NULL;
        close_spools(c);
        g_free(c->row->state);
        c->row->state = g_strdup(state);
        g_free(c->row->reason);
        c->row->reason = g_strdup(c->fault.message);
        c->row->ended_usec = now_realtime_usec();
        c->sandbox->commands_running--;
        sandbox_touch(c->sandbox);
        manager_changed(c->manager, OBJECT_COMMAND, c);
        wait_notify(&c->waiters, has_ended, c);
        /* Its answer is on the way; nobody has to wait for the disk. */
        save_end(c, r);
}

static void fail(Command *c, const Fault *f)
{
        c->fault = *f;
        c->row->exit_status = -1;
        end(c, "failed", fault_to_errno(f->code));
}

static void on_started(int64_t pid, void *userdata)
{
        Command *c = userdata;

        c->row->pid = pid;
        Fault f = {0};
        if (store_put_command_until_reboot(c->manager->store, c->row, &f) < 0)
                log_error("cannot save the pid of command %s: %s", c->row->id.text, f.message);
}

static void on_output(GuestStream stream, const void *bytes, size_t size, void *userdata)
{
        Command *c = userdata;
        uint64_t *kept = stream == GUEST_STDOUT ? &c->row->stdout_bytes : &c->row->stderr_bytes;
        bool *truncated =
                stream == GUEST_STDOUT ? &c->row->stdout_truncated : &c->row->stderr_truncated;
        int fd = c->spool_fds[stream == GUEST_STDOUT ? COMMAND_STDOUT : COMMAND_STDERR];
        int r = manager_has_room(c->manager, NULL);

        if (r == 0 && !*truncated)
                r = write_all(fd, bytes, size);
        else
                r = -ENOSPC;
        if (r == 0)
                *kept += size;
        else
                *truncated = true;
}

static void on_done(const GuestExit *guest_exit, int r, const Fault *f, void *userdata)
{
        Command *c = userdata;

        c->task = NULL;
        /* It runs on in the guest, and is taken up by the next daemon. */
        if (c->manager->is_closing)
                return;
        /* It is paused with its sandbox, and taken up when that is resumed. */
        if (c->sandbox->is_detaching) {
                close_spools(c);
                return;
        }
        if (r < 0) {
                fail(c, f);
                return;
        }
        c->row->stdout_truncated |= guest_exit->truncated[GUEST_STDOUT];
        c->row->stderr_truncated |= guest_exit->truncated[GUEST_STDERR];
        c->row->signal = guest_exit->signal;
        c->row->exit_status = guest_exit->signal ? SIGNAL_EXIT_BASE + guest_exit->signal
                                                 : guest_exit->exit_status;
        if (guest_exit->timed_out)
                end(c, "timed-out", 0);
        else
                end(c, guest_exit->signal ? "killed" : "exited", 0);
}

static const GuestExecHandlers exec_handlers = {on_started, on_output, on_done};

static int open_spools(Command *c, int flags, Fault *f)
{
        for (CommandStream i = 0; i < _COMMAND_STREAM_MAX; i++) {
                g_autofree char *path = spool_path(c, i);
                c->spool_fds[i] =
                        open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
                if (c->spool_fds[i] < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot open '%s'", path);
        }
        return 0;
}

static void remove_spools(const Command *c)
{
        for (CommandStream i = 0; i < _COMMAND_STREAM_MAX; i++) {
                g_autofree char *path = spool_path(c, i);
                (void) unlink(path);
        }
}

/* -- what may be asked for ------------------------------------------------------------------ */

static int check_strings(const char *what, const char *const *strings, size_t most, Fault *f)
{
        size_t bytes = 0, n;

        for (n = 0; strings && strings[n]; n++)
                bytes += strlen(strings[n]) + 1;
        if (n > most || bytes > ARGV_BYTES_MAX)
                return fault_set(
                        f, FAULT_INVALID_ARGUMENT,
                        "%s has more than %zu words or %d bytes; put it into a file and push it",
                        what, most, ARGV_BYTES_MAX);
        return 0;
}

static int check_environment(const char *const *environment, Fault *f)
{
        for (size_t i = 0; environment && environment[i]; i++) {
                const char *equals = strchr(environment[i], '=');
                if (!equals || equals == environment[i])
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "environment entry %zu is not NAME=value", i + 1);
        }
        return check_strings("the environment", environment, ENVIRONMENT_MAX, f);
}

static int check_spec(Sandbox *s, const CommandSpec *spec, Fault *f)
{
        const Config *config = s->manager->config;
        int r = sandbox_require_ready(s, f);

        if (r < 0)
                return r;
        if (!spec->argv[0] || !*spec->argv[0])
                return fault_set(f, FAULT_INVALID_ARGUMENT, "argv is empty: name a program to run");
        r = check_strings("argv", spec->argv, ARGV_MAX, f);
        if (r == 0)
                r = check_environment(spec->environment, f);
        if (r < 0)
                return r;
        if (spec->directory && !g_path_is_absolute(spec->directory))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "directory has to be an absolute path");
        if (spec->input_size > GUEST_INPUT_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "input is more than %d bytes; push a file and redirect from it",
                                 GUEST_INPUT_MAX);
        if (s->commands_running >= config->commands_running_max)
                return fault_set(f, FAULT_LIMITS_EXCEEDED,
                                 "%u commands run in sandbox '%s' already (commands_running_max)",
                                 s->commands_running, s->row->name);
        return manager_has_room(s->manager, f);
}

static Json *argv_to_json(const char *const *argv)
{
        Json *array = json_object_new_array();

        for (size_t i = 0; argv[i]; i++)
                (void) json_object_array_add(array, json_object_new_string(argv[i]));
        return array;
}

static Json *describe(const Command *c, const CommandSpec *spec)
{
        Json *detail = json_object_new_object();

        (void) json_object_object_add(detail, "sandbox",
                                      json_object_new_string(c->sandbox->row->id.text));
        (void) json_object_object_add(detail, "argv", argv_to_json(spec->argv));
        if (spec->user)
                (void) json_object_object_add(detail, "user", json_object_new_string(spec->user));
        if (spec->directory)
                (void) json_object_object_add(detail, "directory",
                                              json_object_new_string(spec->directory));
        return detail;
}

static CommandRow *new_row(const Sandbox *s, const CommandSpec *spec)
{
        g_autoptr(Json) argv = argv_to_json(spec->argv);
        uint64_t now = now_realtime_usec();
        CommandRow *row = g_new0(CommandRow, 1);

        *row = (CommandRow){
                .id = id_new(),
                .sandbox_id = s->row->id,
                .argv = g_strdup(json_object_to_json_string_ext(argv, JSON_C_TO_STRING_PLAIN)),
                .state = g_strdup("running"),
                .reason = g_strdup(""),
                .exit_status = -1,
                .output_max = spec->output_max ? MIN(spec->output_max, GUEST_OUTPUT_MAX)
                                               : GUEST_OUTPUT_MAX,
                .deadline_usec = spec->timeout_usec && spec->timeout_usec < USEC_INFINITY - now
                                         ? now + spec->timeout_usec
                                         : 0,
                .started_usec = now};
        return row;
}

/* The oldest that have ended make room. */
static void trim(Sandbox *s)
{
        g_autoptr(GPtrArray) list = manager_list(s->manager, OBJECT_COMMAND);
        uint64_t n = 0;

        for (guint i = 0; i < list->len; i++)
                n += ((Command *) list->pdata[i])->sandbox == s;
        for (guint i = 0; i < list->len && n > s->manager->config->commands_kept_max; i++) {
                Command *c = list->pdata[i];
                if (c->sandbox != s || !command_has_ended(c) ||
                    store_delete_command(s->manager->store, c->row->id.text, NULL) < 0)
                        continue;
                n--;
                remove_spools(c);
                manager_remove(s->manager, OBJECT_COMMAND, c->row->id.text, c);
                (void) command_free(c);
        }
}

static Command *command_new(Sandbox *s, CommandRow *row)
{
        Command *c = g_new0(Command, 1);

        *c = (Command){.manager = s->manager, .row = row, .sandbox = s, .spool_fds = {-1, -1}};
        return c;
}

/* One transaction for the row of the command and that of the audit trail: one wait for the disk. */
static int record(Command *c, Caller *caller, const CommandSpec *spec, Fault *f)
{
        Store *store = c->manager->store;
        AuditSubject subject = audit_subject_of_sandbox(c->sandbox->row);
        g_autofree char *path = bus_path(c);
        int r = store_begin(store, f);

        if (r == 0)
                r = audit_begin_about(c->manager, caller, "command.exec", path, &subject,
                                      describe(c, spec), &c->entry, f);
        if (r == 0)
                r = store_put_command(store, c->row, f);
        if (r == 0)
                r = store_commit(store, f);
        if (r < 0) {
                store_rollback(store);
                c->entry = audit_discard(c->entry);
                caller->is_audited = false;
        }
        return r;
}

int command_start(Sandbox *s, Caller *caller, const CommandSpec *spec, Command **ret, Fault *f)
{
        int r = check_spec(s, spec, f);

        if (r < 0)
                return r;
        trim(s);
        Command *c = command_new(s, new_row(s, spec));
        GuestExecSpec guest = {.id = c->row->id.text,
                               .argv = spec->argv,
                               .environment = spec->environment,
                               .directory = spec->directory,
                               .user = spec->user,
                               .input = spec->input,
                               .input_size = spec->input_size,
                               .timeout_usec =
                                       spec->timeout_usec ? spec->timeout_usec : USEC_INFINITY,
                               .output_max = c->row->output_max};
        r = open_spools(c, O_CREAT | O_EXCL, f);
        if (r == 0)
                r = record(c, caller, spec, f);
        if (r == 0)
                r = guest_exec(s->manager->event, s->agent, &guest, &exec_handlers, c, &c->task, f);
        if (r < 0) {
                if (c->entry) {
                        c->entry = audit_end(c->entry, r, f);
                        (void) store_delete_command(s->manager->store, c->row->id.text, NULL);
                }
                remove_spools(c);
                (void) command_free(c);
                return r;
        }
        s->commands_running++;
        manager_add(s->manager, OBJECT_COMMAND, c->row->id.text, c);
        *ret = c;
        return 0;
}

int command_wait(Command *c, uint64_t timeout_usec, OperationDone done, void *userdata, Fault *f)
{
        return wait_add(&c->waiters, c->manager->event, "", timeout_usec, has_ended, c, done,
                        userdata, f);
}

int command_read(Command *c, CommandStream stream, uint64_t offset, uint64_t max,
                 char **ret_content, size_t *ret_size, bool *ret_ended, Fault *f)
{
        uint64_t kept = stream == COMMAND_STDOUT ? c->row->stdout_bytes : c->row->stderr_bytes;
        uint64_t size = offset < kept ? MIN(kept - offset, MIN(max, COMMAND_READ_MAX)) : 0;
        g_autofree char *content = g_malloc(size + 1);
        g_autofree char *path = spool_path(c, stream);

        if (size > 0) {
                autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                int r = fd < 0 ? -errno : pread_all(fd, content, size, offset);
                if (r < 0)
                        return fault_set_errno(f, FAULT_IO, r, "cannot read the command's output");
        }
        *ret_content = TAKE_PTR(content);
        *ret_size = size;
        *ret_ended = command_has_ended(c) && offset + size >= kept;
        return 0;
}

/* -- killing -------------------------------------------------------------------------------- */

typedef struct Kill {
        AuditEntry *entry;
        OperationDone done;
        void *userdata;
        GuestTask *task;
} Kill;

static void killed(int r, const Fault *f, void *userdata)
{
        Kill *q = userdata;

        (void) audit_end(q->entry, r, f);
        q->done(r, f, q->userdata);
        g_free(q);
}

int command_kill(Command *c, Caller *caller, int signal, OperationDone done, void *userdata,
                 Fault *f)
{
        g_autofree char *path = bus_path(c);
        AuditEntry *entry = NULL;
        int r;

        if (signal < 1 || signal > SIGNAL_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%d is not a signal", signal);
        if (command_has_ended(c))
                return fault_set(f, FAULT_WRONG_STATE, "the command has ended already");
        r = sandbox_require_ready(c->sandbox, f);
        if (r < 0)
                return r;
        Json *detail = json_object_new_object();
        (void) json_object_object_add(detail, "signal", json_object_new_int(signal));
        r = audit_begin(c->manager, caller, "command.kill", path, detail, &entry, f);
        if (r < 0)
                return r;
        Kill *q = g_new0(Kill, 1);
        *q = (Kill){.entry = entry, .done = done, .userdata = userdata};
        r = guest_kill(c->manager->event, c->sandbox->agent, c->row->id.text, signal, killed, q,
                       &q->task, f);
        if (r < 0) {
                (void) audit_end(entry, r, f);
                g_free(q);
        }
        return r;
}

/* -- together ------------------------------------------------------------------------------- */

Command *command_free(Command *c)
{
        if (!c)
                return NULL;
        if (c->task)
                guest_task_cancel(c->task);
        c->entry = audit_discard(c->entry);
        close_spools(c);
        wait_clear(&c->waiters);
        (void) command_row_free(c->row);
        g_free(c);
        return NULL;
}

static GPtrArray *list_of(const Sandbox *s)
{
        GPtrArray *list = manager_list(s->manager, OBJECT_COMMAND);

        for (guint i = list->len; i-- > 0;)
                if (((Command *) list->pdata[i])->sandbox != s)
                        (void) g_ptr_array_remove_index(list, i);
        return list;
}

void command_fail_all(Sandbox *s, FaultCode code, const char *reason)
{
        g_autoptr(GPtrArray) list = list_of(s);
        Fault f = {0};

        (void) fault_set(&f, code, "%s while the command ran", reason);
        for (guint i = 0; i < list->len; i++) {
                Command *c = list->pdata[i];
                if (command_has_ended(c))
                        continue;
                if (c->task)
                        guest_task_cancel(c->task);
                fail(c, &f);
        }
}

bool command_is_starting(const Sandbox *s)
{
        g_autoptr(GPtrArray) list = list_of(s);

        for (guint i = 0; i < list->len; i++) {
                const Command *c = list->pdata[i];
                if (!command_has_ended(c) && !c->row->pid)
                        return true;
        }
        return false;
}

void command_remove_unused(const Sandbox *s)
{
        g_autofree char *directory = sandbox_file(s->manager, s->row->id.text, "commands");
        g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);

        for (const char *name; files && (name = g_dir_read_name(files));) {
                g_autofree char *path = g_build_filename(directory, name, NULL);
                g_autofree char *id = g_strndup(name, ID_LENGTH);
                if (!g_hash_table_contains(s->manager->objects[OBJECT_COMMAND], id))
                        (void) unlink(path);
        }
}

void command_forget_all(Sandbox *s)
{
        g_autoptr(GPtrArray) list = list_of(s);
        Fault gone = {0};

        (void) fault_set(&gone, FAULT_NOT_FOUND, "the sandbox was destroyed");
        for (guint i = 0; i < list->len; i++) {
                Command *c = list->pdata[i];
                manager_remove(s->manager, OBJECT_COMMAND, c->row->id.text, c);
                wait_fail(&c->waiters, &gone);
                (void) command_free(c);
        }
}

/* What the agent had handed over before is lost with the process that read it: start anew. */
static int resume(Command *c, Fault *f)
{
        Sandbox *s = c->sandbox;
        uint64_t now = now_realtime_usec(), deadline = c->row->deadline_usec;
        GuestExecSpec spec = {.id = c->row->id.text,
                              .timeout_usec = !deadline        ? USEC_INFINITY
                                              : deadline > now ? deadline - now
                                                               : 1,
                              .output_max = c->row->output_max};
        int r = open_spools(c, O_CREAT | O_TRUNC, f);

        if (r < 0)
                return r;
        if (c->row->pid == 0)
                return fault_set(f, FAULT_COMMAND_NOT_RUN,
                                 "fluid-hostd was restarted when the guest was about to start it");
        return guest_exec_resume(s->manager->event, s->agent, c->row->pid, &spec, &exec_handlers, c,
                                 &c->task, f);
}

void command_resume_all(Sandbox *s)
{
        g_autoptr(GPtrArray) list = list_of(s);

        for (guint i = 0; i < list->len; i++) {
                Command *c = list->pdata[i];
                Fault f = {0};
                if (!command_has_ended(c) && !c->task && resume(c, &f) < 0)
                        fail(c, &f);
        }
}

int command_load_all(Manager *m, Fault *f)
{
        g_autoptr(GPtrArray) rows = NULL;
        int r = store_load_commands(m->store, &rows, f);

        if (r < 0)
                return r;
        g_ptr_array_set_free_func(rows, NULL);
        for (guint i = 0; i < rows->len; i++) {
                CommandRow *row = rows->pdata[i];
                Sandbox *s = g_hash_table_lookup(m->objects[OBJECT_SANDBOX], row->sandbox_id.text);
                if (!s)
                        return fault_set(
                                f, FAULT_INTERNAL,
                                "a command belongs to a sandbox that the database does not "
                                "have");
                Command *c = command_new(s, row);
                if (!command_has_ended(c)) {
                        g_autofree char *path = bus_path(c);
                        c->entry = audit_resume(m, "command.exec", path);
                        s->commands_running++;
                }
                manager_add(m, OBJECT_COMMAND, row->id.text, c);
        }
        return 0;
}
