/* SPDX-License-Identifier: MIT */

/* A trail of a million rows (or as many as the argument says): how long queries take, and how long
 * the loop is kept by them, by verifying and by exporting all of it. Prints one line of JSON. */

#include "tests/core/trail.h"

#include <stdlib.h>

static const char settings[] = "stop_timeout = 0s\naudit_rows_kept_max = 100000000\n"
                               "audit_keep = infinity\n";
static const Caller root = {.uid = 0}, user = {.uid = 1003};

enum { PAGE = 100, QUERIES = 300, SANDBOXES = 5000, AGENTS = 20, USERS = 10 };

/* -- the trail -------------------------------------------------------------------------------- */

static const char *const kinds[] = {
        "command.exec",    "command.exec",     "command.exec",     "command.exec",
        "file.read",       "file.write",       "command.exec",     "sandbox.diff",
        "snapshot.create", "snapshot.restore", "sandbox.state",    "sandbox.create",
        "sandbox.destroy", "approval.request", "approval.approve", "sandbox.network",
};

static uint64_t first_usec, span_usec;

/* As work goes on: a sandbox has its rows close to each other, some kinds are rare. */
static void append_row(unsigned i, unsigned n)
{
        unsigned sandbox =
                (unsigned) ((uint64_t) i * SANDBOXES / n + (unsigned) g_random_int_range(0, 20)) %
                SANDBOXES;
        unsigned kind = (unsigned) g_random_int_range(0, 1000) < 950
                                ? (unsigned) g_random_int_range(0, 8)
                                : (unsigned) g_random_int_range(8, G_N_ELEMENTS(kinds));
        char object[64], id[16], name[24], agent[24];
        AuditRow row = {.time_usec = first_usec + span_usec / n * i,
                        .caller_uid = 1000 + sandbox % USERS,
                        .caller = "fluidctl[1234]",
                        .kind = kinds[kind],
                        .phase = "done",
                        .object = object,
                        .detail = "{\"argv\":[\"apt-get\",\"install\",\"-y\",\"nginx\"]}",
                        .error = "",
                        .sandbox_id = id,
                        .sandbox_name = name,
                        .agent = agent,
                        .owner_uid = 1000 + sandbox % USERS};

        (void) g_snprintf(id, sizeof id, "%012x", sandbox);
        (void) g_snprintf(name, sizeof name, "web-%u", sandbox);
        (void) g_snprintf(agent, sizeof agent, "agent-%u", sandbox % AGENTS);
        (void) g_snprintf(object, sizeof object, "/sh/fluid/Host1/command/%012x",
                          (unsigned) g_random_int() & 0xfffffff);
        need(store_append_audit(fixture.manager->store, &row, &fixture.fault), "append");
}

static void fill(unsigned n)
{
        Store *store = fixture.manager->store;

        span_usec = UINT64_C(100) * 24 * 3600 * USEC_PER_SEC;
        first_usec = now_realtime_usec() - span_usec;
        store_watch_audit(store, NULL, NULL);
        for (unsigned i = 0; i < n;) {
                need(store_begin(store, &fixture.fault), "begin");
                for (unsigned j = 0; j < 10000 && i < n; j++, i++)
                        append_row(i, n);
                need(store_commit(store, &fixture.fault), "commit");
        }
}

/* -- the loop --------------------------------------------------------------------------------- */

