/* SPDX-License-Identifier: MIT */
#include "tests/host/guest-fixture.h"

#include <errno.h>
#include <sys/stat.h>

/* -- reading files --------------------------------------------------------------------------- */

typedef struct Reading {
        Simple end;
        bool ended;
        int piece_error;
        GString *text;
} Reading;

static int piece(const void *bytes, size_t size, void *userdata)
{
        Reading *reading = userdata;

        g_string_append_len(reading->text, bytes, (gssize) size);
        return reading->piece_error;
}

static void read_done(bool ended, int r, const Fault *f, void *userdata)
{
        Reading *reading = userdata;

        reading->ended = ended;
        simple_done(r, f, &reading->end);
}

/* Of the file of that name in `folder`; piece_error is kept. */
static void read_file(Reading *reading, const char *name, uint64_t offset, uint64_t max_bytes)
{
        static const GuestReadHandlers handlers = {piece, read_done};
        g_autofree char *path = g_build_filename(folder, name, NULL);

        *reading = (Reading){.text = g_string_new(NULL), .piece_error = reading->piece_error};
        g_assert(guest_read_file(event, agent, path, offset, max_bytes, &handlers, reading,
                                 &reading->end.task, NULL) == 0);
        wait_simple(&reading->end);
}

static void done_reading(Reading *reading)
{
        g_string_free(reading->text, TRUE);
}

static void put(const char *name, const char *bytes, size_t size)
{
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_assert(g_file_set_contents(path, bytes, (gssize) size, NULL));
}

static char *get(const char *name, size_t *ret_size)
{
        g_autofree char *path = g_build_filename(folder, name, NULL);
        char *bytes = NULL;

        (void) g_file_get_contents(path, &bytes, ret_size, NULL);
        return bytes;
}

static void test_read(void)
{
        const size_t size = 1000 * 1000;
        g_autofree char *large = g_malloc(size);
        Reading reading = {0};

        for (size_t i = 0; i < size; i++)
                large[i] = (char) (i * 7 + i / 251);
        put("small", "hello", 5);
        put("large", large, size);
        read_file(&reading, "small", 0, UINT64_MAX);
        tap_ok(reading.end.r == 0 && reading.ended && g_str_equal(reading.text->str, "hello"),
               "a file is read");
        done_reading(&reading);
        read_file(&reading, "small", 1, 3);
        tap_ok(!reading.ended && g_str_equal(reading.text->str, "ell"), "a part of a file is read");
        done_reading(&reading);
        read_file(&reading, "small", 1, 4);
        tap_ok(reading.ended && g_str_equal(reading.text->str, "ello"),
               "that the file ends right there is told");
        done_reading(&reading);
        read_file(&reading, "small", 100, 4);
        tap_ok(reading.end.r == 0 && reading.ended && reading.text->len == 0,
               "nothing is behind a file's end");
        done_reading(&reading);
        read_file(&reading, "large", 0, UINT64_MAX);
        tap_ok(reading.ended && reading.text->len == size &&
                       memcmp(reading.text->str, large, size) == 0,
               "a file of many pieces arrives as it is");
        done_reading(&reading);
        reading.piece_error = -EIO;
        read_file(&reading, "large", 0, UINT64_MAX);
        tap_is_int(reading.end.r, -EIO, "the reader's own failure ends the task");
        done_reading(&reading);
        reading.piece_error = 0;

        read_file(&reading, "none", 0, 1);
        tap_is_int(reading.end.fault.code, FAULT_NOT_FOUND, "a file that does not exist is told");
        done_reading(&reading);
        read_file(&reading, "", 0, 1);
        tap_is_int(reading.end.fault.code, FAULT_INVALID_ARGUMENT, "a directory is not read");
        done_reading(&reading);
        g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);
        g_assert(mkfifo(fifo, 0600) == 0);
        read_file(&reading, "fifo", 0, 1);
        tap_is_int(reading.end.fault.code, FAULT_INVALID_ARGUMENT,
                   "a FIFO does not hang the agent");
        done_reading(&reading);
        tap_is_int(fake_agent_count(fake, "guest-file-open"),
                   fake_agent_count(fake, "guest-file-close"),
                   "every file that was opened is closed");
}

