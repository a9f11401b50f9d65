/* SPDX-License-Identifier: MIT */

/* Which files fluid-diff is given: each layer once, and not more than can be passed. */

#include "core/diff-private.h"
#include "tests/core/world.h"

/* The layers of both points of `n` disks are the same but for the top of the newer one. Nothing
 * that is started here may have more than 1024 files. */
static void add_disks(Side *side, unsigned n, unsigned n_layers, bool is_new)
{
        side->disks = g_ptr_array_new();
        for (unsigned i = 0; i < n; i++) {
                SideDisk *disk = g_new0(SideDisk, 1);
                ImageFormat format = IMAGE_QCOW2;

                disk->target = g_strdup_printf("vd%c", 'a' + i);
                disk->paths = g_ptr_array_new_with_free_func(g_free);
                disk->formats = g_array_new(FALSE, FALSE, sizeof format);
                for (unsigned j = is_new ? 0 : 1; j < n_layers; j++) {
                        g_autofree char *name = g_strdup_printf("layer-%u-%u", i, j);
                        char *path = g_build_filename(fixture.directory, name, NULL);

                        need(g_file_set_contents(path, "", 0, NULL) ? 0 : -EIO, path);
                        g_ptr_array_add(disk->paths, path);
                        (void) g_array_append_val(disk->formats, format);
                }
                g_ptr_array_add(side->disks, disk);
        }
}

static void free_disks(Side *side)
{
        for (unsigned i = 0; i < side->disks->len; i++) {
                SideDisk *disk = side->disks->pdata[i];

                g_free(disk->target);
                g_ptr_array_unref(disk->paths);
                g_array_unref(disk->formats);
                g_free(disk);
        }
        g_ptr_array_unref(side->disks);
}

static int run(unsigned n_disks, unsigned n_layers, char **ret_text)
{
        g_autofree char *path = g_build_filename(fixture.directory, "document", NULL);
        autofd document = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        Diff diff = {.size_max = 1000,
                     .from.name = (char *) "a",
                     .to.name = (char *) "b",
                     .document_fd = document};
        DiffRequest request = {.diff = &diff, .deadline_usec = 60 * USEC_PER_SEC};

        fixture.fault = (Fault){0};
        add_disks(&diff.from, n_disks, n_layers, false);
        add_disks(&diff.to, n_disks, n_layers, true);
        int r = diff_run(&request, &fixture.fault);
        free_disks(&diff.from);
        free_disks(&diff.to);
        need(g_file_get_contents(path, ret_text, NULL, NULL) ? 0 : -EIO, "the document");
        return r;
}

static void test_layers(void)
{
        g_autofree char *text = NULL, *none = NULL;

        write_program("#!/bin/sh\nreadlink /proc/$$/fd/* | grep -c /layer-\n");
        tap_is_int(run(5, 60, &text), 0, "fluid-diff can be given 300 layers");
        tap_is_str(text, "300\n", "those of both points once");
        g_free(text);
        tap_is_int(run(17, 20, &text), 0, "and those of many disks");
        tap_is_str(text, "340\n", "whose layers are told by many arguments");
        is_refused(run(18, 60, &none), FAULT_LIMITS_EXCEEDED, "but no more than can be passed");
        tap_ok(strstr(fixture.fault.message, "chain_depth_max"), "which says what to do");
}

int main(void)
{
        start_fixture("");
        test_layers();
        stop_fixture();
        return tap_done();
}
