/* SPDX-License-Identifier: MIT */
#pragma once

/* What tests of playbooks have in common: programs that do as fluid-diff and fluid-ansible would.
 */

#include "tests/core/world.h"

#include "core/playbook-private.h"

#include <pwd.h>

/* Playbooks are replayed as somebody who owns nothing else. */
#define PLAYBOOK_SETTINGS "verify_user = nobody\n"

#define VERIFIER_UID (getpwnam("nobody")->pw_uid)

/* Beside its arguments it writes what files in the scratch directory say: "residual" (JSON) and
 * "refused" (then that is why no playbook is made). */
static inline void write_playbook_programs(void)
{
        g_autofree char *diff = g_strdup_printf(
                "#!/bin/sh\n"
                "cd '%s'\n"
                "case \" $* \" in\n"
                "*' --playbook '*)\n"
                "  if [ -e refused ]; then cat refused >&2; exit 3; fi\n"
                "  echo '{\"a\":\"diff\"}' >&3; cat summary >&4; cat <&5 >history; echo archive \"$@\";;\n"
                "*' --residual '*) cat residual; cat <&3 >replayed; echo \"$@\" >residual-arguments;;\n"
                "*) echo \"$@\";;\n"
                "esac\n",
                fixture.directory);

        write_program(diff);
}

static inline void write_scratch(const char *name, const char *text)
{
        g_autofree char *path = g_build_filename(fixture.directory, name, NULL);

        need(g_file_set_contents(path, text, -1, NULL) ? 0 : -EIO, path);
}

static inline char *read_scratch(const char *name)
{
        g_autofree char *path = g_build_filename(fixture.directory, name, NULL);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

static inline void remove_scratch(const char *name)
{
        g_autofree char *path = g_build_filename(fixture.directory, name, NULL);

        (void) unlink(path);
}

/* A recap of one host. */
#define RECAP(changed) \
        "{\"rc\":0,\"check\":false,\"hosts\":{\"web\":{\"ok\":3,\"changed\":" #changed \
        ",\"failed\":0}}}"

static inline void write_replay(const char *script)
{
        g_autofree char *path = g_build_filename(fixture.directory, "replay", NULL);
        g_autofree char *text = g_strdup_printf("#!/bin/sh\ncd '%s'\necho \"$@\" >>replays\n%s",
                                                fixture.directory, script);

        need(g_file_set_contents(path, text, -1, NULL) ? chmod(path, 0755) : -EIO, path);
}

/* Changes something the first time only. */
#define GOOD_REPLAY \
        "echo PLAY; cat <&3 >archive\n" \
        "n=2; [ $(wc -l <replays) = 1 ] || n=0\n" \
        "echo '{\"rc\":0,\"check\":false,\"hosts\":{\"web\":{\"ok\":3,\"changed\":'$n'}}}' >&4\n"

#define EXACT \
        "{\"format\":1,\"from\":\"a\",\"to\":\"now\",\"verdict\":\"exact\",\"residual_count\":0," \
        "\"residual\":[],\"left_out_count\":0,\"left_out\":[],\"noise_count\":1}"

static inline void write_good_programs(void)
{
        static const char *const written[] = {"replays", "archive", "replayed", "history",
                                              "residual-arguments"};

        /* So that they make no difference later. */
        for (size_t i = 0; i < G_N_ELEMENTS(written); i++)
                write_scratch(written[i], "");
        write_playbook_programs();
        write_scratch("summary", "[\"nginx is installed\",\"user app is new\"]\n");
        write_scratch("residual", EXACT);
        write_replay(GOOD_REPLAY);
}

static pid_t verify_unit;

/* What it runs may be written later. */
static inline void start_verify_unit(void)
{
        g_autofree char *program = g_build_filename(fixture.directory, "replay", NULL);

        verify_unit = socket_unit_start(fixture.directory, "fluid-verify", program);
}

static inline void stop_verify_unit(void)
{
        if (verify_unit)
                socket_unit_stop(verify_unit, fixture.directory, "fluid-verify");
        verify_unit = 0;
}

/* A fixture that was made anew has none. */
static inline void link_verify_unit(void)
{
        g_autofree char *old = g_build_filename(fixture.directory, "fluid-verify.socket", NULL);

        if (!g_file_test(old, G_FILE_TEST_EXISTS)) {
                stop_verify_unit();
                start_verify_unit();
        }
        g_autofree char *new = g_build_filename(fixture.directory, "r/fluid-verify.socket", NULL);

        need(link(old, new) < 0 ? -errno : 0, new);
}

typedef struct Made {
        Outcome outcome;
        Playbook *playbook;
} Made;

static inline void on_made(Playbook *p, int r, const Fault *f, void *userdata)
{
        Made *made = userdata;

        g_assert(r < 0 ? !p : p != NULL);
        made->playbook = p;
        on_outcome(r, f, &made->outcome);
}

static inline int export_as(Sandbox *s, Caller *caller, const PlaybookSpec *spec, Playbook **ret)
{
        Made made = {0};

        fresh_fault();
        caller->is_audited = false;
        int r = finish(playbook_export(s, caller, spec, on_made, &made, &fixture.fault),
                       &made.outcome);
        if (r >= 0 && ret)
                *ret = made.playbook;
        return r;
}

static inline int export_points(const char *from, const char *to, Playbook **ret)
{
        return export_as(get_sandbox("web"), &fixture.caller,
                         &(PlaybookSpec){.from = from, .to = to}, ret);
}

/* The newest, whoever has the old pointer. */
static inline Playbook *newest_playbook(void)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_PLAYBOOK);

        return list->len ? list->pdata[list->len - 1] : NULL;
}

static inline int begin_verification(Playbook *p, const VerifySpec *spec)
{
        write_scratch("replays", "");
        return playbook_verify(p, &fixture.caller, spec ? spec : &(VerifySpec){0}, fresh_fault());
}

static inline int await_verification(Playbook *p)
{
        Outcome o = {0};

        return finish(playbook_wait(p, PATIENCE_USEC, on_outcome, &o, &fixture.fault), &o);
}

/* Its verdict then is in the row. */
static inline int verify(Playbook *p)
{
        int r = begin_verification(p, NULL);

        return r < 0 ? r : await_verification(p);
}

static inline bool has_verifier_sandbox(void)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_SANDBOX);

        for (guint i = 0; i < list->len; i++)
                if (sandbox_row(list->pdata[i])->owner_uid == VERIFIER_UID)
                        return true;
        return false;
}
