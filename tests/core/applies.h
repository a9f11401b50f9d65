/* SPDX-License-Identifier: MIT */
#pragma once

/* What tests of applying playbooks have in common: a playbook, a target, and a program that does as
 * fluid-ansible would, in the unit fluid-apply. */

#include "tests/core/approvals.h"
#include "tests/core/playbooks.h"

#define APPLY_CONF "inventory = %s/inventory\ntimeout = 1min\n"
#define INVENTORY  "web1\nweb2\n"

#define APPLY_RESULT(rc, check, counts) \
        "echo '{\"rc\":" #rc ",\"check\":" #check ",\"hosts\":{\"web1\":{\"ok\":3," counts \
        "},\"web2\":{\"ok\":2}}}' >&4\n"
#define APPLY_GOOD "echo PLAY\n" APPLY_RESULT(0, false, "\"changed\":2")

/* The program leaves a line in the state directory, which is what is copied of a daemon. */
static inline void write_apply(const char *script)
{
        g_autofree char *path = g_build_filename(fixture.directory, "play", NULL);
        g_autofree char *text =
                g_strdup_printf("#!/bin/sh\ncd '%s'\necho \"$@\" >>s/applied\ncat <&3 >taken\n%s",
                                fixture.directory, script);

        need(g_file_set_contents(path, text, -1, NULL) ? chmod(path, 0755) : -EIO, path);
}

/* How often it was run. */
static inline unsigned times_applied(void)
{
        g_autofree char *text = read_scratch("s/applied");
        unsigned n = 0;

        for (const char *p = text; *p; p++)
                n += *p == '\n';
        return n;
}

static pid_t apply_unit;
static char *apply_directory; /* of the fixture that it was started for */

static inline void link_apply_unit(void)
{
        g_autofree char *old = g_build_filename(fixture.directory, "fluid-apply.socket", NULL);
        g_autofree char *new = g_build_filename(fixture.directory, "r/fluid-apply.socket", NULL);

        need(link(old, new) < 0 ? -errno : 0, new);
}

static inline void write_target(void)
{
        g_autofree char *text = g_strdup_printf(APPLY_CONF, fixture.directory);

        write_scratch("apply.conf", text);
        write_scratch("inventory", INVENTORY);
}

/* Once the fixture has a directory; for its settings. */
static inline void start_apply_unit(void)
{
        g_autofree char *program = g_build_filename(fixture.directory, "play", NULL);

        write_target();
        write_apply(APPLY_GOOD);
        if (apply_unit)
                socket_unit_stop(apply_unit, apply_directory, "fluid-apply");
        g_free(apply_directory);
        apply_directory = g_strdup(fixture.directory);
        apply_unit = socket_unit_start(fixture.directory, "fluid-apply", program);
        link_apply_unit();
}

static inline void stop_apply_unit(void)
{
        socket_unit_stop(apply_unit, apply_directory, "fluid-apply");
        g_clear_pointer(&apply_directory, g_free);
        apply_unit = 0;
}

#define ARCHIVE "not an archive: nobody unpacks it here\n"

static inline Playbook *make_playbook(const char *name)
{
        PlaybookRow *row = g_new0(PlaybookRow, 1);

        *row = (PlaybookRow){.id = id_new(),
                             .name = g_strdup(name),
                             .origin = g_strdup(PLAYBOOK_DERIVED),
                             .sandbox_id = id_new(),
                             .sandbox_name = g_strdup("web"),
                             .agent = g_strdup("ada"),
                             .template_id = id_new(),
                             .from_name = g_strdup("template"),
                             .to_name = g_strdup("done"),
                             .summary = g_strdup("nginx is installed\n/etc/\x1b[2J is new"),
                             .sha256 =
                                     g_compute_checksum_for_string(G_CHECKSUM_SHA256, ARCHIVE, -1),
                             .size_bytes = strlen(ARCHIVE),
                             .document_bytes = 2,
                             .owner_uid = fixture.caller.uid,
                             .created_usec = now_realtime_usec(),
                             .verified = g_strdup("no"),
                             .verified_reason = g_strdup(""),
                             .residual = g_strdup("")};
        g_autofree char *path = playbook_file(fixture.manager, row->id.text, PLAYBOOK_ARCHIVE);
        need(g_file_set_contents(path, ARCHIVE, -1, NULL) ? 0 : -EIO, path);
        g_autofree char *document = playbook_file(fixture.manager, row->id.text, PLAYBOOK_DOCUMENT);
        need(g_file_set_contents(document, "{}", -1, NULL) ? 0 : -EIO, document);
        need(store_put_playbook(fixture.manager->store, row, &fixture.fault), "put");
        return playbook_add(fixture.manager, row);
}

static inline Approval *ask_playbook(const Playbook *p)
{
        return ask_as((ApprovalSpec){.action = "playbook",
                                     .summary = "The new site",
                                     .playbook = playbook_row(p)->id.text});
}
