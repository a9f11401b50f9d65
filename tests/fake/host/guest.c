/* SPDX-License-Identifier: MIT */
#include "host/guest.h"

#include "tests/fake/host/state.h"
#include "tests/fake/host/task.h"

#include <errno.h>

void fake_task_free(GuestTask *task)
{
        (void) g_ptr_array_remove(fake.tasks, task);
        (void) sd_event_source_disable_unref(task->step);
        (void) sd_event_source_disable_unref(task->timer);
        g_free(task->id);
        g_free(task->path);
        g_free(task->given.hostname);
        g_free(task->given.machine_id);
        g_free(task->given.ssh_host_key);
        g_free(task->given.seed);
        g_free(task);
}

static bool is_paused(const GuestTask *task)
{
        const FakeDomain *d = fake_domain_of_agent(task->agent);

        return d && domain_stands_still(d->state);
}

void fake_tasks_wake(void)
{
        for (guint i = 0; fake.tasks && i < fake.tasks->len; i++) {
                GuestTask *task = fake.tasks->pdata[i];

                if (!task->waits || is_paused(task))
                        continue;
                task->waits = false;
                (void) sd_event_source_set_enabled(task->step, SD_EVENT_ONESHOT);
        }
}

static int on_step(G_GNUC_UNUSED sd_event_source *source, void *userdata)
{
        GuestTask *task = userdata;
        Fault f = {0};
        int r;

        (void) sd_event_source_set_enabled(task->step, SD_EVENT_OFF);
        task->waits = is_paused(task);
        if (task->waits)
                return 0;
        r = fake_call("the end of a guest task", &f);
        if (r == 0 && !(agent_is_reachable(task->agent) && fake_agent_answers(task->agent)))
                r = fault_set(&f, FAULT_AGENT_UNAVAILABLE, "the guest agent does not answer");
        task->finish(task, r, &f);
        return 0;
}

int fake_task_new(sd_event *event, Agent *agent, const char *what,
                  void (*finish)(GuestTask *, int, const Fault *), void *userdata, GuestTask **ret,
                  Fault *f)
{
        GuestTask *task;
        int r = fake_call(what, f);

        if (r < 0)
                return r;
        task = g_new0(GuestTask, 1);
        task->agent = agent;
        task->finish = finish;
        task->userdata = userdata;
        if (!fake.tasks)
                fake.tasks = g_ptr_array_new();
        g_ptr_array_add(fake.tasks, task);
        g_assert(sd_event_add_defer(event, &task->step, on_step, task) >= 0);
        *ret = task;
        return 0;
}

void fake_tasks_end(const Agent *a)
{
        Fault f = {0};
        int r = fault_set(&f, FAULT_CANCELLED, "the channel to the guest agent was closed");

        for (guint i = 0; fake.tasks && i < fake.tasks->len;) {
                GuestTask *task = fake.tasks->pdata[i];

                if (task->agent == a) {
                        task->finish(task, r, &f);
                        i = 0;
                } else {
                        i++;
                }
        }
}

/* -- files ------------------------------------------------------------------------------------ */

static void read_end(GuestTask *task, bool ended, int r, const Fault *f)
{
        GuestReadHandlers handlers = task->read;
        void *userdata = task->userdata;

        fake_task_free(task);
        handlers.done(ended, r, f, userdata);
}

static void read_finish(GuestTask *task, int r, const Fault *f)
{
        const FakeDomain *d = fake_domain_of_agent(task->agent);
        GBytes *file = d ? g_hash_table_lookup(d->files, task->path) : NULL;
        const char *bytes;
        size_t size, end;
        Fault why = {0};

        if (r == 0 && !file) {
                r = fault_set(&why, FAULT_NOT_FOUND, "there is no file %s in the guest",
                              task->path);
                f = &why;
        }
        if (r < 0) {
                read_end(task, false, r, f);
                return;
        }
        bytes = g_bytes_get_data(file, &size);
        end = task->max < size && task->offset < size - task->max ? task->offset + task->max : size;
        for (size_t at = MIN(task->offset, size), n; r >= 0 && at < end; at += n) {
                n = MIN(end - at, 65536);
                r = task->read.piece(bytes + at, n, task->userdata);
        }
        read_end(task, end == size, MIN(r, 0), NULL);
}

