/* SPDX-License-Identifier: MIT */
#include "tests/host/identity-fixture.h"
#include "tests/host/witness.h"

#include <linux/capability.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* -- what is renewed -------------------------------------------------------------------------- */

/* A guest that has everything. */
static void put_everything(void)
{
        put("etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tmini.example.org  mini # mini\n"
                         "::1 ip6-mini mini6 mini");
        put("etc/machine-id", "old\n");
        put("var/lib/dbus/machine-id", "old\n");
        put("etc/ssh/ssh_host_ed25519_key", "old\n");
        put("etc/ssh/ssh_host_ed25519_key.pub", "old\n");
        put("etc/ssh/ssh_host_rsa_key", "old\n");
        put("etc/ssh/ssh_host_rsa_key.pub", "old\n");
        put("etc/ssh/ssh_host_ed25519_key-cert.pub", "old\n");
        put("etc/ssh/sshd_config", "kept\n");
        put("var/lib/dhcp/dhclient.eth0.leases", "old\n");
        put("var/lib/dhcpcd/duid", "old\n");
        put("var/lib/dhcpcd/folder/file", "kept\n");
        put("var/lib/NetworkManager/secret_key", "old\n");
        put("var/lib/NetworkManager/internal-1-eth0.lease", "old\n");
        put("var/lib/NetworkManager/timestamps", "kept\n");
        put("var/lib/systemd/random-seed", "old\n");
        put("run/systemd/netif/leases/2", "old\n");
}

static unsigned count_gone(void)
{
        static const char *const names[] = {"etc/ssh/ssh_host_rsa_key",
                                            "etc/ssh/ssh_host_rsa_key.pub",
                                            "etc/ssh/ssh_host_ed25519_key-cert.pub",
                                            "var/lib/dhcp/dhclient.eth0.leases",
                                            "var/lib/dhcpcd/duid",
                                            "var/lib/NetworkManager/secret_key",
                                            "var/lib/NetworkManager/internal-1-eth0.lease",
                                            "var/lib/systemd/random-seed",
                                            "run/systemd/netif/leases/2"};
        unsigned n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                n += !has(names[i]);
        tap_is_int(n, G_N_ELEMENTS(names), "other keys, leases and seeds are removed (%s)", spoken);
        return n;
}

/* The time that the fake date was given. */
static double clock_set_to(void)
{
        g_autofree char *text = get("clock");

        return text && g_str_has_prefix(text, "-u -s @") ? g_ascii_strtod(text + 7, NULL) : -1;
}

static double distance_to_now(double seconds)
{
        return ABS((double) now_realtime_usec() / 1e6 - seconds);
}

static void test_everything(void)
{
        g_autofree char *key_path = NULL;
        struct stat st;
        Simple s;

        begin_root();
        put_everything();
        scripts = programs_run = leaks = 0;
        renew(&s, &whole_identity);
        tap_is_int(s.r, 0, "an identity is renewed (%s)", spoken);
        tap_ok(gives_program ? scripts == 0 && programs_run == 1 : scripts == 1,
               "with a single program (%s)", spoken);
        tap_is_int(leaks, 0, "that is not told the key by its arguments (%s)", spoken);
        tap_ok(is("dev/urandom", "AAEC/w==\n"), "the kernel gets the seed (%s)", spoken);
        tap_ok(is("proc/sys/kernel/hostname", "web\n") && is("etc/hostname", "web\n"),
               "the hostname is new (%s)", spoken);
        tap_ok(is("etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tweb.example.org  web # web\n"
                               "::1 ip6-mini mini6 web\n"),
               "so is it in /etc/hosts, where it is a word (%s)", spoken);
        tap_ok(is("etc/machine-id", MACHINE_ID "\n") &&
                       is("var/lib/dbus/machine-id", MACHINE_ID "\n"),
               "the machine id is new (%s)", spoken);
        tap_ok(is("etc/ssh/ssh_host_ed25519_key", KEY_TEXT) &&
                       is("etc/ssh/ssh_host_ed25519_key.pub", PUBLIC_TEXT),
               "the host key is new (%s)", spoken);
        (void) count_gone();
        tap_ok(has("etc/ssh/sshd_config") && has("var/lib/dhcpcd/folder/file") &&
                       has("var/lib/NetworkManager/timestamps"),
               "what else is there is kept (%s)", spoken);
        tap_ok(distance_to_now(clock_set_to()) < 5, "the clock is set to this host's (%s)", spoken);
        key_path = path_of("etc/ssh/ssh_host_ed25519_key");
        g_assert(chmod(key_path, 0644) == 0);
        renew(&s, &whole_identity);
        tap_ok(s.r == 0 && stat(key_path, &st) == 0 && (st.st_mode & 0777) == 0600,
               "the host key is for root alone, whatever the old one was (%s)", spoken);
        end_root();
}

