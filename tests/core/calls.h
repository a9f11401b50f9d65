/* SPDX-License-Identifier: MIT */
#pragma once

/* The manager's calls as calls that return, and what is to come of them. */

#include "tests/core/fixture.h"

/* -- calls ------------------------------------------------------------------------------------ */

typedef struct Outcome {
        bool has_ended;
        int r;
        Fault fault;
} Outcome;

static inline void on_outcome(int r, const Fault *f, void *userdata)
{
        Outcome *o = userdata;

        g_assert(!o->has_ended);
        *o = (Outcome){.has_ended = true, .r = r};
        if (f)
                o->fault = *f;
}

static inline bool has_ended(void *userdata)
{
        return ((Outcome *) userdata)->has_ended;
}

/* How a call ended that was begun with r. */
static inline int finish(int r, Outcome *o)
{
        if (r < 0)
                return r;
        if (!until(has_ended, o))
                tap_bail_out("a call does not end");
        settle();
        fixture.fault = o->fault;
        return o->r;
}

/* The reason that the next call leaves behind. */
static inline Fault *fresh_fault(void)
{
        fault_clear(&fixture.fault);
        fixture.caller.is_audited = false;
        return &fixture.fault;
}

static inline int file_with(const char *content)
{
        int fd = memfd_create("test", MFD_CLOEXEC);

        need(fd, "memfd_create");
        need(write_all(fd, content, strlen(content)), "write");
        need(lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0, "lseek");
        return fd;
}

static inline char *text_of(int fd)
{
        struct stat st = {0};
        char *text;

        need(fstat(fd, &st), "fstat");
        text = g_malloc0((size_t) st.st_size + 1);
        need(pread_all(fd, text, (size_t) st.st_size, 0), "read");
        return text;
}

static inline int import_template(const TemplateSpec *spec, Template **ret)
{
        Template *t;
        Outcome o = {0};
        Fault *f = fresh_fault();
        int r = template_import(fixture.manager, &fixture.caller, spec, &t, f);

        if (r == 0)
                r = template_wait(t, USEC_INFINITY, on_outcome, &o, f);
        r = finish(r, &o);
        if (r == 0 && ret)
                *ret = t;
        return r;
}

static inline int import_image(const char *name, const char *content)
{
        autofd fd = file_with(content);

        return import_template(
                &(TemplateSpec){.name = name, .image_fd = fd, .kernel_fd = -1, .initrd_fd = -1},
                NULL);
}

static inline Template *get_template(const char *name)
{
        Template *t = NULL;

        (void) manager_get_template(fixture.manager, name, &t, NULL);
        return t;
}

static inline int remove_template(const char *name)
{
        Outcome o = {0};

        return finish(
                template_remove(get_template(name), &fixture.caller, on_outcome, &o, fresh_fault()),
                &o);
}

/* The caller's sandbox of that name, or NULL. */
static inline Sandbox *get_sandbox(const char *name)
{
        Sandbox *s = NULL;

        (void) manager_get_sandbox(fixture.manager, &fixture.caller, name, &s, NULL);
        return s;
}

static inline int wait_sandbox(Sandbox *s, const char *wanted)
{
        Outcome o = {0};

        return finish(sandbox_wait(s, wanted, PATIENCE_USEC, on_outcome, &o, &fixture.fault), &o);
}

static inline int create_from(const SandboxSpec *spec)
{
        Sandbox *s;
        int r = sandbox_create(fixture.manager, &fixture.caller, spec, &s, fresh_fault());

        return r < 0 ? r : wait_sandbox(s, "ready");
}

static inline int create_sandbox(const char *name)
{
        return create_from(&(SandboxSpec){.name = name, .template = "base"});
}

/* With a template "base". */
static inline Sandbox *ready_sandbox(const char *name)
{
        if (!get_template("base"))
                need(import_image("base", IMAGE), "import");
        need(create_sandbox(name), "create");
        if (sandbox_state(get_sandbox(name)) != SANDBOX_READY)
                tap_bail_out("the sandbox is not ready");
        return get_sandbox(name);
}

static inline int start_sandbox(const char *name)
{
        int r = sandbox_start(get_sandbox(name), &fixture.caller, fresh_fault());

        settle();
        return r;
}