int guest_read_file(sd_event *event, Agent *agent, const char *path, uint64_t offset,
                    uint64_t max_bytes, const GuestReadHandlers *handlers, void *userdata,
                    GuestTask **ret, Fault *f)
{
        int r = fake_task_new(event, agent, "guest_read_file", read_finish, userdata, ret, f);

        if (r < 0)
                return r;
        (*ret)->path = g_strdup(path);
        (*ret)->offset = offset;
        (*ret)->max = max_bytes;
        (*ret)->read = *handlers;
        return 0;
}

static void write_finish(GuestTask *task, int r, const Fault *f)
{
        FakeDomain *d = fake_domain_of_agent(task->agent);
        GuestWriteHandlers handlers = task->write;
        g_autoptr(GString) content = g_string_new(NULL);
        g_autofree char *buffer = g_malloc(65536);
        void *userdata = task->userdata;
        ssize_t n = r;
        Fault why = {0};

        while (n >= 0 && (n = handlers.next(buffer, 65536, userdata)) > 0)
                g_string_append_len(content, buffer, n);
        if (n == 0 && d)
                (void) g_hash_table_replace(d->files, g_strdup(task->path),
                                            g_bytes_new(content->str, content->len));
        if (n < 0 && r == 0) {
                r = fault_set_errno(&why, FAULT_IO, (int) n, "the content cannot be read");
                f = &why;
        }
        fake_task_free(task);
        handlers.done(r, f, userdata);
}

int guest_write_file(sd_event *event, Agent *agent, const char *path, int mode,
                     const GuestWriteHandlers *handlers, void *userdata, GuestTask **ret, Fault *f)
{
        int r = fake_task_new(event, agent, "guest_write_file", write_finish, userdata, ret, f);

        if (r < 0)
                return r;
        (*ret)->path = g_strdup(path);
        (*ret)->mode = mode;
        (*ret)->write = *handlers;
        return 0;
}

/* -- freezing --------------------------------------------------------------------------------- */

static void freeze_finish(GuestTask *task, int r, const Fault *f)
{
        FakeDomain *d = fake_domain_of_agent(task->agent);
        GuestDone done = task->done;
        void *userdata = task->userdata;
        Fault why = {0};

        if (r == 0 && task->freezes && !fake.freeze_works) {
                r = fault_set(&why, FAULT_AGENT_REFUSED, "this guest cannot freeze");
                f = &why;
        }
        if (r == 0 && d)
                d->is_frozen = task->freezes;
        fake_task_free(task);
        done(r, f, userdata);
}

static int freeze_task(sd_event *event, Agent *agent, bool freezes, GuestDone done, void *userdata,
                       GuestTask **ret, Fault *f)
{
        int r = fake_task_new(event, agent, freezes ? "guest_freeze" : "guest_thaw", freeze_finish,
                              userdata, ret, f);

        if (r < 0)
                return r;
        (*ret)->freezes = freezes;
        (*ret)->done = done;
        return 0;
}

int guest_freeze(sd_event *event, Agent *agent, G_GNUC_UNUSED uint64_t timeout_usec, GuestDone done,
                 void *userdata, GuestTask **ret, Fault *f)
{
        return freeze_task(event, agent, true, done, userdata, ret, f);
}

int guest_thaw(sd_event *event, Agent *agent, G_GNUC_UNUSED uint64_t timeout_usec, GuestDone done,
               void *userdata, GuestTask **ret, Fault *f)
{
        return freeze_task(event, agent, false, done, userdata, ret, f);
}

/* -- the script ------------------------------------------------------------------------------- */

void fake_guest_reset(void)
{
        g_clear_pointer(&fake.processes, g_ptr_array_unref);
        g_clear_pointer(&fake.agents, g_ptr_array_unref);
        g_clear_pointer(&fake.tasks, g_ptr_array_unref);
}

void fake_host_set_freeze(bool works)
{
        fake.freeze_works = works;
}

bool fake_host_is_frozen(const char *id)
{
        const FakeDomain *d = fake_domain_find(id);

        return d && d->is_frozen;
}

void fake_host_put_file(const char *id, const char *path, const void *bytes, size_t size)
{
        FakeDomain *d = fake_domain_find(id);

        g_assert(d);
        (void) g_hash_table_replace(d->files, g_strdup(path), g_bytes_new(bytes, size));
}

GBytes *fake_host_file(const char *id, const char *path)
{
        const FakeDomain *d = fake_domain_find(id);

        return d ? g_hash_table_lookup(d->files, path) : NULL;
}