static void test_read_lies(void)
{
        static const struct {
                const char *name, *command, *value;
        } lies[] = {
                {"no handle", "guest-file-open", "{}"},
                {"a negative handle", "guest-file-open", "-5"},
                {"another count", "guest-file-read",
                 "{\"count\": 4, \"buf-b64\": \"aGVsbG8=\", \"eof\": true}"},
                {"more than asked", "guest-file-read",
                 "{\"count\": 5, \"buf-b64\": \"aGVsbG8=\", \"eof\": true}"},
        };
        Reading reading = {0};

        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
                begin_lying(lies[i].command, lies[i].value, false);
                read_file(&reading, "small", 0, 1);
                tap_ok(reading.end.fault.code == FAULT_AGENT_MISBEHAVED && reading.text->len <= 1,
                       "an agent that tells %s ends the reading", lies[i].name);
                done_reading(&reading);
                end();
        }
}

/* -- writing files --------------------------------------------------------------------------- */

typedef struct Writing {
        Simple end;
        const char *bytes;
        size_t left;
        int error; /* instead of the end */
} Writing;

static ssize_t next(void *buffer, size_t size, void *userdata)
{
        Writing *w = userdata;
        size_t n = MIN(MIN(size, w->left), 100000);

        if (w->left == 0 && w->error < 0)
                return w->error;
        memcpy(buffer, w->bytes, n);
        w->bytes += n;
        w->left -= n;
        return (ssize_t) n;
}

static void write_file(Writing *w, const char *name, int mode, const char *bytes, size_t size)
{
        static const GuestWriteHandlers handlers = {next, simple_done};
        g_autofree char *path = g_build_filename(folder, name, NULL);

        *w = (Writing){.bytes = bytes, .left = size, .error = w->error};
        w->end.r = guest_write_file(event, agent, path, mode, &handlers, w, &w->end.task,
                                    &w->end.fault);
        if (w->end.r == 0)
                wait_simple(&w->end);
}

static bool holds(const char *name, const char *bytes, size_t size)
{
        size_t n = 0;
        g_autofree char *found = get(name, &n);

        return found && n == size && memcmp(found, bytes, size) == 0;
}

static int mode_of(const char *name)
{
        g_autofree char *path = g_build_filename(folder, name, NULL);
        struct stat s;

        return lstat(path, &s) < 0 ? -1 : (int) (s.st_mode & 07777);
}

/* The calls that nobody waits for are done when a later one is. */
static unsigned count_temporary(void)
{
        Run run;
        unsigned n = 0;
        const char *name;

        run_spec(&run, SPEC(.argv = ARGV("true")));
        done_run(&run);
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        while ((name = g_dir_read_name(dir)))
                n += g_str_has_prefix(name, ".fluid-");
        return n;
}

static void test_write(const char *shell)
{
        const size_t size = 1000 * 1000;
        g_autofree char *large = g_malloc(size);
        g_autofree char *link = g_build_filename(folder, "sub/link", NULL);
        g_autofree char *sub = g_build_filename(folder, "sub", NULL);
        Writing w = {0};

        for (size_t i = 0; i < size; i++)
                large[i] = (char) (i * 11 + i / 241);
        g_autofree char *plain = g_build_filename(folder, "new", NULL);
        (void) unlink(plain);
        (void) g_mkdir(sub, 0755);
        write_file(&w, "new", -1, "one", 3);
        tap_ok(w.end.r == 0 && holds("new", "one", 3), "a file is written (%s)", shell);
        tap_is_int(mode_of("new"), 0644, "a new file has mode 0644 (%s)", shell);
        write_file(&w, "new", 04710, "", 0);
        tap_ok(w.end.r == 0 && holds("new", "", 0) && mode_of("new") == 04710,
               "an empty file is written, with the mode asked for (%s)", shell);
        write_file(&w, "new", -1, "three", 5);
        tap_ok(holds("new", "three", 5) && mode_of("new") == 04710,
               "an existing file keeps its mode (%s)", shell);
        write_file(&w, "large", 0600, large, size);
        tap_ok(w.end.r == 0 && holds("large", large, size) && mode_of("large") == 0600,
               "a file of many pieces arrives as it is (%s)", shell);

        (void) unlink(link);
        g_assert(symlink("../new", link) == 0);
        write_file(&w, "sub/link", -1, large, size);
        tap_ok(holds("new", large, size) && g_file_test(link, G_FILE_TEST_IS_SYMLINK),
               "a symbolic link is written through (%s)", shell);
        write_file(&w, "a b'\"$(id)\n", -1, "odd", 3);
        tap_ok(holds("a b'\"$(id)\n", "odd", 3), "any name is only a name (%s)", shell);

        write_file(&w, "sub", -1, "x", 1);
        tap_is_int(w.end.fault.code, FAULT_INVALID_ARGUMENT, "a directory is not replaced (%s)",
                   shell);
        write_file(&w, "none/new", -1, large, size);
        tap_is_int(w.end.fault.code, FAULT_NOT_FOUND, "a missing directory is told (%s)", shell);
        w.error = -EIO;
        write_file(&w, "new", -1, "x", 1);
        tap_is_int(w.end.r, -EIO, "the writer's failure ends the task (%s)", shell);
        write_file(&w, "new", -1, large, size);
        tap_ok(w.end.r == -EIO && holds("new", large, size), "and leaves the old file (%s)", shell);
        while (count_temporary() > 0) /* it goes after the task's end */
                ;
        tap_ok(true, "no temporary file is left (%s)", shell);
        tap_is_int(fake_agent_count(fake, "guest-file-open"),
                   fake_agent_count(fake, "guest-file-close"),
                   "every file that was opened is closed (%s)", shell);
}

