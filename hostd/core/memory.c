/* SPDX-License-Identifier: MIT */

/* The files of memory images, beside the layers that they belong to: N.ram, N.state, N.xml. */

#include "core/internal.h"

#include <sys/stat.h>
#include <unistd.h>

static MemoryFiles *new_files(const Manager *m, const char *sandbox_id, const char *name,
                              bool has_ram)
{
        MemoryFiles *files = g_new0(MemoryFiles, 1);
        g_autofree char *ram = g_strconcat(name, ".ram", NULL);
        g_autofree char *state = g_strconcat(name, ".state", NULL);
        g_autofree char *xml = g_strconcat(name, ".xml", NULL);

        files->ram = has_ram ? sandbox_file(m, sandbox_id, ram) : NULL;
        files->state = sandbox_file(m, sandbox_id, state);
        files->xml = sandbox_file(m, sandbox_id, xml);
        files->memory = (DomainMemory){files->ram, files->state, files->xml};
        return files;
}

MemoryFiles *memory_files_new(const Manager *m, const char *sandbox_id, unsigned layer)
{
        g_autofree char *name = g_strdup_printf("%u", layer);

        return new_files(m, sandbox_id, name, true);
}

MemoryFiles *memory_stream_new(const Manager *m, const char *sandbox_id, const char *name)
{
        return new_files(m, sandbox_id, name, false);
}

MemoryFiles *memory_files_free(MemoryFiles *files)
{
        if (!files)
                return NULL;
        g_free(files->ram);
        g_free(files->state);
        g_free(files->xml);
        g_free(files);
        return NULL;
}

void memory_files_remove(const MemoryFiles *files)
{
        if (files->ram)
                (void) unlink(files->ram);
        (void) unlink(files->state);
        (void) unlink(files->xml);
}

static uint64_t used_bytes(const char *path)
{
        struct stat st;

        return path && stat(path, &st) == 0 ? (uint64_t) st.st_blocks * 512 : 0;
}

uint64_t memory_files_bytes(const MemoryFiles *files)
{
        return used_bytes(files->ram) + used_bytes(files->state) + used_bytes(files->xml);
}

bool memory_files_exist(const MemoryFiles *files)
{
        return (!files->ram || access(files->ram, F_OK) == 0) && access(files->state, F_OK) == 0 &&
               access(files->xml, F_OK) == 0;
}

int memory_check(const Manager *m, const Snapshot *snapshot, Fault *f)
{
        const char *abi = snapshot->row->memory_abi;

        if (m->memory_abi && g_str_equal(abi, m->memory_abi))
                return 0;
        return fault_set(f, FAULT_WRONG_STATE,
                         "the memory of snapshot '%s' was made with %s, and this host has %s: boot "
                         "from its disks instead",
                         snapshot->row->name, abi,
                         m->memory_abi ? m->memory_abi : "no libvirtd that answers");
}
