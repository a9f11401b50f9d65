/* SPDX-License-Identifier: MIT */

/* What host/links.h hears of nftables: root, in namespaces of its own. */

#include "tests/host/links-fixture.h"

#include <nftables/libnftables.h>
#include <sys/socket.h>

/* By a program, as an administrator. */
static void nft(const char *commands)
{
        const char *argv[] = {"nft", commands, NULL};
        int status = 0;

        if (!g_spawn_sync(NULL, (char **) argv, NULL,
                          G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                          &status, NULL) ||
            status != 0)
                tap_bail_out(commands);
}

static void expect_calls(Net *t, unsigned calls, const char *what)
{
        settle(t);
        tap_is_int(t->rulesets, calls, "%s", what);
        t->rulesets = 0;
}

static void cases_of_others(Net *t)
{
        static const struct {
                const char *commands;
                unsigned calls;
                const char *what;
        } steps[] = {
                {"add table bridge fluid", 1, "a table made"},
                {"add table inet fluid; add chain inet fluid c; add rule inet fluid c accept; "
                 "add set inet fluid s { type ipv4_addr; }",
                 1, "a transaction of many changes, once"},
                {"add element inet fluid s { 192.0.2.1, 192.0.2.2 }", 1, "an element made"},
                {"delete element inet fluid s { 192.0.2.1 }", 1, "an element deleted"},
                {"add counter bridge fluid passed", 1, "a counter made"},
                {"add chain inet fluid hooked { type filter hook input priority 0; }", 1,
                 "a base chain made"},
                {"add chain inet fluid hooked { policy drop; }", 1, "a policy changed"},
                {"flush chain inet fluid c", 1, "rules deleted"},
                {"add table ip fluid; add chain ip fluid c; add rule ip fluid c accept", 0,
                 "a table of that name of another family"},
                {"add table inet fluid2; add chain inet fluid2 c", 0, "a longer name"},
                {"add table inet flui; add chain inet flui c", 0, "a shorter name"},
                {"add table inet docker; add chain inet docker fluid; add set inet docker fluid "
                 "{ type ipv4_addr; }",
                 0, "a chain and a set of that name in another's table"},
                {"list ruleset", 0, "reading"},
                {"add table inet other; delete table bridge fluid", 1,
                 "a transaction that begins with another's table"},
                {"flush ruleset", 1, "a flush of all, which deletes the other one"},
                {"flush ruleset", 0, "a flush where there is no table of ours"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                nft(steps[i].commands);
                expect_calls(t, steps[i].calls, steps[i].what);
        }
}

static void cases_of_programs(Net *t)
{
        char directory[] = "/tmp/fluid-ruleset.XXXXXX";

        nft("add table inet fluid");
        settle(t);
        tap_is_str(t->program, "nft", "the program's name is told");
        tap_ok(t->pid > 0, "and its pid");
        if (!mkdtemp(directory))
                tap_bail_out("no scratch directory");
        g_autofree char *path = g_strconcat(directory, "/\x1b[2J\xff\n", NULL);
        g_autofree char *nft_path = g_find_program_in_path("nft");
        if (symlink(nft_path, path) < 0)
                tap_bail_out("cannot make a link");
        const char *argv[] = {path, "add chain inet fluid x", NULL};
        (void) g_spawn_sync(NULL, (char **) argv, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL);
        (void) unlink(path);
        (void) rmdir(directory);
        settle(t);
        tap_is_str(t->program, "\\x1b[2J\\xff\\x0a", "a hostile name is told escaped");
        forget(t);
}

static void cases_of_our_own(Net *t)
{
        struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);

        (void) nft_ctx_buffer_error(context);
        tap_ok(nft_run_cmd_from_buffer(context, "add table bridge fluid; add set inet fluid o "
                                                "{ type ipv4_addr; }") == 0,
               "this process changes both tables");
        expect_calls(t, 0, "which it is not told of");
        nft("add element inet fluid o { 192.0.2.1 }");
        (void) nft_run_cmd_from_buffer(context, "add element inet fluid o { 192.0.2.2 }");
        expect_calls(t, 1, "another's change right before its own is told");
        (void) nft_run_cmd_from_buffer(context, "delete element inet fluid o { 192.0.2.2 }");
        nft("delete element inet fluid o { 192.0.2.1 }");
        expect_calls(t, 1, "and one right after it");
        tap_ok(nft_run_cmd_from_buffer(context, "add chain inet fluid y; add rule inet fluid "
                                                "absent accept") != 0,
               "a transaction of its own fails");
        nft("add table inet other2");
        expect_calls(t, 0, "which leaves nothing behind that would count as another's");
        nft_ctx_free(context);
}

static bool has_overrun(Net *t)
{
        return t->overruns > 0;
}

static void cases_of_overrun(Net *t)
{
        g_autoptr(GString) elements = g_string_new("add element inet fluid o { ");
        int small = 4096;

        (void) setsockopt(nl_socket_get_fd(t->links->ruleset_news), SOL_SOCKET, SO_RCVBUFFORCE,
                          &small, sizeof small);
        for (unsigned i = 0; i < 2000; i++)
                g_string_append_printf(elements, "%s198.18.%u.%u", i ? ", " : "", i / 250, i % 250);
        (void) g_string_append(elements, " }");
        nft(elements->str);
        tap_ok(wait_until(t, has_overrun), "more news than the buffer takes is an overrun");
        settle(t);
        tap_is_int(t->overruns, 1, "told once");
        forget(t);
        nft("add table inet other3");
        expect_calls(t, 0, "what was half heard is not put on the next transaction");
        nft("flush set inet fluid o");
        forget(t);
        nft("add chain inet fluid z");
        expect_calls(t, 1, "and news go on");
}

static int cases(void)
{
        Net t = {0};

        begin(&t);
        cases_of_others(&t);
        cases_of_programs(&t);
        cases_of_our_own(&t);
        cases_of_overrun(&t);
        end(&t);
        return tap_done();
}

int main(void)
{
        return run_alone(cases);
}
