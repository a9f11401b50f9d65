/* SPDX-License-Identifier: MIT */

/* Files into and out of a guest. */

#include "tests/core/world.h"

#define HELLO "/etc/hello"

typedef struct Read {
        Outcome outcome;
        char *text;
        size_t size;
} Read;

static void on_read(const void *content, size_t size, int r, const Fault *f, void *userdata)
{
        Read *read = userdata;

        if (r >= 0)
                read->text = g_strndup(content, size);
        read->size = size;
        on_outcome(r, f, &read->outcome);
}

static int read_file(const char *path, uint64_t offset, uint64_t size, char **ret)
{
        Read read = {0};
        int r = finish(sandbox_read_file(get_sandbox("web"), &fixture.caller, path, offset, size,
                                         on_read, &read, fresh_fault()),
                       &read.outcome);

        if (ret)
                *ret = read.text;
        else
                g_free(read.text);
        return r;
}

static int write_file(const char *path, const char *text, size_t size, int mode)
{
        Outcome o = {0};

        return finish(sandbox_write_file(get_sandbox("web"), &fixture.caller, path, text, size,
                                         mode, on_outcome, &o, fresh_fault()),
                      &o);
}

static void on_moved(uint64_t size, int r, const Fault *f, void *userdata)
{
        tap_note("%" PRIu64 " bytes", size);
        on_outcome(r, f, userdata);
}

static int pull_file(const char *path, int fd)
{
        Outcome o = {0};

        return finish(sandbox_pull_file(get_sandbox("web"), &fixture.caller, path, fd, on_moved, &o,
                                        fresh_fault()),
                      &o);
}

static int push_file(const char *path, int fd)
{
        Outcome o = {0};

        return finish(sandbox_push_file(get_sandbox("web"), &fixture.caller, path, fd, -1, on_moved,
                                        &o, fresh_fault()),
                      &o);
}

static void test_inline(void)
{
        g_autofree char *text = NULL, *part = NULL, *much = g_malloc0(TRANSFER_INLINE_MAX + 1);

        is_done(write_file(HELLO, "hello world", 11, 0600), "a file is written");
        is_done(read_file(HELLO, 0, 100, &text), "and read");
        tap_is_str(text, "hello world", "as it was written");
        is_done(read_file(HELLO, 6, 3, &part), "a part of it can be read");
        tap_is_str(part, "wor", "from any offset");
        is_refused(read_file("/none", 0, 1, NULL), FAULT_NOT_FOUND,
                   "one that is not there is not found");
        is_refused(read_file("etc/hello", 0, 1, NULL), FAULT_INVALID_ARGUMENT,
                   "a path has to be absolute");
        is_refused(read_file(HELLO, 0, TRANSFER_INLINE_MAX + 1, NULL), FAULT_INVALID_ARGUMENT,
                   "more than 1 MiB is not read at a time");
        is_refused(write_file(HELLO, much, TRANSFER_INLINE_MAX + 1, -1), FAULT_INVALID_ARGUMENT,
                   "nor written");
        is_done(write_file("/much", much, TRANSFER_INLINE_MAX, -1), "the most is");
        is_refused(write_file(HELLO, "x", 1, 010000), FAULT_INVALID_ARGUMENT,
                   "a mode has no more than twelve bits");
        is_refused(write_file(HELLO, "x", 1, -2), FAULT_INVALID_ARGUMENT, "and no less than none");
        is_done(write_file("/empty", "", 0, -1), "an empty file is written");
}

static void test_descriptors(void)
{
        g_autofree char *bytes = g_strnfill(3 << 20, 'x'),
                        *path = g_build_filename(fixture.directory, "pulled", NULL);
        g_autofree char *pulled = NULL;
        autofd from = file_with(bytes), to = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        autofd read_only = open(path, O_RDONLY | O_CLOEXEC);
        int pipes[2];

        need(pipe2(pipes, O_CLOEXEC), "pipe");
        is_done(push_file("/big", from), "a file of any size is pushed");
        is_done(pull_file("/big", to), "and pulled");
        pulled = text_of(to);
        tap_ok(g_str_equal(pulled, bytes), "as it was");
        is_refused(pull_file("/none", to), FAULT_NOT_FOUND, "one that is not there is not found");
        is_refused(pull_file("/big", pipes[1]), FAULT_INVALID_ARGUMENT,
                   "a pipe could make everybody wait");
        is_refused(push_file("/x", pipes[0]), FAULT_INVALID_ARGUMENT, "in both directions");
        tap_ok(pull_file("/big", read_only) < 0, "what cannot be written fails");
        tap_ok(fcntl(to, F_GETFD) >= 0 && fcntl(from, F_GETFD) >= 0,
               "the caller's descriptors stay open");
        (void) close_fd(pipes[0]);
        (void) close_fd(pipes[1]);
}

static void test_interrupted(void)
{
        Read read = {0};
        Outcome written = {0};
        Sandbox *s = get_sandbox("web");

        need(sandbox_read_file(s, &fixture.caller, HELLO, 0, 10, on_read, &read, fresh_fault()),
             "read");
        need(sandbox_write_file(s, &fixture.caller, HELLO, "x", 1, -1, on_outcome, &written,
                                fresh_fault()),
             "write");
        fake_host_set_domain(s->row->id.text, DOMAIN_SHUT_OFF);
        settle();
        tap_ok(read.outcome.has_ended && written.has_ended,
               "what is under way ends when the guest is switched off");
        g_free(read.text);
        is_refused(read_file(HELLO, 0, 1, NULL), FAULT_WRONG_STATE,
                   "a stopped guest's files cannot be read");
        need(start_sandbox("web"), "start");
}

static int find_content(const AuditRow *row, void *userdata)
{
        *(bool *) userdata |= strstr(row->detail, "hello world") != NULL;
        return 0;
}

static void test_trail(void)
{
        bool is_found = false;

        need(store_query_audit(fixture.manager->store, &(AuditFilter){0}, find_content, &is_found,
                               &fixture.fault),
             "audit");
        tap_ok(!is_found, "the content of files is not in the trail");
        tap_ok(is_trail_paired() && count_audit("file.read", "begin", "") > 3 &&
                       count_audit("file.write", "begin", "") > 3,
               "but every transfer is");
        tap_is_int(fixture.manager->operations, 0, "and none is under way");
}

int main(void)
{
        start_fixture(NULL);
        (void) ready_sandbox("web");
        test_inline();
        test_descriptors();
        test_interrupted();
        test_trail();
        stop_fixture();
        return tap_done();
}
