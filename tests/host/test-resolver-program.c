/* SPDX-License-Identifier: MIT */

/* The program that is kept running: its end, its privileges, and one that was taken over. */

#include "tests/host/resolver-fixture.h"

#include <signal.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

static void respond(const FakeQuery *q, GPtrArray *replies, void *userdata)
{
        (void) userdata;
        dns_put_a(fake_reply(q, replies), q->name, 60, "9.9.9.9");
}

static pid_t parent_of(pid_t pid)
{
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid), *text = NULL;
        int parent = 0;

        return g_file_get_contents(path, &text, NULL, NULL) &&
                               sscanf(text, "%*d (%*[^)]) %*c %d", &parent) == 1
                       ? parent
                       : 0;
}

/* What the runner, which the unit started, has started. */
static pid_t child(void)
{
        g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(dir)))
                if (g_ascii_isdigit(name[0]) && parent_of(parent_of(atoi(name))) == unit)
                        return atoi(name);
        tap_bail_out("there is no child");
}

static void test_restart(void)
{
        g_autofree char *reply = NULL;

        begin();
        g_free(lookup_of(CLIENT, "www.example.com", ns_t_a));
        g_assert(kill(child(), SIGKILL) == 0);
        reply = lookup_of(CLIENT, "www.example.com", ns_t_a);
        tap_is_str(reply, "NOERROR www.example.com 60 A 9.9.9.9",
                   "a question that was asked while it was dead is answered by the next one");
        tap_ok(n_deaths == 1 && g_str_equal(death, "fluid-resolver was ended by signal 9") &&
                       resolver_starts(resolver) == 2,
               "its death is told, once");
        end();
}

static bool status_has(const char *text, const char *name, const char *value)
{
        g_autofree char *line = g_strdup_printf("\n%s:\t%s", name, value);

        return strstr(text, line);
}

/* Its user, and that it has no capability, is for its unit to say. */
static void test_confinement(void)
{
        g_autofree char *path = NULL, *status = NULL;

        begin();
        g_free(lookup_of(CLIENT, "www.example.com", ns_t_a));
        path = g_strdup_printf("/proc/%d/status", child());
        g_assert(g_file_get_contents(path, &status, NULL, NULL));
#ifndef SANITIZED
        tap_ok(status_has(status, "NoNewPrivs", "1") && status_has(status, "Seccomp", "2"),
               "it can get no privileges, and its system calls are filtered");
#else
        tap_skip("its system calls are filtered", "the sanitizer needs others");
#endif
        end();
}

static void test_limits(void)
{
        const char *const one[] = {"example.com"}, *const bad[] = {"example.com", "*"};
        const char *many[RESOLVER_PATTERNS_MAX + 1];
        ResolverClient client = {.address = OTHER, .patterns = bad, .n_patterns = 2};
        int r = 0;

        begin();
        tap_ok(resolver_set_client(resolver, &client, NULL) == -EINVAL &&
                       resolver_counters(resolver, OTHER, &(ResolverCounters){0}, NULL) == -ENOENT,
               "a client with a pattern that is none is not there");
        for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
                many[i] = "example.com";
        client.patterns = many;
        client.n_patterns = G_N_ELEMENTS(many);
        tap_is_int(resolver_set_client(resolver, &client, NULL), -EINVAL,
                   "a client cannot have 257 patterns");
        client.patterns = one;
        client.n_patterns = 1;
        for (uint32_t i = 0; i < RESOLVER_CLIENTS_MAX - 1 && r == 0; i++) {
                client.address = OTHER + i;
                r = resolver_set_client(resolver, &client, NULL);
        }
        client.address = 1;
        tap_ok(r == 0 && resolver_set_client(resolver, &client, NULL) == -EDQUOT,
               "there are as many clients as there can be");
        test_lookup("www.example.com", "NOERROR www.example.com 60 A 9.9.9.9",
                    "2 may reach 9.9.9.9 of www.example.com for 60",
                    "among them each has its own list");
        for (uint32_t i = 0; i < RESOLVER_LISTS_MAX - 2 && r == 0; i++) {
                g_autofree char *name = g_strdup_printf("%u.example.com", i);
                const char *const patterns[] = {name};
                client = (ResolverClient){
                        .address = OTHER + i, .patterns = patterns, .n_patterns = 1};
                r = resolver_set_client(resolver, &client, NULL);
        }
        const char *const other[] = {"other.test"};
        client = (ResolverClient){.address = OTHER, .patterns = other, .n_patterns = 1};
        tap_ok(r == 0 && resolver_set_client(resolver, &client, NULL) == -EDQUOT,
               "there are as many different lists as there can be");
        g_assert(kill(child(), SIGKILL) == 0);
        test_lookup("www.example.com", "NOERROR www.example.com 60 A 9.9.9.9",
                    "2 may reach 9.9.9.9 of www.example.com for 60",
                    "the next program is told all of that again");
        end();
}

/* A UDP socket, by the address as /proc shows it. */
static bool has_socket_at(const char *address)
{
        g_autofree char *text = NULL, *wanted = g_strdup_printf(": %s:", address);

        g_assert(g_file_get_contents("/proc/net/udp", &text, NULL, NULL));
        return strstr(text, wanted);
}

static void test_settings(void)
{
        const char *const bad[] = {"example.com", NULL}, *const none[] = {NULL};
        ResolverSettings settings = {.gateway = GATEWAY, .upstreams = none};
        Resolver *r = NULL;

        begin();
        settings.port = port;
        n_deaths = 0;
        tap_is_int(resolver_new(event, &settings, &observer, NULL, &r, NULL), 0,
                   "a port that somebody has is no reason not to begin");
        while (n_deaths == 0)
                turn();
        tap_ok(strstr(death, "cannot listen on port") && strstr(death, "of 127.0.0.1"),
               "but is told");
        end();
        while (!listens())
                turn();
        tap_ok(true, "and when it is free, it is listened on");
        r = resolver_free(r);
        settings.upstreams = bad;
        tap_is_int(resolver_new(event, &settings, &observer, NULL, &r, NULL), -EINVAL,
                   "an upstream that is no address is refused");
        settings.upstreams = none;
        settings.gateway = UINT32_C(0x08080808);
        n_deaths = 0;
        tap_is_int(resolver_new(event, &settings, &observer, NULL, &r, NULL), 0,
                   "an address that is not there yet can be");
        while (n_deaths == 0 && !has_socket_at("08080808"))
                turn();
        tap_is_int(n_deaths, 0, "and is listened on");
        (void) resolver_free(r);
        socket_unit_stop(unit, folder, "fluid-resolver");
        unit = 0;
        fault_clear(&fault);
        tap_ok(resolver_new(event, &settings, &observer, NULL, &r, &fault) == -EIO &&
                       strstr(fault.message, "'systemctl start fluid-resolver.socket' makes it"),
               "a unit that is not there is named");
}

int main(void)
{
        set_up(respond);
        test_restart();
        test_confinement();
        test_limits();
        test_settings();
        tear_down();
        return tap_done();
}