static void test_nothing(void)
{
        Simple s;

        begin_root();
        renew(&s, &whole_identity);
        tap_ok(s.r == 0 && is("etc/hostname", "web\n") && !has("etc/machine-id") &&
                       !has("etc/ssh") && !has("var"),
               "a guest that has nothing is given no more than a hostname (%s)", spoken);
        end_root();

        begin_root();
        put_everything();
        renew(&s, IDENTITY(.seed = "x", .seed_size = 1));
        tap_ok(s.r == 0 && is("etc/hostname", "mini\n") && is("etc/machine-id", "old\n") &&
                       is("etc/ssh/ssh_host_ed25519_key", "old\n") &&
                       has("etc/ssh/ssh_host_rsa_key") && !has("clock"),
               "what is not given stays as it is (%s)", spoken);
        end_root();
}

static void test_cases(void)
{
        Simple s;

        begin_root();
        put("etc/machine-id", "");
        put_link("var/lib/dbus/machine-id", "/nowhere/machine-id");
        renew(&s, &whole_identity);
        tap_ok(s.r == 0 && is("etc/machine-id", MACHINE_ID "\n") && has("var/lib/dbus/machine-id"),
               "an empty machine id is filled, a link to it left alone (%s)", spoken);
        end_root();

        begin_root();
        put("usr/sbin/sshd", "");
        put("etc/ssh/sshd_config", "");
        g_autofree char *sshd = path_of("usr/sbin/sshd");
        g_assert(chmod(sshd, 0755) == 0);
        renew(&s, &whole_identity);
        tap_ok(s.r == 0 && is("etc/ssh/ssh_host_ed25519_key", KEY_TEXT),
               "an sshd without a key gets one (%s)", spoken);
        end_root();

        begin_root();
        put("etc/ssh/ssh_host_rsa_key", "old\n");
        renew(&s, &whole_identity);
        tap_ok(s.r == 0 && is("etc/ssh/ssh_host_ed25519_key", KEY_TEXT) &&
                       !has("etc/ssh/ssh_host_rsa_key"),
               "a key of another kind is replaced (%s)", spoken);
        end_root();
}

/* -- /etc/hosts ------------------------------------------------------------------------------- */

static void test_hosts(void)
{
        static const struct {
                const char *what, *old, *before, *after;
        } cases[] = {
                {"a name", "mini", "127.0.1.1 mini\n", "127.0.1.1 web\n"},
                {"a domain's name", "mini", "::1\tmini.a mini\n", "::1\tweb.a web\n"},
                {"several times a line", "mini", "1 mini  mini\tmini\n", "1 web  web\tweb\n"},
                {"a part of a name", "mini", "1 minimini a-mini mini-a\n",
                 "1 minimini a-mini mini-a\n"},
                {"a name of two parts", "a.b", "1 a.b axb a.b.c\n", "1 web axb web.c\n"},
                {"no name at all", "mini", "1 other\n\n# *\n", "1 other\n\n# *\n"},
                {"no end of a line", "mini", "1 mini", "1 web\n"},
                {"an empty file", "mini", "", ""},
                {"bytes that a shell might take for its own", "mini",
                 "1 $(id) `id` \\n %s \"'\\ mini\n", "1 $(id) `id` \\n %s \"'\\ web\n"},
                {"localhost", "localhost", "1 localhost\n", "1 localhost\n"},
                {"localhost's domain", "localhost.localdomain", "1 localhost.localdomain\n",
                 "1 localhost.localdomain\n"},
                {"no name", "(none)", "1 (none)\n", "1 (none)\n"},
                {"a pattern", "m*", "1 mini m*\n", "1 mini m*\n"},
                {"the name that it has already", "web", "1 web\n", "1 web\n"},
        };
        Simple s;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                begin_root();
                g_autofree char *name = g_strconcat(cases[i].old, "\n", NULL);
                put("proc/sys/kernel/hostname", name);
                put("etc/hosts", cases[i].before);
                renew(&s, IDENTITY(.hostname = "web"));
                tap_ok(s.r == 0 && is("etc/hosts", cases[i].after), "/etc/hosts with %s (%s)",
                       cases[i].what, spoken);
                end_root();
        }
}

