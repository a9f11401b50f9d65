/* SPDX-License-Identifier: MIT */

/* An export of the audit trail is verified by itself: whatever is done to it is found and named. */
#include "dbus/ctl/audit-file.c"

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/tap.h"

#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>

#define N_ROWS 12

static int fd;
static char *path;                  /* of it */
static AuditHead heads[N_ROWS + 1]; /* by row */
static char *lines[N_ROWS];         /* with their newlines */

/* As the daemon writes them, by the code that it has. */
static void make_trail(void)
{
        (void) g_strlcpy(heads[0].hash, AUDIT_HASH_OF_NONE, sizeof heads[0].hash);
        for (unsigned i = 0; i < N_ROWS; i++) {
                g_autoptr(GString) line = g_string_new(NULL);
                AuditRow row = {.seq = i + 1,
                                .time_usec = 1700000000000000 + i,
                                .caller_uid = 1000,
                                .caller = "fluidctl[1]",
                                .kind = i % 2 ? "command.exec" : "sandbox.create",
                                .phase = i % 2 ? "begin" : "done",
                                .object = "/sh/fluid/Host1/sandbox/0123456789ab",
                                .detail = i == 3   ? "{\"argv\":[\"\\/bin\\/sh\",\"\\u0001\"]}"
                                          : i == 4 ? "{ \"odd\" : 1 }"
                                                   : "{}",
                                .error = "",
                                .sandbox_id = i == 0 ? "" : "0123456789ab",
                                .sandbox_name = i == 0 ? "" : "web",
                                .agent = "",
                                .owner_uid = i == 0 ? UID_NONE : 1000,
                                .begin_seq = i > 1 && i % 2 == 0 ? i : 0};

                audit_hash(&row, heads[i].hash, row.hash);
                heads[i + 1].seq = row.seq;
                (void) g_strlcpy(heads[i + 1].hash, row.hash, sizeof row.hash);
                audit_line_append(line, &row);
                lines[i] = g_string_free(TAKE_PTR(line), FALSE);
        }
}

static void verify_text(const char *text, gssize size, const AuditHead *given, guint n,
                        AuditFileEnd *ret)
{
        g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(AuditHead));
        Fault f = {0};

        if (n > 0)
                (void) g_array_append_vals(list, given, n);
        size_t n_bytes = size < 0 ? strlen(text) : (size_t) size;

        g_assert(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
                 write_all(fd, text, n_bytes) == 0);
        g_assert(audit_file_verify(path, list, ret, &f) == 0);
}

/* Rows by their numbers, 0 ends them. */
static char *join(const unsigned *rows)
{
        GString *text = g_string_new(NULL);

        for (; *rows; rows++)
                g_string_append(text, lines[*rows - 1]);
        return g_string_free(text, FALSE);
}

static char *all(void)
{
        unsigned rows[N_ROWS + 1] = {0};

        for (unsigned i = 0; i < N_ROWS; i++)
                rows[i] = i + 1;
        return join(rows);
}

static void test_good(void)
{
        g_autofree char *text = all(), *later = join((unsigned[]){5, 6, 7, 0});
        g_auto(AuditFileEnd) whole = {0}, with_head = {0}, part = {0}, anchored = {0};
        AuditHead last = {0};

        verify_text(text, -1, NULL, 0, &whole);
        tap_ok(whole.is_intact && whole.rows == N_ROWS && !whole.is_loose, "a whole one is intact");
        tap_is_str(whole.last.hash, heads[N_ROWS].hash, "with its head");
        last = heads[N_ROWS];
        last.seq = 0;
        verify_text(text, -1, &last, 1, &with_head);
        tap_ok(with_head.is_intact, "which was written down");
        verify_text(later, -1, NULL, 0, &part);
        tap_ok(part.is_intact && part.first == 5 && part.is_loose, "so is a part of it");
        verify_text(later, -1, heads + 4, 1, &anchored);
        tap_ok(anchored.is_intact && !anchored.is_loose,
               "whose beginning can be written down, too");
}

