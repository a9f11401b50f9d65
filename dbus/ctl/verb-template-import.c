/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

#include <errno.h>
#include <fcntl.h>

static struct {
        const char *format, *kernel, *initrd, *cmdline, *domain;
        uint64_t vcpus, memory, wait_timeout;
        bool no_wait;
} arg = {.wait_timeout = USEC_INFINITY};

static const Option options[] = {
        {.name = "domain",
         .argument = "DOMAIN",
         .string = &arg.domain,
         .help = "clone a shut-off libvirt domain instead of an image"},
        {.name = "format",
         .argument = "FORMAT",
         .string = &arg.format,
         .help = "qcow2 or raw; by default as its first bytes say"},
        {.name = "kernel",
         .argument = "FILE",
         .string = &arg.kernel,
         .help = "boot this kernel instead of the image's boot loader"},
        {.name = "initrd",
         .argument = "FILE",
         .string = &arg.initrd,
         .help = "with --kernel: its initial RAM disk"},
        {.name = "cmdline",
         .argument = "TEXT",
         .string = &arg.cmdline,
         .help = "with --kernel: its command line"},
        {.name = "vcpus",
         .argument = "N",
         .number = &arg.vcpus,
         .help = "virtual CPUs of its sandboxes, unless they say"},
        {.name = "memory",
         .argument = "SIZE",
         .bytes = &arg.memory,
         .help = "memory of its sandboxes, unless they say"},
        OPTION_NO_WAIT(arg.no_wait),
        OPTION_WAIT_TIMEOUT(arg.wait_timeout),
};

/* The descriptor is opened with the rights of whoever calls, and duplicated into the message. */
static int append_file(BusMessage *m, const char *key, const char *path, Fault *f)
{
        if (!path)
                return 0;
        autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return fault_set_errno(f, errno == ENOENT ? FAULT_NOT_FOUND : FAULT_IO, errno,
                                       "cannot open '%s'", path);
        (void) sd_bus_message_append(m, "{sv}", key, "h", fd);
        return 0;
}

static int begin(Ctl *ctl, const char *name, const char *image, BusMessage **ret_reply, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;

        int r = bus_method(ctl, PATH_ROOT, INTERFACE_MANAGER, "ImportTemplate", &m, f);
        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "s", name);
        bus_options_open(m);
        r = append_file(m, "image", image, f);
        if (r >= 0)
                r = append_file(m, "kernel", arg.kernel, f);
        if (r >= 0)
                r = append_file(m, "initrd", arg.initrd, f);
        if (r < 0)
                return r;
        bus_option_string(m, "format", arg.format);
        bus_option_string(m, "cmdline", arg.cmdline);
        bus_option_string(m, "domain", arg.domain);
        bus_option_u32(m, "vcpus", arg.vcpus);
        bus_option_u64(m, "memory_bytes", arg.memory);
        bus_options_close(m);
        return bus_call(ctl, m, BUS_TIMEOUT_USEC, ret_reply, f);
}

static int check_options(Ctl *ctl, const char *image, Fault *f)
{
        if (!image && !arg.domain)
                return usage_error(ctl, f, "an IMAGE or --domain is missing");
        if (arg.domain && (image || arg.format || arg.kernel || arg.initrd || arg.cmdline))
                return usage_error(ctl, f,
                                   "--domain takes over what the domain has: no image, "
                                   "format, kernel, initrd or cmdline goes with it");
        if (!arg.kernel && (arg.initrd || arg.cmdline))
                return usage_error(ctl, f, "--initrd and --cmdline need --kernel");
        return 0;
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        const char *path;

        int r = check_options(ctl, args[1], f);
        if (r >= 0)
                r = begin(ctl, args[0], args[1], &reply, f);
        if (r >= 0)
                r = bus_read(reply, f, "o", &path);
        if (r >= 0 && !arg.no_wait)
                r = template_wait(ctl, path, args[0], arg.wait_timeout, f);
        return r < 0 ? r : template_print(ctl, path, f);
}

const Verb verb_template_import = {
        .name = "template import",
        .summary = "make a template of a disk image or of a libvirt domain",
        .usage = "TEMPLATE [IMAGE]",
        .help = "The image is copied and hashed, and not needed afterwards. A domain's disks are "
                "never written, and have to stay as they are.",
        .example = "template import debian debian-12.qcow2 --memory 1G",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 2,
        .run = run,
};
