/* SPDX-License-Identifier: MIT */
#pragma once

/* A disk and a memory that fail when told to, below SQLite.
 *
 * bad_disk_install() once, before SQLite is used. Then `bad_disk.fail_at = n` makes the nth of the
 * following operations of `kind` fail with `result`, and all later ones too where `for_good`. */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum BadDiskKind { BAD_WRITE, BAD_SYNC, BAD_MEMORY } BadDiskKind;

static struct {
        sqlite3_vfs vfs, *real;
        sqlite3_mem_methods memory;
        BadDiskKind kind;
        unsigned fail_at; /* 0: never */
        bool for_good;
        int result;
        bool failed;
        unsigned unsynced_writes; /* to databases and logs since their last sync */
} bad_disk;

typedef struct BadFile {
        sqlite3_file base;
        sqlite3_file *real; /* directly behind this struct */
} BadFile;

static inline bool bad_disk_strikes(BadDiskKind kind)
{
        if (bad_disk.kind != kind || bad_disk.fail_at == 0)
                return false;
        if (bad_disk.fail_at > 1) {
                bad_disk.fail_at--;
                return false;
        }
        if (!bad_disk.for_good)
                bad_disk.fail_at = 0;
        bad_disk.failed = true;
        return true;
}

static inline void bad_disk_arm(BadDiskKind kind, unsigned fail_at, bool for_good, int result)
{
        bad_disk.kind = kind;
        bad_disk.fail_at = fail_at;
        bad_disk.for_good = for_good;
        bad_disk.result = result;
        bad_disk.failed = false;
}

/* From one n to the next: memory is asked for thousands of times, and all of them are tried only
 * where FLUID_TEST_ALL is set. */
static inline unsigned bad_disk_stride(BadDiskKind kind)
{
        return kind == BAD_MEMORY && !getenv("FLUID_TEST_ALL") ? 23 : 1;
}

static inline void bad_disk_disarm(void)
{
        bad_disk.fail_at = 0;
}

/* -- files ---------------------------------------------------------------------------------- */

#define REAL(file) (((BadFile *) (file))->real)

static inline int bad_close(sqlite3_file *file)
{
        return REAL(file)->pMethods ? REAL(file)->pMethods->xClose(REAL(file)) : SQLITE_OK;
}

static inline int bad_read(sqlite3_file *file, void *buffer, int size, sqlite3_int64 offset)
{
        return REAL(file)->pMethods->xRead(REAL(file), buffer, size, offset);
}

/* What fails is half done. */
static inline int bad_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
        if (bad_disk_strikes(BAD_WRITE)) {
                (void) REAL(file)->pMethods->xWrite(REAL(file), bytes, size / 2, offset);
                return bad_disk.result;
        }
        bad_disk.unsynced_writes++;
        return REAL(file)->pMethods->xWrite(REAL(file), bytes, size, offset);
}

static inline int bad_truncate(sqlite3_file *file, sqlite3_int64 size)
{
        if (bad_disk_strikes(BAD_WRITE))
                return bad_disk.result;
        return REAL(file)->pMethods->xTruncate(REAL(file), size);
}

/* Counted, but not passed on: no test cuts the power. */
static inline int bad_sync(sqlite3_file *file, int flags)
{
        (void) file;
        (void) flags;
        if (bad_disk_strikes(BAD_SYNC))
                return bad_disk.result;
        bad_disk.unsynced_writes = 0;
        return SQLITE_OK;
}

static inline int bad_file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
        return REAL(file)->pMethods->xFileSize(REAL(file), ret);
}

static inline int bad_lock(sqlite3_file *file, int lock)
{
        return REAL(file)->pMethods->xLock(REAL(file), lock);
}

static inline int bad_unlock(sqlite3_file *file, int lock)
{
        return REAL(file)->pMethods->xUnlock(REAL(file), lock);
}

static inline int bad_check_reserved(sqlite3_file *file, int *ret)
{
        return REAL(file)->pMethods->xCheckReservedLock(REAL(file), ret);
}

static inline int bad_control(sqlite3_file *file, int op, void *argument)
{
        return REAL(file)->pMethods->xFileControl(REAL(file), op, argument);
}

static inline int bad_sector_size(sqlite3_file *file)
{
        return REAL(file)->pMethods->xSectorSize(REAL(file));
}

static inline int bad_characteristics(sqlite3_file *file)
{
        return REAL(file)->pMethods->xDeviceCharacteristics(REAL(file));
}

static const sqlite3_io_methods bad_methods = {
        .iVersion = 1,
        .xClose = bad_close,
        .xRead = bad_read,
        .xWrite = bad_write,
        .xTruncate = bad_truncate,
        .xSync = bad_sync,
        .xFileSize = bad_file_size,
        .xLock = bad_lock,
        .xUnlock = bad_unlock,
        .xCheckReservedLock = bad_check_reserved,
        .xFileControl = bad_control,
        .xSectorSize = bad_sector_size,
        .xDeviceCharacteristics = bad_characteristics,
};

static inline int bad_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                           int *ret_flags)
{
        BadFile *bad = (BadFile *) file;
        (void) vfs;

        memset(bad, 0, sizeof *bad);
        bad->real = (sqlite3_file *) (bad + 1);
        int rc = bad_disk.real->xOpen(bad_disk.real, path, bad->real, flags, ret_flags);
        if (rc == SQLITE_OK)
                bad->base.pMethods = &bad_methods;
        return rc;
}

/* -- memory --------------------------------------------------------------------------------- */

static inline void *bad_malloc(int size)
{
        return bad_disk_strikes(BAD_MEMORY) ? NULL : bad_disk.memory.xMalloc(size);
}

static inline void *bad_realloc(void *old, int size)
{
        return bad_disk_strikes(BAD_MEMORY) ? NULL : bad_disk.memory.xRealloc(old, size);
}

static inline void bad_disk_install(void)
{
        sqlite3_mem_methods memory;

        (void) sqlite3_config(SQLITE_CONFIG_GETMALLOC, &bad_disk.memory);
        memory = bad_disk.memory;
        memory.xMalloc = bad_malloc;
        memory.xRealloc = bad_realloc;
        (void) sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
        bad_disk.real = sqlite3_vfs_find(NULL);
        bad_disk.vfs = *bad_disk.real;
        bad_disk.vfs.zName = "bad-disk";
        bad_disk.vfs.szOsFile += (int) sizeof(BadFile);
        bad_disk.vfs.xOpen = bad_open;
        (void) sqlite3_vfs_register(&bad_disk.vfs, 1);
}