static const struct {
        unsigned rows[N_ROWS + 2];
        const char *words, *sentence;
} changed[] = {
        {{1, 2, 4, 5, 0}, "row 3 is missing", "a row that was dropped"},
        {{2, 3, 4, 6, 0}, "row 5 is missing", "one that was dropped of a part"},
        {{1, 3, 2, 4, 0}, "row 2 was moved", "two that were swapped"},
        {{1, 2, 2, 3, 0}, "row 2 was added", "one that is there twice"},
        {{1, 2, 3, 1, 0}, "row 1 was added, or moved: it stands behind row 3", "an older one"},
        {{5, 4, 3, 0}, "row 4 was added, or moved", "one the other way round"},
        {{0}, "no rows", "one without rows"},
};

static void test_changed(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(changed); i++) {
                g_autofree char *text = join(changed[i].rows);
                g_auto(AuditFileEnd) end = {0};

                verify_text(text, -1, NULL, 0, &end);
                tap_ok(!end.is_intact && strstr(end.wrong, changed[i].words), "%s is found: %s",
                       changed[i].sentence, end.wrong);
        }
}

static void test_heads(void)
{
        g_autofree char *text = all(), *cut = join((unsigned[]){1, 2, 3, 0});
        g_autofree char *later = join((unsigned[]){5, 6, 0});
        g_auto(AuditFileEnd) short_one = {0}, other = {0}, last = {0}, before = {0};
        AuditHead wrong = heads[5];

        verify_text(cut, -1, heads + N_ROWS, 1, &short_one);
        tap_ok(!short_one.is_intact && strstr(short_one.wrong, "row 4 is missing"),
               "an end that was cut off is found with a head: %s", short_one.wrong);
        wrong.hash[7] ^= 1;
        verify_text(text, -1, &wrong, 1, &other);
        tap_ok(!other.is_intact && strstr(other.wrong, "row 5 was changed"),
               "so is a trail written anew: %s", other.wrong);
        wrong.seq = 0;
        verify_text(text, -1, &wrong, 1, &last);
        tap_ok(!last.is_intact && strstr(last.wrong, "row 12 was changed"), "also by its last: %s",
               last.wrong);
        wrong = heads[4];
        wrong.hash[7] = wrong.hash[7] == '0' ? '1' : '0';
        verify_text(later, -1, &wrong, 1, &before);
        tap_ok(!before.is_intact && strstr(before.wrong, "row 5 was changed"),
               "and one that follows another row: %s", before.wrong);
}

/* An inserted row with numbers put right has another hash. */
static void test_inserted(void)
{
        g_autofree char *two = all(), *forged = g_strdup(lines[2]);
        g_auto(AuditFileEnd) end = {0};
        char *at = strstr(forged, "\"seq\":3");
        g_autoptr(GString) text = g_string_new(lines[0]);

        at[6] = '2';
        g_string_append(text, forged);
        verify_text(text->str, -1, NULL, 0, &end);
        tap_ok(!end.is_intact && strstr(end.wrong, "row 2 was changed"),
               "a forged row is found: %s", end.wrong);
}

/* Every bit of every byte. */
static void test_flipped(void)
{
        g_autofree char *text = all();
        size_t size = strlen(text), line = 0, n = 0;

        for (size_t at = 0; at < size; at++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                        g_auto(AuditFileEnd) end = {0};
                        g_autofree char *number = g_strdup_printf("line %zu: ", line + 1);
                        g_autofree char *next = g_strdup_printf("line %zu: ", line + 2);

                        text[at] = (char) (text[at] ^ 1 << bit);
                        verify_text(text, (gssize) size, NULL, 0, &end);
                        /* The number of the first row says where an export begins. */
                        bool is_named =
                                end.wrong && (g_str_has_prefix(end.wrong, number) ||
                                              (line == 0 && g_str_has_prefix(end.wrong, next)));
                        if (end.is_intact || !is_named) {
                                tap_note("bit %u of byte %zu, line %zu: %s", bit, at, line + 1,
                                         end.is_intact ? "not found" : end.wrong);
                                n++;
                        }
                        text[at] = (char) (text[at] ^ 1 << bit);
                }
                line += text[at] == '\n';
        }
        tap_ok(n == 0, "whatever bit is flipped, it is found and its line is named");
}

int main(void)
{
        fd = memfd_create("export", MFD_CLOEXEC);
        g_assert(fd >= 0);
        path = g_strdup_printf("/proc/self/fd/%d", fd);
        make_trail();
        test_good();
        test_changed();
        test_heads();
        test_inserted();
        test_flipped();
        (void) close_fd(fd);
        g_free(path);
        return tap_done();
}