static inline int stop_sandbox(const char *name, bool force)
{
        int r = sandbox_stop(get_sandbox(name), &fixture.caller, force, fresh_fault());

        settle();
        return r;
}

static inline int destroy_sandbox(const char *name)
{
        Outcome o = {0};

        return finish(
                sandbox_destroy(get_sandbox(name), &fixture.caller, on_outcome, &o, fresh_fault()),
                &o);
}

static inline void on_snapshot(Snapshot *snapshot, int r, const Fault *f, void *userdata)
{
        g_assert(r < 0 ? !snapshot : snapshot != NULL);
        on_outcome(r, f, userdata);
}

static inline int take_snapshot_as(const char *sandbox, const SnapshotSpec *spec)
{
        Outcome o = {0};

        return finish(snapshot_create(get_sandbox(sandbox), &fixture.caller, spec, on_snapshot, &o,
                                      fresh_fault()),
                      &o);
}

static inline int take_snapshot(const char *sandbox, const char *name)
{
        return take_snapshot_as(sandbox, &(SnapshotSpec){.name = name, .freeze = true});
}

static inline int take_memory_snapshot(const char *sandbox, const char *name)
{
        return take_snapshot_as(sandbox, &(SnapshotSpec){.name = name, .memory = true});
}

static inline int restore_snapshot(const char *sandbox, const char *name)
{
        Outcome o = {0};

        return finish(snapshot_restore(get_sandbox(sandbox), &fixture.caller, name, on_outcome, &o,
                                       fresh_fault()),
                      &o);
}

static inline int delete_snapshots(const char *sandbox, const char *name, bool cascade)
{
        Outcome o = {0};

        return finish(snapshot_delete(snapshot_find(get_sandbox(sandbox), name), &fixture.caller,
                                      cascade, on_outcome, &o, fresh_fault()),
                      &o);
}

static inline int delete_snapshot(const char *sandbox, const char *name)
{
        return delete_snapshots(sandbox, name, false);
}

/* It has ended when the branch is ready, or is not to be. While libvirtd is away it is neither. */
static inline void on_branch(Sandbox *branch, int r, const Fault *f, void *userdata)
{
        Fault why = {0};

        g_assert(r < 0 ? !branch : branch != NULL);
        if (r >= 0) {
                r = sandbox_wait(branch, "ready", PATIENCE_USEC, on_outcome, userdata, &why);
                f = &why;
        }
        if (r < 0)
                on_outcome(r, f, userdata);
}

static inline bool has_ended_or_is_lost(void *userdata)
{
        return has_ended(userdata) || !hypervisor_is_connected(fixture.manager->hypervisor);
}

static inline int branch_as(const char *sandbox, const char *point, const SandboxSpec *spec)
{
        Outcome *o = g_new0(Outcome, 1);
        int r;

        if (!fixture.outcomes)
                fixture.outcomes = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(fixture.outcomes, o);
        r = sandbox_branch(get_sandbox(sandbox), &fixture.caller, point, spec, on_branch, o,
                           fresh_fault());
        if (r >= 0 && !until(has_ended_or_is_lost, o))
                tap_bail_out("a branch is never made");
        settle();
        return r < 0 || o->has_ended ? finish(r, o) : -ENOTCONN;
}

static inline int branch_sandbox(const char *sandbox, const char *point, const char *name)
{
        return branch_as(sandbox, point, &(SandboxSpec){.name = name});
}

static inline int pause_sandbox(const char *name, bool to_disk)
{
        Outcome o = {0};

        return finish(sandbox_pause(get_sandbox(name), &fixture.caller, to_disk, on_outcome, &o,
                                    fresh_fault()),
                      &o);
}

static inline int resume_sandbox(const char *name)
{
        Outcome o = {0};
        int r = finish(
                sandbox_resume(get_sandbox(name), &fixture.caller, on_outcome, &o, fresh_fault()),
                &o);

        /* Of what nobody knows where it stands nothing more comes. */
        if (r == 0 && sandbox_state(get_sandbox(name)) == SANDBOX_UNKNOWN)
                r = -ENOTCONN;
        return r < 0 ? r : wait_sandbox(get_sandbox(name), "ready");
}