/* How late a timer of every millisecond is at worst. */
static uint64_t latest_usec;

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        uint64_t now = now_monotonic_usec();

        (void) userdata;
        if (now > usec)
                latest_usec = MAX(latest_usec, now - usec);
        (void) sd_event_source_set_time(source, now + USEC_PER_MSEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

/* -- measuring -------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
        const uint64_t *one = a, *other = b;

        return *one < *other ? -1 : *one > *other;
}

static void report(Json *result, const char *what, uint64_t *times, unsigned n)
{
        Json *one = json_object_new_object();

        qsort(times, n, sizeof *times, compare_times);
        (void) json_object_object_add(one, "p50_usec", json_object_new_uint64(times[n / 2]));
        (void) json_object_object_add(one, "p99_usec",
                                      json_object_new_uint64(times[(n * 99 - 1) / 100]));
        (void) json_object_object_add(one, "max_usec", json_object_new_uint64(times[n - 1]));
        (void) json_object_object_add(result, what, one);
        tap_note("%-28s p50 %6.2f ms, p99 %6.2f ms, max %6.2f ms", what,
                 (double) times[n / 2] / 1000, (double) times[(n * 99 - 1) / 100] / 1000,
                 (double) times[n - 1] / 1000);
}

typedef enum Question {
        BY_SANDBOX,
        BY_NAME,
        BY_AGENT,
        BY_CALLER,
        BY_KIND,
        BY_KIND_BEGINNING,
        BY_HOUR,
        SINCE,
        BY_AGENT_AND_KIND,
        NEWEST,
        OWN,
        OWN_KIND,
        NOTHING,
        _QUESTION_MAX,
} Question;

static const char *const names[] = {"sandbox id",       "sandbox name", "agent",
                                    "caller",           "kind",         "kind.*",
                                    "an hour",          "since",        "agent and rare kind",
                                    "newest",           "a user's own", "a user's own, by kind",
                                    "what is not there"};

static uint64_t ask(Question question)
{
        unsigned sandbox = (unsigned) g_random_int_range(0, SANDBOXES);
        g_autofree char *id = g_strdup_printf("%012x", sandbox);
        g_autofree char *name = g_strdup_printf("web-%u", sandbox);
        g_autofree char *agent = g_strdup_printf("agent-%u", sandbox % AGENTS);
        uint64_t some_time = first_usec + span_usec / SANDBOXES * sandbox;
        AuditQuery query = {.limit = PAGE};
        const Caller *caller = &root;
        uint64_t begun;

        switch (question) {
        case BY_SANDBOX:
                query.sandbox = id;
                break;
        case BY_NAME:
                query.sandbox = name;
                break;
        case BY_AGENT_AND_KIND:
                query.kind = "approval.request";
                query.agent = agent;
                break;
        case BY_AGENT:
                query.agent = agent;
                break;
        case BY_CALLER:
                query.has_caller_uid = true;
                query.caller_uid = 1000 + sandbox % USERS;
                break;
        case BY_KIND:
                query.kind = "sandbox.network";
                break;
        case BY_KIND_BEGINNING:
                query.kind = "approval";
                break;
        case BY_HOUR:
                query.since_usec = some_time;
                query.until_usec = some_time + 3600 * USEC_PER_SEC;
                break;
        case SINCE:
                query.since_usec = some_time;
                break;
        case OWN_KIND:
                query.kind = "snapshot";
                caller = &user;
                break;
        case OWN:
                caller = &user;
                break;
        case NOTHING:
                query.sandbox = "no-such-sandbox";
                break;
        case NEWEST:
        case _QUESTION_MAX:
                break;
        }
        begun = now_monotonic_usec();
        g_free(export(caller, &query));
        return now_monotonic_usec() - begun;
}

static void measure_queries(Json *result)
{
        g_autofree uint64_t *all = g_new(uint64_t, QUERIES * _QUESTION_MAX);
        unsigned n = 0;

        for (Question q = BY_SANDBOX; q < _QUESTION_MAX; q++) {
                uint64_t times[QUERIES];

                latest_usec = 0;
                for (unsigned i = 0; i < QUERIES; i++)
                        all[n++] = times[i] = ask(q);
                report(result, names[q], times, QUERIES);
        }
        report(result, "all", all, n);
}

/* However long it takes. */
static void run_until(bool (*condition)(void *), void *userdata)
{
        while (!condition(userdata))
                need(sd_event_run(fixture.event, UINT64_MAX), "sd_event_run");
}

typedef struct Whole {
        bool has_ended;
        off_t size;
} Whole;

static void on_whole(int fd, int r, const Fault *f, void *userdata)
{
        Whole *whole = userdata;
        struct stat st = {0};

        if (r < 0 || fstat(fd, &st) < 0)
                tap_bail_out(f->message);
        *whole = (Whole){true, st.st_size};
}

static bool is_over(void *userdata)
{
        return ((Whole *) userdata)->has_ended;
}

static off_t export_whole(void)
{
        Whole whole = {0};

        need(audit_export(fixture.manager, &root, &(AuditQuery){0}, on_whole, &whole,
                          &fixture.fault),
             "export");
        run_until(is_over, &whole);
        return whole.size;
}

static void measure_whole(Json *result)
{
        uint64_t begun = now_monotonic_usec();
        Verified v = {.rows = 0};

        latest_usec = 0;
        need(audit_verify(fixture.manager, &root, NULL, 0, on_verified, &v, &fixture.fault),
             "verify");
        run_until(is_verified, &v);
        tap_note("verified %" PRIu64 " rows in %.1f s, the loop was late by %.1f ms at most%s%s",
                 v.rows, (double) (now_monotonic_usec() - begun) / 1e6, (double) latest_usec / 1000,
                 v.is_intact ? "" : ": ", v.is_intact ? "" : v.detail);
        g_free(v.detail);
        (void) json_object_object_add(result, "verify_usec",
                                      json_object_new_uint64(now_monotonic_usec() - begun));
        (void) json_object_object_add(result, "verify_late_usec",
                                      json_object_new_uint64(latest_usec));
        latest_usec = 0;
        begun = now_monotonic_usec();
        off_t size = export_whole();
        tap_note("exported %jd bytes in %.1f s, the loop was late by %.1f ms at most",
                 (intmax_t) size, (double) (now_monotonic_usec() - begun) / 1e6,
                 (double) latest_usec / 1000);
        (void) json_object_object_add(result, "export_usec",
                                      json_object_new_uint64(now_monotonic_usec() - begun));
        (void) json_object_object_add(result, "export_late_usec",
                                      json_object_new_uint64(latest_usec));
}

int main(int argc, char **argv)
{
        unsigned rows = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : 1000000;
        g_autoptr(Json) result = json_object_new_object();
        sd_event_source *tick = NULL;
        uint64_t begun;

        start_fixture(settings);
        begun = now_monotonic_usec();
        fill(rows);
        tap_note("%u rows in %.1f s", rows, (double) (now_monotonic_usec() - begun) / 1e6);
        need(sd_event_add_time_relative(fixture.event, &tick, CLOCK_MONOTONIC, USEC_PER_MSEC, 1,
                                        on_tick, NULL),
             "timer");
        (void) json_object_object_add(result, "rows", json_object_new_int64(rows));
        measure_queries(result);
        measure_whole(result);
        puts(json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN));
        sd_event_source_disable_unref(tick);
        stop_fixture();
        return 0;
}
