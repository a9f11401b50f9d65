/* SPDX-License-Identifier: MIT */
#include "diff/changes.h"
#include "tests/tap.h"

#define N 5000

/* In the report's order: '/' before all else. */
static char *path_of(unsigned i)
{
        return g_strdup_printf("/dir%02u/sub%02u/file-%04u", i / 500, i / 50 % 10, i);
}

static ChangeList *make_list(void)
{
        ChangeList *list = change_list_new();

        for (unsigned i = 0; i < N; i++) {
                g_autofree char *path = path_of(i);
                FileState old = {
                        .attributes = {.kind = KIND_FILE, .mode = 0644, .uid = 1, .size = i}};
                FileState new = {.attributes = {.kind = KIND_FILE,
                                                .mode = 04755,
                                                .uid = i,
                                                .gid = 7,
                                                .size = UINT64_C(1) << 40 | i}};

                if (i == N - 10)
                        new.attributes =
                                (Attributes){.kind = KIND_DIRECTORY, .mode = 0644, .uid = 1};
                change_list_add(list, 0, path, strlen(path),
                                i % 3 == 0 ? CHANGE_ADDED : CHANGE_MODIFIED,
                                i % 3 == 0 ? NULL : &old, &new);
        }
        return list;
}

static void test_all(const ChangeList *list)
{
        g_auto(ChangeCursor) cursor = change_cursor(list, 0);
        bool paths = true, numbers = true, found = true;
        g_autoptr(GString) path = g_string_new(NULL);
        unsigned n = 0, at;
        Change change;

        for (; change_cursor_next(&cursor); n++) {
                g_autofree char *expected = path_of(n);

                paths &= span_is(change_cursor_path(&cursor), expected) && cursor.index == n;
                if (n != N - 10)
                        numbers &= cursor.change.new_uid == n && cursor.change.new_mode == 04755 &&
                                   cursor.change.size == (UINT64_C(1) << 40 | n);
                found &= change_list_find(list, span_of(expected), &at) && at == n;
                change_list_get(list, n, path, &change);
                found &= strcmp(path->str, expected) == 0;
        }
        tap_is_int(n, N, "all changes come");
        tap_ok(paths, "each with its path");
        tap_ok(numbers, "and its numbers");
        tap_ok(found, "each is found by its path, and by its index");
}

static void test_search(const ChangeList *list)
{
        unsigned at;

        tap_ok(!change_list_find(list, span_of("/dir00"), &at) &&
                       !change_list_find(list, span_of("/zzz"), &at) &&
                       !change_list_find(list, span_of(""), &at),
               "what did not change is not found");
        tap_is_int(change_list_seek(list, 0, span_of("/dir01")), 500,
                   "a directory's changes begin here");
        tap_is_int(change_list_seek(list, 0, span_of("/dir01/sub02")), 600, "and below it here");
        tap_is_int(change_list_seek(list, 0, span_of("/zzz")), N, "behind the last there is none");
        tap_is_int(change_list_seek(list, 0, span_of("/")), 0, "the root is before all");
}

/* Names that differ in a byte below '/' : /a.b is behind all of /a/. */
static void test_order(void)
{
        static const char *const paths[] = {"/a", "/a/b", "/a/z/z", "/a!", "/a.b", "/ab"};
        g_autoptr(ChangeList) list = change_list_new();
        FileState state = {.attributes = {.kind = KIND_FILE}};
        unsigned at;

        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
                change_list_add(list, 0, paths[i], strlen(paths[i]), CHANGE_REMOVED, &state, NULL);
        change_list_add(list, 3, "/a/other", 8, CHANGE_ADDED, NULL, &state);
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
                tap_ok(change_list_find(list, span_of(paths[i]), &at) && at == i, "'%s' is found",
                       paths[i]);
        tap_ok(change_list_find(list, span_of("/a/other"), &at) && at == 6,
               "so is what is in another file system");
        tap_ok(path_is_within(span_of("/a/b"), span_of("/a")) &&
                       path_is_within(span_of("/a"), span_of("/a")) &&
                       path_is_within(span_of("/a"), span_of("/")) &&
                       !path_is_within(span_of("/ab"), span_of("/a")) &&
                       !path_is_within(span_of("/"), span_of("/a")),
               "a path is within its directories");
}

static void test_flags(void)
{
        g_autoptr(ChangeList) list = change_list_new();
        g_autoptr(GPtrArray) xattrs = g_ptr_array_new();
        Xattr capability = {.name = (char *) "security.capability"};
        FileState old = {.attributes = {.kind = KIND_FILE, .mode = 0644}}, new = old;
        g_autoptr(GString) path = g_string_new(NULL);
        Change change;

        new.attributes.mtime_sec = 1;
        change_list_add(list, 0, "/a", 2, CHANGE_METADATA, &old, &new);
        new.attributes.mode = 0600;
        change_list_add(list, 0, "/b", 2, CHANGE_METADATA, &old, &new);
        g_ptr_array_add(xattrs, &capability);
        old.show_xattrs = new.show_xattrs = true;
        new.xattrs = xattrs;
        change_list_add(list, 0, "/c", 2, CHANGE_METADATA, &old, &new);
        change_list_get(list, 0, path, &change);
        tap_ok(change.only_time && !change.new_capability, "of one only the time changed");
        change_list_get(list, 1, path, &change);
        tap_ok(!change.only_time && change.old_mode == 0644 && change.new_mode == 0600,
               "of another the mode");
        change_list_get(list, 2, path, &change);
        tap_ok(!change.only_time && change.new_capability && !change.old_capability,
               "and one has capabilities now");
}

int main(void)
{
        g_autoptr(ChangeList) list = make_list(), empty = change_list_new();
        unsigned at;

        test_all(list);
        test_search(list);
        test_order();
        test_flags();
        tap_ok(!change_list_find(empty, span_of("/"), &at) && change_list_segments(empty) == 0,
               "an empty list has nothing");
        return tap_done();
}
