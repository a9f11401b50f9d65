/* SPDX-License-Identifier: MIT */

/* store/reserve.h on a file system that is full: a tmpfs in a mount namespace of this program's
 * own. */

#include "store/reserve.h"
#include "tests/store/rows.h"
#include "tests/tap.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)

static char *directory;

static bool make_small_disk(void)
{
        int flags = CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER);

        return unshare(flags) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("none", directory, "tmpfs", 0, "size=32m") == 0;
}

static char *path_of(const char *name)
{
        return g_build_filename(directory, name, NULL);
}

static uint64_t size_of(const char *name)
{
        g_autofree char *path = path_of(name);
        struct stat st;

        return stat(path, &st) == 0 ? (uint64_t) st.st_size : 0;
}

static void fill_disk(void)
{
        static const char block[4096] = {1};
        g_autofree char *path = path_of("ballast");
        autofd fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        while (write(fd, block, sizeof block) > 0)
                continue;
        tap_ok(errno == ENOSPC, "the disk is full");
}

static void empty_disk(void)
{
        g_autofree char *path = path_of("ballast");

        (void) unlink(path);
}

/* How many of so many rows are acknowledged. */
static unsigned append(Store *s, unsigned rows, FaultCode *ret)
{
        unsigned n = 0;

        for (unsigned i = 0; i < rows; i++) {
                AuditRow row = audit_row("sandbox.create", "/sandbox/1");
                Fault f = {0};
                n += store_append_audit(s, &row, &f) == 0;
                *ret = f.code;
        }
        return n;
}

static void expect_intact(Store *s, uint64_t expected)
{
        g_autofree char *detail = NULL;
        bool is_intact = false;
        uint64_t rows = 0;

        tap_ok(store_verify_audit(s, &is_intact, &rows, &detail, NULL) == 0 && is_intact,
               "the chain is whole");
        tap_is_int((int64_t) rows, (int64_t) expected, "and has every row that was acknowledged");
}

int main(void)
{
        directory = test_directory_new();
        if (!make_small_disk()) {
                tap_skip("all of it", "may not mount a file system");
                return tap_done();
        }
        g_autofree char *path = path_of("reserve");
        Store *s = open_store(directory, "db");
        FaultCode code;

        fill_disk();
        unsigned before = append(s, 2000, &code);
        tap_ok(before < 2000 && code == FAULT_NO_SPACE, "without a reserve rows cannot be written");
        empty_disk();

        tap_is_int(reserve_open(path, NULL), 0, "there is a reserve");
        tap_is_int((int64_t) size_of("reserve"), 0, "of nothing");
        reserve_refill(16 * MIB - 1);
        tap_is_int((int64_t) size_of("reserve"), 0, "which takes nothing that is not to be spared");
        reserve_refill(16 * MIB);
        tap_is_int((int64_t) size_of("reserve"), (int64_t) (16 * MIB), "and all that it may have");
        fill_disk();
        tap_is_int(append(s, 2000, &code), 2000, "with it rows are written to a full disk");
        uint64_t left = size_of("reserve");
        tap_ok(left > 0 && left < 16 * MIB, "which takes of it");
        expect_intact(s, before + 2000);
        s = store_free(s);
        reserve_close();

        tap_is_int(reserve_open(path, NULL), 0, "it is opened again");
        s = open_store(directory, "db");
        fill_disk();
        unsigned more = append(s, 100000, &code);
        tap_ok(more < 100000 && code == FAULT_NO_SPACE, "it ends, and then rows cannot be written");
        tap_is_int((int64_t) size_of("reserve"), 0, "nothing is left of it");
        expect_intact(s, before + 2000 + more);
        empty_disk();
        reserve_refill(64 * MIB);
        tap_is_int((int64_t) size_of("reserve"), (int64_t) (16 * MIB),
                   "where there is room it is filled");
        tap_is_int(append(s, 1, &code), 1, "and rows are written");
        s = store_free(s);
        reserve_close();
        (void) umount(directory);
        test_directory_remove(directory);
        return tap_done();
}
