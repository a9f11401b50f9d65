/* SPDX-License-Identifier: MIT */

/* Templates from images and from domains, and snapshots on top of them. */

#include "tests/core/world.h"

/* -- images ----------------------------------------------------------------------------------- */

static int import_with(const TemplateSpec *spec, Template **ret)
{
        Template *t = NULL;
        int r = import_template(spec, &t);

        if (ret)
                *ret = t;
        return r;
}

static void test_image(void)
{
        autofd image = file_with("QFI\xfb and so on"), kernel = file_with("a kernel"),
               initrd = file_with("an initrd");
        g_autofree char *text = NULL;
        Template *t = NULL;
        struct stat st;

        is_done(import_with(&(TemplateSpec){.name = "full",
                                            .image_fd = image,
                                            .kernel_fd = kernel,
                                            .initrd_fd = initrd,
                                            .cmdline = "root=/dev/vda",
                                            .vcpus = 2,
                                            .memory_bytes = 128 << 20},
                            &t),
                "an image is imported with its kernel");
        if (!t)
                return;
        const TemplateRow *row = template_row(t);
        const TemplateDiskRow *disk = row->disks->pdata[0];
        tap_ok(row->disks->len == 1 && g_str_equal(disk->target, "vda") &&
                       g_str_equal(disk->format, "qcow2"),
               "its disk has the format that its first bytes tell");
        tap_is_int((int64_t) strlen(row->sha256), 64, "its hash is known");
        tap_is_str(row->cmdline, "root=/dev/vda", "and its command line");
        tap_ok(row->vcpus == 2 && row->memory_bytes == 128 << 20, "and its size");
        tap_ok(g_file_get_contents(row->kernel, &text, NULL, NULL) && g_str_equal(text, "a kernel"),
               "the kernel is a copy");
        tap_ok(stat(disk->path, &st) == 0 && (st.st_mode & 07777) == 0440,
               "the copy of the image is written by nobody");
        restart_manager();
        tap_is_str(template_row(get_template("full"))->cmdline, "root=/dev/vda",
                   "all is known after a restart");
        is_done(create_from(&(SandboxSpec){.name = "x", .template = "full"}),
                "a sandbox is made from it");
        tap_ok(sandbox_row(get_sandbox("x"))->vcpus == 2 &&
                       sandbox_row(get_sandbox("x"))->memory_bytes == 128 << 20,
               "of its size");
        is_done(destroy_sandbox("x"), "and destroyed");
        is_done(remove_template("full"), "it is removed");
}

