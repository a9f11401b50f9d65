/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/playbook.h"

#include "base/cleanup.h"
#include "base/name.h"
#include "base/quantity.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/print.h"
#include "dbus/ctl/progress.h"

#define SLICE_USEC USEC_PER_SEC
#define GRACE_USEC (25 * USEC_PER_SEC)

int playbook_find(Ctl *ctl, const char *name, char **ret_path, Fault *f)
{
        g_autoptr(Json) list = NULL;
        const char *found = NULL;

        if (id_is_valid(name)) {
                *ret_path = g_strdup_printf("%s/%s", PATH_PLAYBOOK, name);
                return 0;
        }
        int r = bus_objects(ctl, INTERFACE_PLAYBOOK, NULL, "created_usec", &list, f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                Json *playbook = json_object_array_get_idx(list, i);
                if (!g_str_equal(json_text(playbook, "name"), name))
                        continue;
                if (found)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "several playbooks are called '%.80s'; use the id: see "
                                         "'fluidctl playbook list'",
                                         name);
                found = json_text(playbook, "object");
        }
        if (!found)
                return fault_set(f, FAULT_NOT_FOUND,
                                 "there is no playbook '%.80s'; 'fluidctl playbook list' shows "
                                 "them",
                                 name);
        *ret_path = g_strdup(found);
        return 0;
}

const char *playbook_verdict(const char *verified)
{
        static const struct {
                const char *verified, *text;
        } texts[] = {
                {"no", "not verified"},
                {"verifying", "being verified"},
                {"exact", "exact"},
                {"exact-but-left-out", "exact but for what it leaves out"},
                {"residual", "not exact"},
                {"failed", "failed"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                if (g_str_equal(texts[i].verified, verified))
                        return texts[i].text;
        return verified;
}

static void print_lines(const char *title, const char *text)
{
        if (!*text)
                return;
        print_line("%s:", title);
        print_barred(text);
}

static void print_all(Json *playbook)
{
        g_autofree char *size = size_format(json_number(playbook, "size_bytes"));
        g_autofree char *created = format_time(json_number(playbook, "created_usec"));
        g_autofree char *owner = format_user((uint32_t) json_number(playbook, "owner_uid"));
        bool secrets = json_truth(playbook, "allows_secrets");
        bool setuid = json_truth(playbook, "allows_setuid");

        print_field("id", "%s", json_text(playbook, "id"));
        print_field("name", "%s", json_text(playbook, "name"));
        print_field("sandbox", "%s", json_text(playbook, "sandbox_name"));
        print_field("agent", "%s", json_text(playbook, "agent"));
        print_field("owner", "%s", owner);
        if (g_str_equal(json_text(playbook, "origin"), "written"))
                print_field("origin",
                            "written by hand, not derived: it can run anything where it is "
                            "applied");
        print_field("from", "%s", json_text(playbook, "from"));
        print_field("to", "%s", json_text(playbook, "to"));
        print_field("created", "%s", created);
        print_field("size", "%s", size);
        print_field("sha256", "%s", json_text(playbook, "sha256"));
        print_field("allowed", "%s%s%s", secrets ? "secrets" : "", secrets && setuid ? ", " : "",
                    setuid ? "set-uid programs" : "");
        print_field("verified", "%s", playbook_verdict(json_text(playbook, "verified")));
        print_field("why", "%s", json_text(playbook, "verified_reason"));
        print_lines("changes", json_text(playbook, "summary"));
        print_lines("not reproduced", json_text(playbook, "residual"));
}

int playbook_print(Ctl *ctl, const char *path, Fault *f)
{
        g_autoptr(Json) playbook = NULL;
        int r = bus_properties(ctl, path, INTERFACE_PLAYBOOK, &playbook, f);

        if (r < 0)
                return r;
        if (ctl->json)
                print_json(playbook);
        else if (ctl->quiet)
                print_line("%s", json_text(playbook, "id"));
        else
                print_all(playbook);
        return 0;
}

static void say_step(Ctl *ctl, const char *path)
{
        g_autoptr(Json) step = NULL;

        if (progress_is_shown(ctl) &&
            bus_property(ctl, path, INTERFACE_PLAYBOOK, "VerifiedReason", &step, NULL) >= 0)
                progress_say(ctl, "%s", json_object_get_string(step));
}

int playbook_wait(Ctl *ctl, const char *path, uint64_t timeout_usec, Fault *f)
{
        uint64_t begun = now_monotonic_usec(), passed = 0;
        Fault why = {0};
        int r;

        progress_begin(ctl, "verifying");
        do {
                uint64_t slice = MIN(timeout_usec - passed, SLICE_USEC);
                fault_clear(&why);
                r = bus_request(ctl, slice + GRACE_USEC, path, INTERFACE_PLAYBOOK, "Wait", NULL,
                                &why, "t", slice);
                if (r < 0 && why.code == FAULT_TIMED_OUT)
                        say_step(ctl, path);
                passed = now_monotonic_usec() - begun;
        } while (r < 0 && why.code == FAULT_TIMED_OUT && passed < timeout_usec);
        progress_end(ctl);
        return r < 0 ? fault_set(f, why.code, "%s", why.message) : 0;
}
