/* SPDX-License-Identifier: MIT */
#include "tests/bus/fixture.h"

#include "base/file.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t lint;
static int status;

static bool has_ended(G_GNUC_UNUSED void *userdata)
{
        return waitpid(lint, &status, WNOHANG) == lint;
}

static int run_lint(const char *contract, char **ret_output)
{
        g_autofree char *path = g_build_filename(fixture.directory, "output", NULL);

        lint = fork();
        if (lint == 0) {
                (void) dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
                (void) execl("tests/lint/introspection", "introspection", "--all", "--address",
                             fixture.address, "--xml", contract, NULL);
                _exit(127);
        }
        if (!fixture_until(has_ended, NULL) || file_read(path, 1 << 20, ret_output, NULL, NULL) < 0)
                tap_bail_out("the comparison does not end");
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A contract that differs in three words, so that the comparison itself is known to see them. */
static void test_changed(void)
{
        g_autofree char *directory = g_build_filename(fixture.directory, "x", NULL);
        g_autofree char *output = NULL;
        g_autofree char *command = g_strdup_printf(
                "mkdir %s && cp dbus/*.xml %s && sed -i 's/name=\"ttl_usec\"/name=\"ttl\"/; "
                "s/<method name=\"Kill\">/<method name=\"End\">/; "
                "s/\"Argv\" type=\"as\"/\"Argv\" type=\"s\"/' %s/*.xml",
                directory, directory, directory);

        if (system(command) != 0)
                tap_bail_out("the contract cannot be changed");
        tap_is_int(run_lint(directory, &output), 1, "another contract is not what is live");
        tap_ok(strstr(output, "method ExtendTtl: "), "a renamed argument is found");
        tap_ok(strstr(output, "method End: "), "a missing method is found");
        tap_ok(strstr(output, "method Kill: "), "an unknown method is found");
        tap_ok(strstr(output, "property Argv: "), "another type is found");
        tap_ok(!strstr(output, "Snapshot"), "what is the same is not reported");
}

int main(void)
{
        g_autofree char *output = NULL;
        const char *sandbox;

        if (access("tests/lint/introspection", X_OK) < 0)
                tap_bail_out("run from the top of the tree");
        fixture_start(NULL);
        (void) fixture_template("base");
        sandbox = fixture_sandbox(fixture.client, "web");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "CreateSnapshot", "sa{sv}",
                        "one", 0);
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "Run", "asa{sv}", 1, "true", 0);
        (void) bus_call(fixture.client, PATH_ROOT, INTERFACE_MANAGER, "RequestApproval", "a{sv}", 2,
                        "action", "s", "question", "summary", "s", "Go on?");
        (void) bus_call(fixture.client, sandbox, INTERFACE_SANDBOX, "ExportPlaybook", "ssa{sv}",
                        "one", "now", 0);
        tap_is_int(run_lint("dbus", &output), 0, "live introspection is what dbus/*.xml says");
        tap_is_str(output, "", "and there is no difference to report");
        test_changed();
        fixture_stop();
        return tap_done();
}