/* 0 for a size: the template's. */
static inline int warm_template(const char *name, unsigned vcpus, uint64_t memory_bytes)
{
        Template *t = get_template(name);
        Outcome o = {0};
        int r = template_warm(t, &fixture.caller, vcpus, memory_bytes, fresh_fault());

        if (r == 0)
                r = template_wait_warm(t, PATIENCE_USEC, on_outcome, &o, &fixture.fault);
        return finish(r, &o);
}

static inline int cool_template(const char *name)
{
        Outcome o = {0};

        return finish(
                template_cool(get_template(name), &fixture.caller, on_outcome, &o, fresh_fault()),
                &o);
}

static inline int set_pool(const char *name, unsigned size)
{
        int r = template_set_pool(get_template(name), &fixture.caller, size, fresh_fault());

        settle();
        return r;
}

/* `ports` may be NULL. */
static inline int set_network(const char *name, const char *profile, const char *const *ports)
{
        Outcome o = {0};

        return finish(sandbox_set_network(get_sandbox(name), &fixture.caller, profile, ports,
                                          on_outcome, &o, fresh_fault()),
                      &o);
}

typedef struct Comparison {
        Outcome outcome;
        char *text;
} Comparison;

static inline void on_diff(int fd, int r, const Fault *f, void *userdata)
{
        Comparison *c = userdata;

        if (r >= 0)
                c->text = text_of(fd);
        on_outcome(r, f, &c->outcome);
}

/* What the diff program wrote. */
static inline int compare_points(const char *sandbox, const char *from, const char *to, char **ret)
{
        Comparison c = {0};
        int r = finish(diff_start(get_sandbox(sandbox), &fixture.caller,
                                  &(DiffSpec){.from = from, .to = to}, on_diff, &c, fresh_fault()),
                       &c.outcome);

        if (ret)
                *ret = c.text;
        else
                g_free(c.text);
        return r;
}

/* The same of a file at a point. */
static inline int take_out(const char *sandbox, const FileAtSpec *spec, char **ret)
{
        Comparison c = {0};
        int r = finish(file_at_start(get_sandbox(sandbox), &fixture.caller, spec, on_diff, &c,
                                     fresh_fault()),
                       &c.outcome);

        if (ret)
                *ret = c.text;
        else
                g_free(c.text);
        return r;
}

/* Does not wait for its end. */
static inline int start_command(const char *sandbox, const char *const *argv, Command **ret)
{
        return command_start(get_sandbox(sandbox), &fixture.caller, &(CommandSpec){.argv = argv},
                             ret, fresh_fault());
}
#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline int end_command(Command *c)
{
        Outcome o = {0};

        return finish(command_wait(c, PATIENCE_USEC, on_outcome, &o, &fixture.fault), &o);
}

static inline char *read_output(Command *c, CommandStream stream)
{
        char *text;
        size_t size;
        bool ended;

        need(command_read(c, stream, 0, UINT64_MAX, &text, &size, &ended, &fixture.fault),
             "command_read");
        text[size] = '\0';
        return text;
}

/* -- cases ------------------------------------------------------------------------------------ */

/* One case: a call that returned r ended well, or with that fault. */
__attribute__((format(printf, 2, 3))) static inline bool is_done(int r, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void) tap_vok(r >= 0, format, args);
        va_end(args);
        if (r < 0)
                tap_note("%s: %s", fault_to_string(fixture.fault.code), fixture.fault.message);
        return r >= 0;
}

__attribute__((format(printf, 3, 4))) static inline bool is_refused(int r, FaultCode code,
                                                                    const char *format, ...)
{
        bool good = r < 0 && r == fault_to_errno(code) && fixture.fault.code == code &&
                    *fixture.fault.message;
        va_list args;

        va_start(args, format);
        (void) tap_vok(good, format, args);
        va_end(args);
        if (!good)
                tap_note("%d, %s: %s", r, fault_to_string(fixture.fault.code),
                         fixture.fault.message);
        return good;
}

static inline const char *state_of(const char *sandbox)
{
        const Sandbox *s = get_sandbox(sandbox);

        return s ? sandbox_state_to_string(sandbox_state(s)) : "gone";
}
