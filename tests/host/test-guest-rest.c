/* SPDX-License-Identifier: MIT */
#include "tests/host/identity-fixture.h"

#include <linux/capability.h>
#include <sys/prctl.h>

/* -- interruptions and refusals --------------------------------------------------------------- */

static bool answer_silently(FakeAgent *f, const char *command, Json *arguments, void *userdata)
{
        (void) f;
        (void) arguments;
        (void) userdata;
        return g_str_equal(command, "guest-exec") || g_str_equal(command, "guest-file-open");
}

static bool answer_by_hanging_up(FakeAgent *f, const char *command, Json *arguments, void *userdata)
{
        if (!answer_silently(f, command, arguments, userdata))
                return false;
        fake_agent_hang_up(f);
        return true;
}

typedef int (*Starter)(Simple *s);

static int start_renewal(Simple *s)
{
        return renew_with(s, &whole_identity);
}

static int start_hostname(Simple *s)
{
        *s = (Simple){0};
        return guest_set_hostname_below(event, agent, root, "web", simple_done, s, &s->task,
                                        &s->fault);
}

static int start_settling(Simple *s)
{
        *s = (Simple){0};
        return guest_settle(event, agent, USEC_PER_SEC, simple_done, s, &s->task, &s->fault);
}

/* Until the agent has been asked, which then is what is interrupted. */
static void wait_asked(const char *command)
{
        while (fake_agent_count(fake, command) == 0)
                g_assert(sd_event_run(event, USEC_PER_MSEC) >= 0);
}

static void test_interruptions(void)
{
        static const struct {
                const char *what, *command;
                Starter start;
        } cases[] = {{"a renewal", "guest-exec", start_renewal},
                     {"a new hostname", "guest-file-open", start_hostname},
                     {"a wait for rest", "guest-exec", start_settling}};
        Simple s;

        begin_root();
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                begin(answer_silently);
                g_assert(cases[i].start(&s) == 0);
                bool was_early = s.is_done;
                wait_asked(cases[i].command);
                guest_task_cancel(s.task);
                tap_ok(!was_early && !s.is_done, "%s that is given up says no word", cases[i].what);
                g_assert(cases[i].start(&s) == 0);
                agent = agent_free(agent);
                tap_ok(s.is_done && s.fault.code == FAULT_CANCELLED, "freeing the agent ends %s",
                       cases[i].what);
                end();

                begin(answer_by_hanging_up);
                g_assert(cases[i].start(&s) == 0);
                wait_simple(&s);
                tap_is_int(s.fault.code, FAULT_AGENT_UNAVAILABLE, "a lost channel ends %s",
                           cases[i].what);
                end();
        }
        end_root();
}

static void test_refusals(void)
{
        static const char *const hostnames[] = {"",    "-n",  ".a",       "a_b",
                                                "a b", "a\n", "\303\244", "$(id)"};
        static const char *const ids[] = {"", "0123456789abcdef0123456789abcde",
                                          "0123456789abcdef0123456789abcdef0",
                                          "0123456789ABCDEF0123456789abcdef"};
        static const struct {
                const char *what;
                GuestIdentity identity;
        } cases[] = {
                {"a private key without its public one", {.ssh_host_key = KEY_TEXT}},
                {"a public key without its private one", {.ssh_host_key_public = PUBLIC_TEXT}},
                {"a key with an empty line",
                 {.ssh_host_key = "-----BEGIN X-----\n\n-----END X-----\n",
                  .ssh_host_key_public = PUBLIC_TEXT}},
                {"a key that is none", {.ssh_host_key = "x\n", .ssh_host_key_public = PUBLIC_TEXT}},
                {"a public key of two lines",
                 {.ssh_host_key = KEY_TEXT, .ssh_host_key_public = "a\nb\n"}},
                {"a public key without end",
                 {.ssh_host_key = KEY_TEXT, .ssh_host_key_public = "a"}},
                {"a huge seed", {.seed = KEY_TEXT, .seed_size = GUEST_SEED_MAX + 1}},
        };
        g_autofree char *longest = g_strnfill(63, 'a'), *longer = g_strnfill(64, 'a');
        Simple s;

        begin_root();
        begin(answer_silently);
        for (size_t i = 0; i < G_N_ELEMENTS(hostnames) + 1; i++) {
                const char *name = i < G_N_ELEMENTS(hostnames) ? hostnames[i] : longer;
                Simple alone = {0};
                (void) renew_with(&s, IDENTITY(.hostname = name));
                (void) guest_set_hostname_below(event, agent, root, name, simple_done, &alone,
                                                &alone.task, &alone.fault);
                g_autofree char *shown = g_strescape(name, NULL);
                tap_ok(s.fault.code == FAULT_INVALID_ARGUMENT &&
                               alone.fault.code == FAULT_INVALID_ARGUMENT,
                       "'%s' is no hostname", shown);
        }
        tap_ok(renew_with(&s, IDENTITY(.hostname = longest)) == 0, "63 characters are a hostname");
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
                (void) renew_with(&s, IDENTITY(.machine_id = ids[i]));
                tap_is_int(s.fault.code, FAULT_INVALID_ARGUMENT, "'%s' is no machine id", ids[i]);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                (void) renew_with(&s, &cases[i].identity);
                tap_is_int(s.fault.code, FAULT_INVALID_ARGUMENT, "%s is refused", cases[i].what);
        }
        end();
        end_root();
}