static void test_long_hosts(void)
{
        g_autoptr(GString) before = g_string_new("127.0.1.1 mini\n");
        g_autoptr(GString) after = g_string_new("127.0.1.1 web\n");
        Simple s;

        for (unsigned i = 0; i < 30000; i++) {
                g_string_append_printf(before, "0.0.0.0 advertisement%u.example.org\n", i);
                g_string_append_printf(after, "0.0.0.0 advertisement%u.example.org\n", i);
        }
        begin_root();
        put("etc/hosts", before->str);
        renew(&s, IDENTITY(.hostname = "web"));
        g_autofree char *text = get("etc/hosts");
        tap_ok(s.r == 0 && g_str_equal(text, after->str),
               "nothing of a long /etc/hosts is lost (%s)", spoken);
        end_root();
}

/* -- sshd ------------------------------------------------------------------------------------- */

/* A process that a SIGHUP ends, known to the guest by the name of `comm`; returns what ended it
 * within the renewal, 0 if nothing did. */
static int signal_of_sshd(const char *comm)
{
        g_autofree char *pid_text = NULL, *comm_path = NULL;
        int status = 0;
        Simple s;
        pid_t pid = fork();

        g_assert(pid >= 0);
        if (pid == 0) {
                (void) signal(SIGHUP, SIG_DFL);
                for (;;)
                        (void) pause();
        }
        begin_root();
        put_everything();
        pid_text = g_strdup_printf("%d\n", (int) pid);
        comm_path = g_strdup_printf("proc/%d/comm", (int) pid);
        put("run/sshd.pid", pid_text);
        put(comm_path, comm);
        renew(&s, &whole_identity);
        g_assert(s.r == 0);
        if (!g_str_equal(comm, "sshd\n")) {
                (void) kill(pid, SIGKILL);
                g_assert(waitpid(pid, &status, 0) == pid);
        } else {
                g_assert(waitpid(pid, &status, 0) == pid);
        }
        end_root();
        return WTERMSIG(status);
}

static void test_sshd(void)
{
        Simple s;

        tap_is_int(signal_of_sshd("sshd\n"), SIGHUP, "a running sshd reads its key anew (%s)",
                   spoken);
        tap_is_int(signal_of_sshd("other\n"), SIGKILL,
                   "another process of the number that sshd had is left alone (%s)", spoken);
        static const char *const bad[] = {"", "\n", "-1\n", "1 2\n", "$(id)\n", "../self\n"};
        unsigned good = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                begin_root();
                put_everything();
                put("run/sshd.pid", bad[i]);
                renew(&s, &whole_identity);
                good += s.r == 0;
                end_root();
        }
        tap_is_int(good, G_N_ELEMENTS(bad), "a broken sshd.pid is no number (%s)", spoken);
}

/* -- the seed --------------------------------------------------------------------------------- */

static unsigned files_in(const char *name)
{
        g_autofree char *path = path_of(name);
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        while (g_dir_read_name(dir))
                n++;
        return n;
}

/* The test's /dev/urandom is a file: fluid's own program is run, and told that by the kernel. Its
 * success is for a real guest to show. */
static void test_seed(void)
{
        Simple s;

        begin_root();
        make_folder("dev/shm");
        make_folder("run");
        renew(&s, &whole_identity);
        tap_ok(s.r == 0 && is("reseeded", "perl exit !ioctl(STDIN, 0x5207, 0)\n"),
               "perl serves where fluid's program does not (%s)", spoken);
        tap_ok(files_in("dev/shm") == 0 && files_in("run") == 0, "and nothing is left of that (%s)",
               spoken);
        end_root();

        begin_root();
        put_reseeder("perl", 1);
        renew(&s, &whole_identity);
        tap_ok(s.r == 0 && is("reseeded", "perl exit !ioctl(STDIN, 0x5207, 0)\n"
                                          "python3 import fcntl; fcntl.ioctl(0, 0x5207)\n"),
               "python serves where perl does not (%s)", spoken);
        end_root();

        begin_root();
        put_everything();
        put_reseeder("perl", 1);
        put_reseeder("python3", 1);
        renew(&s, &whole_identity);
        tap_ok(s.fault.code == FAULT_AGENT_REFUSED &&
                       strstr(s.fault.message, "the random number generator") &&
                       is("etc/machine-id", MACHINE_ID "\n") && has("clock"),
               "random numbers that stay those of another are told (%s)", spoken);
        end_root();
}

