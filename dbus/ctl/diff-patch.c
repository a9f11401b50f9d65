/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/diff-patch.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/file.h"
#include "base/quantity.h"
#include "dbus/ctl/print.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX  (16 << 20)
#define HASH_SHOWN  16
#define CHILD_OLD   3
#define CHILD_NEW   4
#define FD_FREE_MIN 10 /* above what the child gets */

typedef struct Patch {
        const Digest *digest;
        bool all;
        bool is_apart; /* what was printed last wants a blank line after it */
} Patch;

/* A change's text; NULL where it is none or is not known. */
static char *content_of(Json *state, gsize *ret_size)
{
        const char *text;

        if (!state || !json_find_string(state, "content_b64", &text))
                return NULL;
        if (*text == '\0') {
                *ret_size = 0;
                return g_strdup("");
        }
        return (char *) g_base64_decode(text, ret_size);
}

static void print_patch_line(const char *line, size_t size)
{
        g_autofree char *text = escape_text(line, size);
        Colour colour = *line == '+'   ? COLOUR_ADDED
                        : *line == '-' ? COLOUR_REMOVED
                        : *line == '@' ? COLOUR_PLACE
                                       : COLOUR_DIM;
        bool is_plain = *line == ' ';

        printf("%s%s%s\n", is_plain ? "" : colour_begin(colour), text,
               is_plain ? "" : colour_end());
}

static const char *next_line(const char *p, const char *end)
{
        const char *newline = memchr(p, '\n', (size_t) (end - p));

        return newline ? newline + 1 : end;
}

/* All of one side. */
static void print_whole(char sign, const char *text, size_t size)
{
        const char *end = text + size;
        uint64_t n = 0;

        for (const char *p = text; p < end; p = next_line(p, end))
                n++;
        if (n == 0)
                return;
        g_autofree char *range = g_strdup_printf(n == 1 ? "1" : "1,%" PRIu64, n);
        g_autofree char *hunk = sign == '+' ? g_strdup_printf("@@ -0,0 +%s @@", range)
                                            : g_strdup_printf("@@ -%s +0,0 @@", range);
        print_patch_line(hunk, strlen(hunk));
        for (const char *p = text; p < end && !pager_is_gone();) {
                const char *next = next_line(p, end);
                g_autoptr(GString) line = g_string_new(NULL);
                g_string_append_c(line, sign);
                g_string_append_len(line, p, next - p - (next[-1] == '\n'));
                print_patch_line(line->str, line->len);
                p = next;
        }
        if (end[-1] != '\n')
                print_patch_line("\\ No newline at end of file", 27);
}

/* -- diff(1) ----------------------------------------------------------------------------------- */

/* A file in memory with that content, which nobody can change. */
static int make_file(const char *text, size_t size, Fault *f)
{
        autofd fd = memfd_create("fluidctl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;

        if (fd < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a temporary file");
        int r = write_all(fd, text, size);
        if (r < 0)
                return fault_set_errno(f, FAULT_IO, r, "cannot write a temporary file");
        int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_FREE_MIN);
        if (high < 0 || fcntl(high, F_ADD_SEALS, seals) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a temporary file");
        return high;
}

static int spawn(int old, int new, int output, pid_t *ret_pid, Fault *f)
{
        char *argv[] = {(char *) "diff",
                        (char *) "--text",
                        (char *) "--unified",
                        (char *) "/proc/self/fd/3",
                        (char *) "/proc/self/fd/4",
                        NULL};
        char *environment[] = {(char *) "LC_ALL=C", (char *) "PATH=/usr/bin:/bin", NULL};
        posix_spawn_file_actions_t actions;

        if (posix_spawn_file_actions_init(&actions) != 0)
                return fault_set(f, FAULT_NO_MEMORY, "no memory for a child");
        (void) posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        (void) posix_spawn_file_actions_adddup2(&actions, old, CHILD_OLD);
        (void) posix_spawn_file_actions_adddup2(&actions, new, CHILD_NEW);
        int r = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environment);
        (void) posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return fault_set_errno(f, FAULT_IO, r,
                                       "cannot run diff(1), of the package diffutils");
        return 0;
}

static int read_output(int fd, GString *out, Fault *f)
{
        char piece[16384];

        for (;;) {
                ssize_t n = read(fd, piece, sizeof piece);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot read from diff(1)");
                if (n == 0)
                        return 0;
                if (out->len + (size_t) n > OUTPUT_MAX)
                        return fault_set(f, FAULT_IO, "diff(1) wrote too much");
                g_string_append_len(out, piece, n);
        }
}

/* What diff(1) says, into `out`. */
static int run_diff(int old, int new, GString *out, Fault *f)
{
        int ends[2], status = -1;
        pid_t pid = 0;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot make a pipe");
        autofd from = ends[0], to = fcntl(ends[1], F_DUPFD_CLOEXEC, FD_FREE_MIN);
        (void) close_fd(ends[1]);
        int r = to < 0 ? fault_set_errno(f, FAULT_IO, errno, "cannot make a pipe")
                       : spawn(old, new, to, &pid, f);
        if (r < 0)
                return r;
        (void) close_fd(TAKE_FD(to));
        r = read_output(from, out, f);
        (void) close_fd(TAKE_FD(from));
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
        if (r == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) <= 1))
                r = fault_set(f, FAULT_IO, "diff(1) failed");
        return r;
}