/* -- the hostname alone ----------------------------------------------------------------------- */

static void set_hostname(Simple *s)
{
        g_assert(start_hostname(s) == 0);
        wait_simple(s);
}

static void test_hostname(void)
{
        Simple s;

        begin_root();
        begin(NULL);
        put("etc/hostname", "a longer name than that\n");
        set_hostname(&s);
        tap_ok(s.r == 0 && is("proc/sys/kernel/hostname", "web\n") && is("etc/hostname", "web\n"),
               "a hostname is set");
        tap_is_int(fake_agent_count(fake, "guest-exec"), 0, "without a program");
        tap_is_int(fake_agent_count(fake, "guest-file-close"), 2, "and both files are closed");
        make_folder("etc/hostname");
        set_hostname(&s);
        tap_is_int(s.fault.code, FAULT_AGENT_REFUSED, "a file that cannot be opened is told");
        end();

        static const struct {
                const char *what, *command, *value;
                bool refuses;
                FaultCode code;
        } lies[] = {
                {"no handle", "guest-file-open", "{}", false, FAULT_AGENT_MISBEHAVED},
                {"a negative handle", "guest-file-open", "-1", false, FAULT_AGENT_MISBEHAVED},
                {"no count", "guest-file-write", "{}", false, FAULT_AGENT_MISBEHAVED},
                {"too large a count", "guest-file-write", "{\"count\": 5}", false,
                 FAULT_AGENT_MISBEHAVED},
                {"a short write", "guest-file-write", "{\"count\": 3}", false, FAULT_AGENT_REFUSED},
                {"a close that fails", "guest-file-close", "failed to close", true,
                 FAULT_AGENT_REFUSED},
        };
        (void) remove_tree(root, NULL);
        g_clear_pointer(&root, g_free);
        begin_root();
        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
                begin_lying(lies[i].command, lies[i].value, lies[i].refuses);
                set_hostname(&s);
                tap_is_int(s.fault.code, lies[i].code, "an agent that tells %s ends it",
                           lies[i].what);
                end();
        }
        end_root();
}

