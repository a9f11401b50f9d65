/* SPDX-License-Identifier: MIT */
#include "run/ansible.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "ansible-playbook"
/* As shells have it. */
#define STATUS_OF_SIGNAL 128
#define STATUS_NOT_RUN   127

/* %1$s: the private directory; %2$s: more options of ssh. Plugins and modules are ansible-core's,
 * and the connection to sandboxes. */
static const char configuration[] =
        "[defaults]\n"
        "stdout_callback = default\n"
        "callbacks_enabled = " RECAP_PLUGIN "\n"
        "callback_plugins = %1$s/callback\n"
        "connection_plugins = /usr/share/ansible/plugins/connection\n"
        "action_plugins = %1$s/none\n"
        "become_plugins = %1$s/none\n"
        "cache_plugins = %1$s/none\n"
        "cliconf_plugins = %1$s/none\n"
        "filter_plugins = %1$s/none\n"
        "httpapi_plugins = %1$s/none\n"
        "inventory_plugins = %1$s/none\n"
        "library = %1$s/none\n"
        "lookup_plugins = %1$s/none\n"
        "module_utils = %1$s/none\n"
        "netconf_plugins = %1$s/none\n"
        "strategy_plugins = %1$s/none\n"
        "terminal_plugins = %1$s/none\n"
        "test_plugins = %1$s/none\n"
        "vars_plugins = %1$s/none\n"
        "collections_path = %1$s/none\n"
        "collections_scan_sys_path = False\n"
        "roles_path = %1$s/none\n"
        "local_tmp = %1$s/local\n"
        "host_key_checking = True\n"
        "interpreter_python = auto_silent\n"
        "retry_files_enabled = False\n"
        "display_skipped_hosts = False\n"
        "deprecation_warnings = False\n"
        "localhost_warning = False\n"
        "nocows = True\n"
        "nocolor = True\n"
        "[inventory]\n"
        "enable_plugins = yaml, ini\n"
        "[connection]\n"
        "pipelining = True\n"
        "[ssh_connection]\n"
        "control_path_dir = %1$s/ssh\n"
        "ssh_args = -o BatchMode=yes -o StrictHostKeyChecking=yes -o ControlMaster=auto "
        "-o ControlPersist=60s%2$s\n";

/* -- what it is given -------------------------------------------------------------------------- */

static int write_file(const char *directory, const char *name, const char *text, Fault *f)
{
        g_autofree char *path = g_build_filename(directory, name, NULL);
        autofd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot write '%s'", path) : 0;
}

int ansible_prepare(const char *directory, const ApplyConfig *config, Fault *f)
{
        static const char *const directories[] = {"callback", "home", "local", "none", "ssh"};
        g_autofree char *known_hosts =
                config && config->known_hosts
                        ? g_strdup_printf(" -o UserKnownHostsFile=%s", config->known_hosts)
                        : g_strdup("");
        g_autofree char *text = g_strdup_printf(configuration, directory, known_hosts);

        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
                g_autofree char *path = g_build_filename(directory, directories[i], NULL);
                if (mkdir(path, 0700) < 0)
                        return fault_set_errno(f, FAULT_IO, errno, "cannot make '%s'", path);
        }
        int r = write_file(directory, "ansible.cfg", text, f);
        return r < 0 ? r
                     : write_file(directory, "callback/" RECAP_PLUGIN ".py", recap_plugin_text, f);
}

static void add(GPtrArray *words, char *word)
{
        g_ptr_array_add(words, word);
}

static GPtrArray *make_arguments(const AnsibleRun *run)
{
        GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
        const ApplyConfig *c = run->config;

        add(words, g_strdup(PROGRAM));
        add(words, g_strdup_printf("--inventory=%s/" ANSIBLE_INVENTORY, run->directory));
        if (run->is_check)
                add(words, g_strdup("--check"));
        if (run->shows_diff)
                add(words, g_strdup("--diff"));
        if (c && c->limit)
                add(words, g_strdup_printf("--limit=%s", c->limit));
        if (c && c->user)
                add(words, g_strdup_printf("--user=%s", c->user));
        if (c && c->private_key)
                add(words, g_strdup_printf("--private-key=%s", c->private_key));
        /* As a variable: a playbook's own word would count for more than the option. */
        if (c && c->become != BECOME_AS_PLAYBOOK)
                add(words, g_strdup_printf("--extra-vars=ansible_become=%s",
                                           c->become == BECOME_YES ? "true" : "false"));
        add(words,
            g_strdup_printf("%s/" ANSIBLE_PLAYBOOK_DIRECTORY "/playbook.yml", run->directory));
        add(words, NULL);
        return words;
}

static void add_own(GPtrArray *words, const char *name)
{
        if (g_getenv(name))
                add(words, g_strdup_printf("%s=%s", name, g_getenv(name)));
}

static GPtrArray *make_environment(const AnsibleRun *run, const char *recap)
{
        GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

        add_own(words, "PATH");
        /* fluid-runner sets neither: they are for who calls this by hand. */
        add_own(words, "FLUID_BUS_ADDRESS");
        add_own(words, "ANSIBLE_CONNECTION_PLUGINS");
        add(words, g_strdup("LC_ALL=C.UTF-8"));
        add(words, g_strdup("PYTHONDONTWRITEBYTECODE=1"));
        add(words, g_strdup_printf("HOME=%s/home", run->directory));
        add(words, g_strdup_printf("TMPDIR=%s/local", run->directory));
        add(words, g_strdup_printf("ANSIBLE_HOME=%s/home", run->directory));
        add(words, g_strdup_printf("ANSIBLE_CONFIG=%s/ansible.cfg", run->directory));
        add(words, g_strdup_printf(RECAP_VARIABLE "=%s", recap));
        add(words, NULL);
        return words;
}