/* Its first two lines name the files. */
static int print_difference(const char *old, size_t old_size, const char *new, size_t new_size,
                            Fault *f)
{
        g_autoptr(GString) out = g_string_new(NULL);

        autofd before = make_file(old, old_size, f);
        if (before < 0)
                return before;
        autofd after = make_file(new, new_size, f);
        int r = after < 0 ? after : run_diff(before, after, out, f);
        if (r < 0)
                return r;
        const char *end = out->str + out->len, *p = next_line(out->str, end);
        for (p = next_line(p, end); p < end && !pager_is_gone();) {
                const char *next = next_line(p, end);
                print_patch_line(p, (size_t) (next - p) - (next[-1] == '\n'));
                p = next;
        }
        return 0;
}

/* -- one change -------------------------------------------------------------------------------- */

static void print_head(const Change *c, const char *words)
{
        g_autofree char *path = escape_print(c->path, c->path_size);

        colour_print(change_infos[c->kind].colour, "%s ", change_infos[c->kind].letter);
        colour_print(COLOUR_TITLE, "%s%s", path, c->is_directory && c->path_size > 1 ? "/" : "");
        if (*words)
                colour_print(COLOUR_DIM, "  %s", words);
        putchar('\n');
}

static void print_mark(const Patch *p, const Change *c)
{
        Json *mark = digest_mark(p->digest, c->index);

        if (!mark)
                return;
        bool warns = g_str_equal(json_text(mark, "severity"), "warning");
        colour_print(warns ? COLOUR_WARNING : COLOUR_NOTICE, "! %s: %s", json_text(mark, "kind"),
                     json_text(mark, "text"));
        putchar('\n');
}

static void print_sides(const Change *c, const char *from, const char *to)
{
        g_autofree char *path = escape_print(c->path, c->path_size);

        colour_print(COLOUR_REMOVED, "--- %s", change_old(c) ? path : "/dev/null");
        colour_print(COLOUR_DIM, "  %s", from);
        putchar('\n');
        colour_print(COLOUR_ADDED, "+++ %s", change_new(c) ? path : "/dev/null");
        colour_print(COLOUR_DIM, "  %s", to);
        putchar('\n');
}

/* Size and hash, where there is a file at all. */
static void print_binary_side(const char *sign, Json *state)
{
        const char *hash = state ? json_text(state, "sha256") : "";

        if (!*hash)
                return;
        g_autofree char *size = size_format(json_number(state, "size"));
        colour_print(*sign == '-' ? COLOUR_REMOVED : COLOUR_ADDED, "%s %s, sha256 %.*s…", sign,
                     size, HASH_SHOWN, hash);
        putchar('\n');
}

static void print_binary(const Change *c)
{
        if (c->kind == CHANGE_METADATA)
                return;
        print_binary_side("-", change_old(c));
        print_binary_side("+", change_new(c));
}

static int print_content(const Patch *p, const Change *c, Fault *f)
{
        gsize old_size = 0, new_size = 0;
        g_autofree char *old = content_of(change_old(c), &old_size);
        g_autofree char *new = content_of(change_new(c), &new_size);
        bool is_pair = c->kind == CHANGE_MODIFIED;

        if (is_pair ? !old || !new : !old && !new) {
                print_binary(c);
                return 0;
        }
        if (is_pair && old && new) {
                print_sides(c, p->digest->from, p->digest->to);
                return print_difference(old, old_size, new, new_size, f);
        }
        if (old_size + new_size > 0)
                print_sides(c, p->digest->from, p->digest->to);
        if (old)
                print_whole('-', old, old_size);
        if (new)
                print_whole('+', new, new_size);
        return 0;
}

static bool wants(uint64_t index, void *userdata)
{
        const Patch *p = userdata;

        return p->all || digest_fold(p->digest, index, NULL) == FOLD_NONE;
}

static int on_change(const Change *c, void *userdata, Fault *f)
{
        g_autofree char *words = change_describe(c);
        bool has_content = change_new(c) && *json_text(change_new(c), "sha256") != '\0';
        Patch *p = userdata;

        if (p->is_apart)
                putchar('\n');
        p->is_apart = has_content && c->kind != CHANGE_METADATA;
        print_head(c, words);
        print_mark(p, c);
        int r = print_content(p, c, f);
        return r == 0 && pager_is_gone() ? DOCUMENT_STOP : r;
}

int diff_patch_print(int fd, const Digest *digest, bool all, Fault *f)
{
        Patch p = {digest, all, true};

        return change_each(fd, wants, on_change, &p, f);
}
