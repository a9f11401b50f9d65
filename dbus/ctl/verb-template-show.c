/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "dbus/ctl/bus.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/sandbox.h"
#include "dbus/ctl/verbs.h"

static void print_defaults(Json *defaults)
{
        g_autofree char *disk = size_format(json_number(defaults, "virtual_size_bytes"));
        g_autofree char *memory = size_format(json_number(defaults, "memory_bytes"));

        print_field("format", "%s", json_text(defaults, "format"));
        print_field("disk", "%s", disk);
        print_field("vcpus", "%" PRIu64, json_number(defaults, "vcpus"));
        print_field("memory", "%s", memory);
        print_field("boot", "%s", json_text(defaults, "boot"));
        print_field("cmdline", "%s", json_text(defaults, "cmdline"));
}

static void print_warmth(Json *template)
{
        g_autofree char *images = size_format(json_number(template, "warm_bytes"));
        const char *phase = json_text(template, "warm_phase");

        print_field("warm", "%s", json_truth(template, "warm") ? "yes" : "no");
        print_field("making", "%s", phase);
        print_field("not warm", "%s", json_text(template, "warm_reason"));
        if (json_number(template, "warm_bytes") > 0)
                print_field("images", "%s", images);
        if (json_number(template, "pool") > 0)
                print_field("pool", "%" PRIu64 " of %" PRIu64 " ready",
                            json_number(template, "pool_ready"), json_number(template, "pool"));
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL;
        g_autoptr(Json) template = NULL;
        Json *defaults = NULL;

        int r = template_find(ctl, args[0], &path, f);
        if (r >= 0)
                r = bus_properties(ctl, path, INTERFACE_TEMPLATE, &template, f);
        if (r < 0)
                return r;
        if (ctl->json) {
                print_json(template);
                return 0;
        }
        g_autofree char *size = size_format(json_number(template, "size_bytes"));
        g_autofree char *created = format_time(json_number(template, "created_usec"));
        print_field("name", "%s", json_text(template, "name"));
        print_field("id", "%s", json_text(template, "id"));
        print_field("state", "%s", json_text(template, "state"));
        print_field("source", "%s", json_text(template, "source"));
        print_field("sha256", "%s", json_text(template, "sha256"));
        print_field("size", "%s", size);
        print_field("created", "%s", created);
        if (json_find_object(template, "defaults", &defaults))
                print_defaults(defaults);
        print_warmth(template);
        return 0;
}

const Verb verb_template_show = {
        .name = "template show",
        .summary = "show all about a template",
        .usage = "TEMPLATE",
        .example = "template show debian",
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