/* -- the clock -------------------------------------------------------------------------------- */

static void test_clock(void)
{
        g_autofree char *busybox = NULL, *date = NULL, *text = NULL;
        Simple s;

        begin_root();
        put_everything();
        put_date("@*.*");
        renew(&s, &whole_identity);
        text = get("clock");
        tap_ok(s.r == 0 && text && !strchr(text, '.') && distance_to_now(clock_set_to()) < 2,
               "a date that knows no fractions sets whole seconds (%s)", spoken);
        end_root();

        begin_root();
        put_everything();
        put("bin/busybox", "");
        busybox = path_of("bin/busybox");
        date = path_of("bin/date");
        g_assert(link(busybox, date) == 0);
        renew(&s, &whole_identity);
        g_autofree char *of_busybox = get("clock");
        tap_ok(s.r == 0 && of_busybox && !strchr(of_busybox, '.'),
               "busybox' date is not even asked for fractions (%s)", spoken);
        end_root();

        begin_root();
        put_everything();
        put_date("*");
        renew(&s, &whole_identity);
        tap_ok(s.fault.code == FAULT_AGENT_REFUSED && strstr(s.fault.message, "the clock") &&
                       strstr(s.fault.message, "refused"),
               "a clock that cannot be set is told (%s)", spoken);
        end_root();
}

/* -- failures --------------------------------------------------------------------------------- */

/* Where a directory is, nothing can be written. */
static void test_failures(void)
{
        static const struct {
                const char *name, *told;
        } cases[] = {
                {"dev/urandom", "/dev/urandom"},
                {"proc/sys/kernel/hostname", "/proc/sys/kernel/hostname"},
                {"etc/hostname", "/etc/hostname"},
                {"etc/machine-id", "/etc/machine-id"},
                {"etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key"},
                {"etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_ed25519_key.pub"},
                {"etc/ssh/ssh_host_rsa_key", "old keys and leases"},
        };
        static const char *const written[] = {"dev/urandom",
                                              "proc/sys/kernel/hostname",
                                              "etc/hostname",
                                              "etc/machine-id",
                                              "etc/ssh/ssh_host_ed25519_key",
                                              "etc/ssh/ssh_host_ed25519_key.pub"};
        Simple s;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                unsigned renewed = 0, expected = 0;

                begin_root();
                put_everything();
                make_folder(cases[i].name);
                renew(&s, &whole_identity);
                tap_ok(s.fault.code == FAULT_AGENT_REFUSED &&
                               strstr(s.fault.message, cases[i].told) &&
                               !strstr(s.fault.message, "c2VjcmV0"),
                       "that %s cannot be renewed is told (%s)", cases[i].name, spoken);
                for (size_t j = 0; j < G_N_ELEMENTS(written); j++) {
                        g_autofree char *text = get(written[j]);
                        expected += !g_str_equal(written[j], cases[i].name);
                        renewed += text && *text && !g_str_equal(text, "old\n") &&
                                   !g_str_equal(text, "mini\n");
                }
                tap_ok(renewed == expected && has("clock"), "and the rest is done (%s)", spoken);
                end_root();
        }
}

/* -- fluid's own program ---------------------------------------------------------------------- */

/* What begin_root() has the guest have from then on: 0 for none. */
static void test_kernel(void)
{
        static const struct {
                const char *what, *file;
                int error;
                const char *told; /* NULL: it is no failure */
        } cases[] = {
                {"a clock that cannot be set", "refused-clock", EPERM, "the clock"},
                {"random numbers that stay those of another", "refused-seed", EPERM,
                 "the random number generator"},
                {"a kernel that has no such ioctl", "refused-seed", EINVAL, NULL},
                {"a kernel that has drawn no key yet", "refused-seed", ENODATA, NULL},
        };
        Simple s;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                char number[16];
                begin_root();
                put_everything();
                (void) snprintf(number, sizeof number, "%d", cases[i].error);
                put(cases[i].file, number);
                renew(&s, &whole_identity);
                tap_ok(cases[i].told ? s.fault.code == FAULT_AGENT_REFUSED &&
                                               strstr(s.fault.message, cases[i].told)
                                     : s.r == 0,
                       "%s %s", cases[i].what, cases[i].told ? "is told" : "is no failure");
                tap_ok(is("etc/machine-id", MACHINE_ID "\n") && is("reseeded", "ioctl\n") &&
                               has("clock"),
                       "and the rest is done");
                end_root();
        }
}