static void test_bad_images(void)
{
        g_autofree char *before = describe_world(), *long_text = g_strnfill(2049, 'x'),
                        *last = NULL;
        autofd fd = file_with(IMAGE), bad = file_with("refuse me"), other = file_with("x");
        const struct {
                TemplateSpec spec;
                FaultCode code;
                const char *what;
        } table[] = {
                {{.image_fd = -1, .kernel_fd = -1, .initrd_fd = -1},
                 FAULT_INVALID_ARGUMENT,
                 "nothing"},
                {{.image_fd = fd, .kernel_fd = -1, .initrd_fd = other},
                 FAULT_INVALID_ARGUMENT,
                 "an initrd without a kernel"},
                {{.image_fd = fd, .kernel_fd = -1, .initrd_fd = -1, .cmdline = "x"},
                 FAULT_INVALID_ARGUMENT,
                 "a command line without a kernel"},
                {{.image_fd = fd, .kernel_fd = other, .initrd_fd = -1, .cmdline = long_text},
                 FAULT_INVALID_ARGUMENT,
                 "an endless command line"},
                {{.image_fd = fd, .kernel_fd = -1, .initrd_fd = -1, .format = "vmdk"},
                 FAULT_IMAGE_REFUSED,
                 "another format"},
                {{.image_fd = fd, .kernel_fd = -1, .initrd_fd = -1, .format = "qcow2"},
                 FAULT_IMAGE_REFUSED,
                 "an image that is not of its format"},
                {{.image_fd = bad, .kernel_fd = -1, .initrd_fd = -1},
                 FAULT_IMAGE_REFUSED,
                 "an image with a backing file"},
                {{.image_fd = fd, .kernel_fd = -1, .initrd_fd = -1, .domain = "x"},
                 FAULT_INVALID_ARGUMENT,
                 "an image and a domain"},
                {{.image_fd = -1, .kernel_fd = -1, .initrd_fd = -1, .domain = "none"},
                 FAULT_NOT_FOUND,
                 "a domain that there is not"},
                {{.image_fd = -1, .kernel_fd = -1, .initrd_fd = -1, .domain = ""},
                 FAULT_INVALID_ARGUMENT,
                 "a domain without a name"},
                {{.image_fd = fd, .kernel_fd = -1, .initrd_fd = -1, .vcpus = 17},
                 FAULT_INVALID_ARGUMENT,
                 "too many CPUs"},
                {{.image_fd = fd, .kernel_fd = -1, .initrd_fd = -1, .memory_bytes = 1},
                 FAULT_INVALID_ARGUMENT,
                 "too little memory"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                TemplateSpec spec = table[i].spec;

                spec.name = "bad";
                is_refused(import_with(&spec, NULL), table[i].code, "no template is made of %s",
                           table[i].what);
        }
        (void) is_same_world(before, "and nothing is left of any");
        tap_ok(is_trail_paired() && count_audit("template.import", "failed", "ImageRefused") == 2,
               "the trail tells of those that had begun");
        last = last_audit("template.import");
        tap_is_str(last, "failed NotFound", "and why they failed");
}

/* -- domains ---------------------------------------------------------------------------------- */

static void test_domain(void)
{
        TemplateSpec spec = {.name = "cloned",
                             .domain = "ubuntu",
                             .image_fd = -1,
                             .kernel_fd = -1,
                             .initrd_fd = -1};
        g_autofree char *disk = g_build_filename(fixture.directory, "ubuntu.img", NULL),
                        *text = NULL;
        Template *t = NULL;

        (void) g_file_set_contents(disk, "a disk", -1, NULL);
        (void) chmod(disk, 0644);
        fake_host_add_foreign("ubuntu", disk);
        is_done(import_with(&spec, &t), "a domain that is shut off is cloned");
        if (!t)
                return;
        tap_is_str(((TemplateDiskRow *) template_row(t)->disks->pdata[0])->path, disk,
                   "its disk stays where it is");
        tap_ok(template_row(t)->vcpus == 2 && template_row(t)->memory_bytes == UINT64_C(512) << 20,
               "its size is taken");
        tap_is_str(template_row(t)->source, "domain:ubuntu", "it is known what it is from");
        is_done(create_from(&(SandboxSpec){.name = "x", .template = "cloned"}),
                "a sandbox is made on its disk");
        need(stop_sandbox("x", true), "stop");
        (void) g_file_set_contents(disk, "a disk that was written to", -1, NULL);
        is_refused(create_from(&(SandboxSpec){.name = "y", .template = "cloned"}),
                   FAULT_WRONG_STATE, "none is made on a disk that was written to since");
        is_refused(start_sandbox("x"), FAULT_WRONG_STATE, "nor is one started that stands on it");
        is_refused(restore_snapshot("x", "template"), FAULT_WRONG_STATE, "nor restored");
        is_done(destroy_sandbox("x"), "it can be destroyed");
        is_done(remove_template("cloned"), "and the template removed");
        tap_ok(g_file_get_contents(disk, &text, NULL, NULL),
               "which leaves the domain's disk alone");
        (void) chmod(disk, 0600);
        if (getuid() == 0 && chown(disk, 0, 0) == 0) {
                spec.name = "private";
                is_done(import_with(&spec, NULL),
                        "a disk that is QEMU's own need not be readable by others");
                is_done(remove_template("private"), "the template is removed");
        }
        (void) g_unlink(disk);
        is_refused(import_with(&spec, NULL), FAULT_NOT_CLONEABLE,
                   "a domain without its disk is not cloned");
}

static void on_domains(const DomainListing *domains, size_t n, int r, const Fault *f,
                       void *userdata)
{
        tap_ok(n == 1 && g_str_equal(domains[0].name, "ubuntu") &&
                       g_str_equal(domains[0].state, "shut-off"),
               "domains that are not fluid's are listed");
        on_outcome(r, f, userdata);
}

static void test_domains(void)
{
        Outcome o = {0};

        is_done(finish(manager_list_domains(fixture.manager, on_domains, &o, fresh_fault()), &o),
                "libvirt is asked");
}

/* -- waiting ---------------------------------------------------------------------------------- */

static void test_wait(void)
{
        autofd fd = file_with("refuse me");
        TemplateSpec spec = {.name = "bad", .image_fd = fd, .kernel_fd = -1, .initrd_fd = -1};
        Outcome first = {0}, second = {0};
        Template *t;

        need(template_import(fixture.manager, &fixture.caller, &spec, &t, fresh_fault()), "import");
        need(template_wait(t, USEC_INFINITY, on_outcome, &first, &fixture.fault), "wait");
        need(template_wait(t, USEC_INFINITY, on_outcome, &second, &fixture.fault), "wait");
        settle();
        tap_ok(first.fault.code == FAULT_IMAGE_REFUSED && second.fault.code == FAULT_IMAGE_REFUSED,
               "every wait for an import that fails ends with the reason");
        tap_ok(!get_template("bad"), "and the template is gone");
}

/* -- the tree of snapshots -------------------------------------------------------------------- */

static void expect_parent(const char *name, const char *parent)
{
        tap_is_str(snapshot_parent_name(snapshot_find(get_sandbox("web"), name)), parent,
                   "'%s' stands on '%s'", name, parent);
}

static void test_tree(void)
{
        (void) ready_sandbox("web");
        need(take_snapshot("web", "a"), "snapshot");
        need(take_snapshot("web", "b"), "snapshot");
        need(restore_snapshot("web", "a"), "restore");
        need(take_snapshot("web", "c"), "snapshot");
        need(restore_snapshot("web", "template"), "restore");
        need(take_snapshot("web", "d"), "snapshot");
        expect_parent("a", "template");
        expect_parent("b", "a");
        expect_parent("c", "a");
        expect_parent("d", "template");
        is_refused(delete_snapshot("web", "a"), FAULT_IN_USE,
                   "one that others stand on cannot be deleted");
        is_refused(delete_snapshot("web", "d"), FAULT_IN_USE, "nor one that the sandbox stands on");
        is_done(compare_points("web", "b", "c", NULL), "two branches can be compared");
        restart_manager();
        expect_parent("c", "a");
        tap_is_str(sandbox_head_name(get_sandbox("web")), "d", "a restart keeps the tree");
        is_done(delete_snapshot("web", "b"), "a leaf can be deleted");
        is_done(delete_snapshot("web", "c"), "and the other");
        is_done(delete_snapshot("web", "a"), "then what they stood on");
        is_refused(restore_snapshot("web", "a"), FAULT_NOT_FOUND,
                   "which cannot be restored any more");
        tap_ok(is_world_consistent() && is_trail_paired(), "all is well");
        is_done(destroy_sandbox("web"), "a sandbox goes with its snapshots");
}

int main(void)
{
        start_fixture(NULL);
        test_image();
        test_bad_images();
        test_domain();
        test_domains();
        test_wait();
        test_tree();
        stop_fixture();
        return tap_done();
}