/* -- running it -------------------------------------------------------------------------------- */

static void become_ansible(const AnsibleRun *run, const char *program, char *const *arguments,
                           char *const *environment, int output)
{
        autofd null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        g_autofree char *directory =
                g_build_filename(run->directory, ANSIBLE_PLAYBOOK_DIRECTORY, NULL);

        if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
            dup2(output, STDERR_FILENO) < 0 || chdir(directory) < 0 ||
            syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0) < 0 ||
            prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                _exit(STATUS_NOT_RUN);
        (void) execve(program, arguments, environment);
        _exit(STATUS_NOT_RUN);
}

/* Ansible's output up to the most, and then none. Returns 0 at its end, 1 while there may be more.
 */
static int pass_on(int from, uint64_t *left)
{
        static const char cut[] = "\n[more was printed, and is not shown]\n";
        char bytes[65536];
        ssize_t n = read(from, bytes, sizeof bytes);

        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        if (n == 0)
                return 0;
        size_t shown = (size_t) MIN((uint64_t) n, *left);
        /* Whoever reads it may be gone; the playbook goes on. */
        (void) write_all(STDOUT_FILENO, bytes, shown);
        if (*left > 0 && shown == *left)
                (void) write_all(STDOUT_FILENO, cut, strlen(cut));
        *left -= shown;
        return 1;
}

static int time_left_msec(uint64_t deadline_usec)
{
        uint64_t now = now_monotonic_usec();

        return now >= deadline_usec
                       ? 0
                       : (int) MIN((deadline_usec - now) / USEC_PER_MSEC + 1, G_MAXINT);
}

/* Until the program ends, not until nobody has its output open any more. False: in time it did not.
 */
static bool follow(int pid_fd, int output, uint64_t deadline_usec)
{
        uint64_t left = ANSIBLE_OUTPUT_MAX;
        struct pollfd p[] = {{.fd = pid_fd, .events = POLLIN}, {.fd = output, .events = POLLIN}};

        for (;;) {
                int wait = time_left_msec(deadline_usec);
                int n = poll(p, G_N_ELEMENTS(p), wait);
                if (n == 0 && wait == 0)
                        return false;
                if (n <= 0)
                        continue;
                if (p[1].revents && pass_on(output, &left) == 0)
                        p[1].fd = -1;
                else if (p[1].revents == 0 && p[0].revents)
                        return true;
                if (p[1].fd < 0 && p[0].revents)
                        return true;
        }
}

/* Whatever it left behind, which is this process's now; as often as that leaves something. */
static void end_all(void)
{
        g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", getpid());
        g_autofree char *text = NULL;

        while (g_file_get_contents(path, &text, NULL, NULL) && *text) {
                g_auto(GStrv) pids = g_strsplit(text, " ", -1);

                for (char **pid = pids; *pid; pid++)
                        if (atoi(*pid) > 0)
                                (void) kill(atoi(*pid), SIGKILL);
                while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
                        ;
                g_clear_pointer(&text, g_free);
        }
}

static int wait_for(const AnsibleRun *run, pid_t pid, int output, int *ret_status, Fault *f)
{
        autofd pid_fd = (int) syscall(SYS_pidfd_open, pid, 0);
        int status = 0;

        if (pid_fd < 0) {
                (void) kill(pid, SIGKILL);
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot wait for " PROGRAM);
        }
        bool in_time = follow(pid_fd, output, run->deadline_usec);
        (void) kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return fault_set_errno(f, FAULT_INTERNAL, errno,
                                               "cannot wait for " PROGRAM);
        if (!in_time)
                return fault_set(f, FAULT_TIMED_OUT,
                                 "the playbook took too long and was killed on its way");
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_OF_SIGNAL + WTERMSIG(status);
        return 0;
}

int ansible_run(const AnsibleRun *run, int *ret_status, Recap *ret, Fault *f)
{
        g_autofree char *program = g_find_program_in_path(PROGRAM);
        g_autofree char *recap = g_build_filename(run->directory, "recap.json", NULL);
        g_autoptr(GPtrArray) arguments = make_arguments(run);
        g_autoptr(GPtrArray) environment = make_environment(run, recap);
        int ends[2];

        if (!program)
                return fault_set(f, FAULT_NOT_FOUND,
                                 PROGRAM " is not installed: apt install ansible-core");
        if (unlink(recap) < 0 && errno != ENOENT)
                return fault_set_errno(f, FAULT_IO, errno, "cannot remove '%s'", recap);
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || pipe2(ends, O_CLOEXEC) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot start " PROGRAM);
        autofd output = ends[0];
        pid_t pid = fork();
        if (pid == 0)
                become_ansible(run, program, (char **) arguments->pdata,
                               (char **) environment->pdata, ends[1]);
        int error = errno;
        (void) close_fd(ends[1]);
        if (pid < 0)
                return fault_set_errno(f, FAULT_INTERNAL, error, "cannot start " PROGRAM);
        int status = 0;
        int r = wait_for(run, pid, output, &status, f);
        end_all();
        if (r == 0)
                r = recap_load(recap, ret, f);
        if (r == 0)
                *ret_status = status;
        return r;
}