static void test_write_lies(void)
{
        g_autofree char *large = g_strnfill(1000 * 1000, 'x');
        Writing w = {0};

        begin_lying("guest-file-write", "{\"count\": 10, \"eof\": false}", false);
        write_file(&w, "new", -1, large, strlen(large));
        tap_is_int(w.end.fault.code, FAULT_AGENT_REFUSED, "a short write ends the writing");
        while (count_temporary() > 0)
                ;
        tap_ok(true, "no temporary file is left after it");
        end();
}

/* -- freezing -------------------------------------------------------------------------------- */

static GMutex freeze_lock;

/* Good, but not before the test lets it. */
static bool answer_slow_freeze(FakeAgent *f, const char *command, Json *arguments, void *userdata)
{
        (void) f;
        (void) arguments;
        (void) userdata;
        if (g_str_equal(command, "guest-fsfreeze-freeze")) {
                g_mutex_lock(&freeze_lock);
                g_mutex_unlock(&freeze_lock);
        }
        return false;
}

static void test_cancelled_freeze(void)
{
        Simple s = {0};

        g_mutex_lock(&freeze_lock);
        begin(answer_slow_freeze);
        g_assert(guest_freeze(event, agent, LONG_USEC, simple_done, &s, &s.task, NULL) == 0);
        while (fake_agent_count(fake, "guest-fsfreeze-freeze") == 0)
                (void) sd_event_run(event, 1000);
        guest_task_cancel(s.task);
        g_mutex_unlock(&freeze_lock);
        while (fake_agent_count(fake, "guest-fsfreeze-thaw") == 0)
                turn();
        tap_ok(!s.is_done, "a freeze that is given up is undone");
        end();
}

static void test_freeze(void)
{
        Simple s = {0};

        begin(NULL);
        g_assert(guest_freeze(event, agent, LONG_USEC, simple_done, &s, &s.task, NULL) == 0);
        wait_simple(&s);
        tap_ok(s.r == 0 && fake_agent_count(fake, "guest-fsfreeze-thaw") == 0, "a guest is frozen");
        s = (Simple){0};
        g_assert(guest_thaw(event, agent, LONG_USEC, simple_done, &s, &s.task, NULL) == 0);
        wait_simple(&s);
        tap_ok(s.r == 0 && fake_agent_count(fake, "guest-fsfreeze-thaw") == 1, "a guest is thawed");
        end();

        begin_lying("guest-fsfreeze-freeze", "0", false);
        s = (Simple){0};
        g_assert(guest_freeze(event, agent, LONG_USEC, simple_done, &s, &s.task, NULL) == 0);
        wait_simple(&s);
        tap_is_int(s.fault.code, FAULT_AGENT_REFUSED,
                   "a guest without such file systems is not frozen");
        end();

        begin_lying(lie_about, "I/O error", true);
        s = (Simple){0};
        g_assert(guest_freeze(event, agent, LONG_USEC, simple_done, &s, &s.task, NULL) == 0);
        wait_simple(&s);
        tap_ok(s.fault.code == FAULT_AGENT_REFUSED &&
                       fake_agent_count(fake, "guest-fsfreeze-thaw") == 1,
               "a freeze that failed is undone before that is told");
        end();
}

/* -- together -------------------------------------------------------------------------------- */

int main(void)
{
        set_up();
        begin(NULL);
        test_read();
        test_write("sh");
        end();
        if (begin_with_busybox()) {
                test_write("busybox");
                end();
        }
        test_read_lies();
        test_write_lies();
        test_freeze();
        test_cancelled_freeze();
        tear_down();
        return tap_done();
}