static void test_hostname_from_name(void)
{
        static const struct {
                const char *name, *hostname;
        } cases[] = {
                {"web", "web"},     {"my_box", "my-box"}, {"Web-1.lab", "Web-1.lab"},
                {"a__b", "a--b"},   {"a_", "a"},          {"a-._", "a"},
                {"a..b", "a.b"},    {"a_.b", "a.b"},      {"a._b", "a.b"},
                {"a-_.-b", "a.b"},  {"1", "1"},           {"", "sandbox"},
                {"___", "sandbox"}, {"a b/c", "a-b-c"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *hostname = guest_hostname_from_name(cases[i].name);
                tap_is_str(hostname, cases[i].hostname, "the hostname of '%s'", cases[i].name);
        }
        g_autofree char *long_name = g_strnfill(100, 'a');
        g_autofree char *hostname = guest_hostname_from_name(long_name);
        tap_is_int((int64_t) strlen(hostname), 63, "a hostname has an end");
}

/* -- coming to rest --------------------------------------------------------------------------- */

/* A systemctl that says `first`, and after that `later`. */
static void put_systemctl(const char *first, const char *later)
{
        g_autofree char *text =
                g_strdup_printf("#!/bin/sh\n"
                                "echo \"$*\" >>'%s/asked'\n"
                                "[ -e '%s/started' ] || { echo >'%s/started'; %s; exit; }\n"
                                "%s\n",
                                root, root, root, first, later);

        put_program("systemctl", text);
}

static uint64_t settle(uint64_t timeout_usec, Simple *s)
{
        uint64_t begun = now_monotonic_usec();

        *s = (Simple){0};
        g_assert(guest_settle(event, agent, timeout_usec, simple_done, s, &s->task, NULL) == 0);
        wait_simple(s);
        return now_monotonic_usec() - begun;
}

static void begin_settling(void)
{
        g_autofree char *text = NULL;

        begin_root();
        text = g_strdup_printf("#!/bin/sh\necho >'%s/synced'\n", root);
        put_program("sync", text);
}

static void test_settle(void)
{
        g_autofree char *systemctl = g_build_filename(programs, "systemctl", NULL);
        Simple s;

        begin_settling();
        (void) settle(LONG_USEC, &s);
        tap_ok(s.r == 0 && has("synced"), "a guest without systemd has its caches written (%s)",
               spoken);
        end_root();

        begin_settling();
        put_systemctl("echo degraded; exit 1", "");
        tap_ok(settle(LONG_USEC, &s) < LONG_USEC / 2 && s.r == 0 && has("synced") &&
                       is("asked", "is-system-running --wait\n"),
               "a guest is at rest when systemd says so (%s)", spoken);
        end_root();

        begin_settling();
        put_systemctl("echo 'unknown option' >&2; exit 1", "echo running");
        (void) settle(LONG_USEC, &s);
        tap_ok(s.r == 0 && has("synced") &&
                       is("asked", "is-system-running --wait\nis-system-running\n"),
               "a systemd that cannot wait is asked again (%s)", spoken);
        end_root();

        begin_settling();
        put_systemctl("exec sleep 1000", "exec sleep 1000");
        uint64_t took = settle(USEC_PER_SEC, &s);
        tap_ok(s.r == 0 && has("synced") && took < 20 * USEC_PER_SEC,
               "a guest that does not come to rest is let be (%s)", spoken);
        end_root();

        begin_settling();
        put_program("sync", "#!/bin/sh\nexit 1\n");
        put_systemctl("echo running", "");
        (void) settle(LONG_USEC, &s);
        tap_is_int(s.fault.code, FAULT_AGENT_REFUSED, "a disk that takes nothing is told (%s)",
                   spoken);
        end_root();
        (void) unlink(systemctl);
}

/* -- the program for later -------------------------------------------------------------------- */

static void put_program_there(Simple *s)
{
        *s = (Simple){0};
        g_assert(guest_put_program_below(event, agent, root, simple_done, s, &s->task, NULL) == 0);
        wait_simple(s);
}

static void test_put_program(void)
{
        static const struct {
                const char *what, *mounts, *folder;
        } cases[] = {
                {"in /run", "tmpfs /run tmpfs rw,nosuid 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n", "run"},
                {"in /dev/shm, where nothing in /run can be run",
                 "a / ext4 rw 0 0\ntmpfs /run tmpfs rw,noexec 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n",
                 "dev/shm"},
                {"nowhere, where nothing can be run",
                 "tmpfs /run tmpfs noexec,rw 0 0\ntmpfs /dev/shm tmpfs rw,noexec 0 0\n", NULL},
                {"nowhere, where /run is on a disk",
                 "a /run ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n", NULL},
        };
        Simple s;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                begin_root();
                make_folder("run");
                make_folder("dev/shm");
                put("proc/mounts", cases[i].mounts);
                put_program_there(&s);
                g_autofree char *link = path_of("run/fluid-identity-1");
                g_autofree char *target = g_file_read_link(link, NULL);
                g_autofree char *folder_path = cases[i].folder ? path_of(cases[i].folder) : NULL;
                struct stat st;
                if (cases[i].folder && guest_program_size > 0)
                        tap_ok(s.r == 0 && target && g_str_has_prefix(target, folder_path) &&
                                       stat(link, &st) == 0 && (st.st_mode & 0777) == 0500 &&
                                       st.st_size == (off_t) guest_program_size,
                               "the program is put %s (%s)", cases[i].what, spoken);
                else
                        tap_ok(s.fault.code == FAULT_AGENT_REFUSED && !target,
                               "the program is put %s (%s)", cases[i].what, spoken);
                end_root();
        }
}

static void test_shell(const char *name)
{
        if (!begin_shell(name))
                return;
        test_settle();
        test_put_program();
        end_shell();
}

int main(void)
{
        for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
                if (capability != CAP_DAC_OVERRIDE)
                        (void) prctl(PR_CAPBSET_DROP, capability);
        set_up();
        test_shell("dash");
        test_shell("bash");
        test_shell("busybox");
        spoken = "";
        programs = g_build_filename(folder, "no-programs", NULL);
        g_assert(g_mkdir(programs, 0755) == 0);
        test_interruptions();
        test_refusals();
        test_hostname();
        test_hostname_from_name();
        g_clear_pointer(&programs, g_free);
        tear_down();
        return tap_done();
}