static bool is_waited_for(ino_t inode)
{
        g_autofree char *end = g_strdup_printf(":%ju 0 EOF", (uintmax_t) inode);
        g_autofree char *text = NULL;
        bool is_waited_for = false;

        g_assert(g_file_get_contents("/proc/locks", &text, NULL, NULL));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
                is_waited_for |= strstr(*line, "->") && g_str_has_suffix(*line, end);
        return is_waited_for;
}

/* Of a daemon that was killed one may run still. */
static void test_two_at_a_time(void)
{
        g_autofree char *path = NULL;
        struct stat st;
        Simple s;

        begin_root();
        put_everything();
        path = path_of("run/fluid-identity-1");
        int other = open(path, O_RDONLY | O_CLOEXEC);
        g_assert(other >= 0 && fstat(other, &st) == 0 && flock(other, LOCK_EX) == 0);
        g_assert(renew_with(&s, &whole_identity) == 0);
        while (!s.is_done && !is_waited_for(st.st_ino))
                g_assert(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);
        tap_ok(!s.is_done && is("etc/hostname", "mini\n") && is("etc/machine-id", "old\n"),
               "one waits for another to end");
        g_assert(close(other) == 0);
        wait_simple(&s);
        tap_ok(s.r == 0 && is("etc/hostname", "web\n") && is("etc/machine-id", MACHINE_ID "\n"),
               "and then renews all");
        end_root();
}

static void test_program(void)
{
        if (guest_program_size == 0) {
                tap_skip("the program renews an identity", "it is for x86-64");
                return;
        }
        g_assert(begin_shell("dash"));
        spoken = "program";
        gives_program = true;
        test_everything();
        test_nothing();
        test_cases();
        test_hosts();
        test_long_hosts();
        test_sshd();
        test_failures();
        test_kernel();
        test_two_at_a_time();
        gives_program = false;
        end_shell();
}

/* A guest whose program is not what it should be is no worse off than one without. */
static void test_other_programs(void)
{
        static const struct {
                const char *what, *text;
                unsigned mode;
        } cases[] = {
                {"one of another machine", "\177ELF", 0700},
                {"one that may not be run", "#!/bin/sh\n", 0600},
                {"one that is killed", "#!/bin/sh\nkill -9 $$\n", 0700},
                {"one that knows other arguments", "#!/bin/sh\nexit 2\n", 0700},
        };
        Simple s;

        g_assert(begin_shell("dash"));
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                begin_root();
                put_everything();
                put("run/fluid-identity-1", cases[i].text);
                g_autofree char *path = path_of("run/fluid-identity-1");
                g_assert(chmod(path, cases[i].mode) == 0);
                scripts = 0;
                renew(&s, &whole_identity);
                tap_ok(s.r == 0 && scripts == 1 && is("etc/machine-id", MACHINE_ID "\n"),
                       "the shell serves where the program is %s", cases[i].what);
                end_root();
        }
        begin_root();
        put("run/fluid-identity-1", "#!/bin/sh\necho lies >&2; exit 1\n");
        g_autofree char *path = path_of("run/fluid-identity-1");
        g_assert(chmod(path, 0700) == 0);
        renew(&s, &whole_identity);
        tap_ok(s.fault.code == FAULT_AGENT_REFUSED && strstr(s.fault.message, "lies"),
               "what a program says that it could not do is told");
        end_root();
        end_shell();
}

static void test_shell(const char *name)
{
        if (!begin_shell(name))
                return;
        test_everything();
        test_nothing();
        test_cases();
        test_hosts();
        test_long_hosts();
        test_sshd();
        test_seed();
        test_clock();
        test_failures();
        end_shell();
}

int main(int argc, char *argv[])
{
        if (argc > 2 && g_str_equal(argv[1], WITNESS))
                witness_run(argv + 2);
        /* Whatever a mistake makes of a script, this machine's clock and name stay what they are.
         */
        for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
                if (capability != CAP_DAC_OVERRIDE)
                        (void) prctl(PR_CAPBSET_DROP, capability);
        set_up();
        test_program();
        test_other_programs();
        test_shell("dash");
        test_shell("bash");
        test_shell("busybox");
        tear_down();
        return tap_done();
}
