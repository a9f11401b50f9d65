/* SPDX-License-Identifier: MIT */
#pragma once

/* What tests of imported playbooks have in common: an archive that somebody wrote. */

#include "tests/core/playbooks.h"

#include <fcntl.h>

/* By sh(1) in the scratch directory. */
static inline void in_scratch(const char *script)
{
        const char *argv[] = {"/bin/sh", "-ec", script, NULL};
        int status = -1;

        need(g_spawn_sync(fixture.directory, (char **) argv, NULL, 0, NULL, NULL, NULL, NULL,
                          &status, NULL) &&
                             status == 0
                     ? 0
                     : -EIO,
             script);
}

static inline void write_archive(void)
{
        in_scratch("rm -rf written\n"
                   "mkdir -p written/roles/site/tasks written/roles/site/files\n"
                   "printf '%s\\n' '- hosts: all' '  roles: [site]' >written/playbook.yml\n"
                   "head -c 2000000 /dev/zero >written/roles/site/files/blob\n"
                   "echo '- name: x' >written/roles/site/tasks/main.yml\n"
                   "tar --format=ustar -C written -cf written.tar playbook.yml roles\n");
}

static inline int import_as(Caller *caller, const PlaybookImportSpec *spec, const char *file,
                            Playbook **ret)
{
        g_autofree char *path = g_build_filename(fixture.directory, file, NULL);
        autofd fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        Made made = {0};

        need(fd < 0 ? -errno : 0, path);
        fresh_fault();
        caller->is_audited = false;
        int r = finish(playbook_import(get_sandbox("web"), caller, spec, fd, on_made, &made,
                                       &fixture.fault),
                       &made.outcome);
        if (r >= 0 && ret)
                *ret = made.playbook;
        return r;
}

static inline int import_written(Playbook **ret)
{
        return import_as(&fixture.caller, &(PlaybookImportSpec){.name = "own"}, "written.tar", ret);
}
