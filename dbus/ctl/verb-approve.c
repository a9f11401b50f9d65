/* SPDX-License-Identifier: MIT */
#include "base/canonical.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/verbs.h"

#include <string.h>

#define CONTENT_MAX (256 * 1024)

static struct {
        const char *sha256, *comment, *alternative, *content;
} arg;

static const Option options[] = {
        {.name = "sha256",
         .argument = "HASH",
         .string = &arg.sha256,
         .help = "of what was asked, all of it: 'review' shows it"},
        {.name = "alternative",
         .argument = "TEXT",
         .string = &arg.alternative,
         .help = "the one that is chosen"},
        {.name = "comment",
         .argument = "TEXT",
         .string = &arg.comment,
         .help = "for whoever asked"},
        {.name = "content",
         .argument = "FILE",
         .string = &arg.content,
         .help = "approve that instead: JSON as 'review --content' prints it, with changes"},
};

/* However it was written: it is its canonical form that is approved. */
static int read_edited(char **ret, Fault *f)
{
        g_autofree char *text = NULL;
        g_autoptr(Json) json = NULL;
        size_t size;
        int r = file_read(arg.content, CONTENT_MAX, &text, &size, f);

        if (r >= 0)
                r = json_parse(text, size, CANONICAL_DEPTH_MAX, &json, f);
        return r < 0 ? r : canonical_format(json, ret, f);
}

/* The hash that was read is that of what was asked, though another is approved. */
static int check_hash(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(Json) approval = NULL;
        int r = approval_load(ctl, path, &approval, NULL, f);

        if (r >= 0 && !g_str_equal(json_text(approval, "sha256"), arg.sha256))
                r = fault_set(f, FAULT_WRONG_HASH, "%.64s is not the hash of what was asked",
                              arg.sha256);
        return r;
}

static int send(Ctl *ctl, const char *path, const char *sha256, const char *content, Fault *f)
{
        g_autoptr(BusMessage) m = NULL;
        int r = bus_method(ctl, path, INTERFACE_APPROVAL, "Approve", &m, f);

        if (r < 0)
                return r;
        (void) sd_bus_message_append(m, "s", sha256);
        bus_options_open(m);
        bus_option_string(m, "comment", arg.comment);
        bus_option_string(m, "alternative", arg.alternative);
        bus_option_bytes(m, "content", content, content ? strlen(content) : 0);
        bus_options_close(m);
        return bus_call(ctl, m, BUS_TIMEOUT_PERSON_USEC, NULL, f);
}

static int run(Ctl *ctl, char **args, Fault *f)
{
        g_autofree char *path = NULL, *content = NULL, *sha256 = NULL;
        int r = approval_find(ctl, args[0], &path, f);

        if (r >= 0 && !arg.sha256)
                r = usage_error(ctl, f, "--sha256 is missing: 'review %s' shows what is asked",
                                args[0]);
        if (r >= 0 && arg.content)
                r = read_edited(&content, f);
        if (r >= 0 && arg.content)
                r = check_hash(ctl, path, f);
        if (r < 0)
                return r;
        sha256 = content ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, content, -1)
                         : g_strdup(arg.sha256);
        r = send(ctl, path, sha256, content, f);
        if (r < 0)
                return r;
        Json *result = json_object_new_object();
        (void) json_object_object_add(result, "id", json_object_new_string(args[0]));
        (void) json_object_object_add(result, "sha256", json_object_new_string(sha256));
        print_result(ctl, result, "approved %s%s", sha256,
                     content ? ", which is not what was asked" : "");
        return 0;
}

const Verb verb_approve = {
        .name = "approve",
        .summary = "say yes to what has that hash",
        .usage = "APPROVAL",
        .help = "Not to what you asked yourself. An administrator's password is wanted each time. Whoever "
                "asked can then apply it, once. See 'review'.",
        .example =
                "approve 0123456789ab --sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        VERB_OPTIONS(options),
        .args_min = 1,
        .args_max = 1,
        .run = run,
};
