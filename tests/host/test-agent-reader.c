/* SPDX-License-Identifier: MIT */
#include "host/agent-reader.h"

#include "base/quantity.h"
#include "host/agent.h"
#include "tests/tap.h"

typedef struct Seen {
        AgentReader *reader;
        GString *replies;  /* each as plain JSON, "!" before a delimited one, a blank after */
        GString *diverted; /* "key=bytes;" */
        bool settles;
        size_t n_diverted, largest_piece;
} Seen;

static int on_reply(Json *reply, bool is_delimited, void *userdata, Fault *f)
{
        Seen *seen = userdata;

        (void) f;
        g_string_append_printf(seen->replies, "%s%s ", is_delimited ? "!" : "",
                               json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
        if (seen->settles)
                agent_reader_settle(seen->reader);
        return 0;
}

static void on_diverted(const char *key, const void *bytes, size_t size, void *userdata)
{
        Seen *seen = userdata;

        seen->n_diverted += size;
        seen->largest_piece = MAX(seen->largest_piece, size);
        if (size < 1000)
                g_string_append_printf(seen->diverted, "%s=%.*s;", key, (int) size,
                                       (const char *) bytes);
}

static void begin(Seen *seen, bool is_settled)
{
        static const AgentReaderHandlers handlers = {on_reply, on_diverted};

        *seen = (Seen){.replies = g_string_new(NULL), .diverted = g_string_new(NULL)};
        seen->reader = agent_reader_new(&handlers, seen);
        if (is_settled)
                agent_reader_settle(seen->reader);
}

static void end(Seen *seen)
{
        agent_reader_free(seen->reader);
        g_string_free(seen->replies, TRUE);
        g_string_free(seen->diverted, TRUE);
}

/* -- what is read --------------------------------------------------------------------------- */

static const struct {
        const char *name, *bytes, *replies, *diverted;
} good[] = {
        {"a reply is one line", "{\"return\": {}}\n", "{\"return\":{}} ", ""},
        {"two replies may come at once", "{\"return\": 1}\n{\"return\": [2]}\n",
         "{\"return\":1} {\"return\":[2]} ", ""},
        {"blank lines and carriage returns mean nothing", "\n{\"return\": 1}\r\n\n",
         "{\"return\":1} ", ""},
        {"0xFF before a reply is seen", "\xff{\"return\": 1}\n", "!{\"return\":1} ", ""},
        {"output is decoded and left out of the reply",
         "{\"return\": {\"exited\": true, \"out-data\": \"aGVsbG8=\", \"err-data\":\"d29ybGQh\"}}\n",
         "{\"return\":{\"exited\":true,\"out-data\":\"\",\"err-data\":\"\"}} ",
         "out-data=hello;err-data=world!;"},
        {"an escaped slash is base64", "{\"return\": {\"buf-b64\": \"Pz8\\/\"}}\n",
         "{\"return\":{\"buf-b64\":\"\"}} ", "buf-b64=?\?\?;"},
        {"a value of that text is not output",
         "{\"return\": {\"a\": \"out-data\", \"b\": \"$\"}}\n",
         "{\"return\":{\"a\":\"out-data\",\"b\":\"$\"}} ", ""},
        {"a member deeper down is not output", "{\"return\": {\"a\": {\"out-data\": \"$\"}}}\n",
         "{\"return\":{\"a\":{\"out-data\":\"$\"}}} ", ""},
        {"a member further up is not output", "{\"out-data\": \"$\"}\n", "{\"out-data\":\"$\"} ",
         ""},
        {"output that is no string is kept", "{\"return\": {\"out-data\": [\"$\"]}}\n",
         "{\"return\":{\"out-data\":[\"$\"]}} ", ""},
        {"a quotation mark may be escaped", "{\"return\": \"a\\\"{[\\\\\"}\n",
         "{\"return\":\"a\\\"{[\\\\\"} ", ""},
};

static void check_good(size_t portion)
{
        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                Seen seen;
                int err = 0;
                size_t size = strlen(good[i].bytes);

                begin(&seen, true);
                for (size_t at = 0; at < size && err == 0; at += portion)
                        err = agent_reader_feed(seen.reader, good[i].bytes + at,
                                                MIN(portion, size - at), NULL);
                bool is_right = err == 0 && g_str_equal(seen.replies->str, good[i].replies);
                if (portion >= size)
                        is_right = is_right && g_str_equal(seen.diverted->str, good[i].diverted);
                else
                        is_right = is_right && (seen.n_diverted > 0) == (*good[i].diverted != 0);
                tap_ok(is_right, "%s%s", good[i].name, portion == 1 ? " (byte by byte)" : "");
                if (!is_right)
                        tap_note("%d '%s' '%s'", err, seen.replies->str, seen.diverted->str);
                end(&seen);
        }
}

/* -- what is refused ------------------------------------------------------------------------- */

static const struct {
        const char *name, *bytes;
        size_t size; /* 0: a string */
} bad[] = {
        {"text that is not JSON is a breach", "hello\n", 0},
        {"a reply that is no object is a breach", "[1]\n", 0},
        {"a closing bracket too many is a breach", "]\n", 0},
        {"two values in a line are a breach", "{\"return\": 1} {\"return\": 2}\n", 0},
        {"a NUL is a breach", "{\"return\": \0001}\n", 14},
        {"a NUL in a string is a breach", "{\"return\": \"a\0\"}\n", 16},
        {"a newline in a string is a breach", "{\"return\": \"a\n\"}\n", 0},
        {"an escape character is a breach", "\x1b[2J{\"return\": 1}\n", 0},
        {"text that is not UTF-8 is a breach", "{\"return\": \"\xc3(\"}\n", 0},
        {"0xFF in the middle of a reply is a breach", "{\"return\": \xff", 0},
        {"0xFF in the middle of output is a breach", "{\"return\": {\"out-data\": \"aGVs\xff", 0},
        {"output that is not base64 is a breach", "{\"return\": {\"out-data\": \"$$$$\"}}\n", 0},
        {"incomplete base64 is a breach", "{\"return\": {\"out-data\": \"aGVsb\"}}\n", 0},
        {"bytes after the padding are a breach", "{\"return\": {\"out-data\": \"aG==aGVs\"}}\n", 0},
        {"too much padding is a breach", "{\"return\": {\"out-data\": \"a===\"}}\n", 0},
        {"a dangling backslash in base64 is a breach", "{\"return\": {\"out-data\": \"aGV\\\"}}\n",
         0},
        {"the same output twice is a breach",
         "{\"return\": {\"out-data\": \"\", \"out-data\": \"\"}}\n", 0},
};

static void check_bad(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                Seen seen;
                Fault f = {0};
                size_t size = bad[i].size > 0 ? bad[i].size : strlen(bad[i].bytes);

                begin(&seen, true);
                (void) agent_reader_feed(seen.reader, bad[i].bytes, size, &f);
                tap_ok(f.code == FAULT_AGENT_MISBEHAVED, "%s", bad[i].name);
                end(&seen);
        }
}

/* Feeds `piece` up to `times` times; returns how often it took until the breach, 0 if none. */
static unsigned feed_until_breach(Seen *seen, const char *piece, unsigned times)
{
        for (unsigned i = 1; i <= times; i++)
                if (agent_reader_feed(seen->reader, piece, strlen(piece), NULL) < 0)
                        return i;
        return 0;
}

static void check_bounds(void)
{
        g_autofree char *block = g_strnfill(64 * 1024, 'A');
        Seen seen;
        unsigned n;

        begin(&seen, true);
        n = feed_until_breach(&seen, "[", 1000);
        tap_is_int(n, AGENT_DEPTH_MAX + 1, "nesting is refused while it is read");
        end(&seen);

        begin(&seen, true);
        n = feed_until_breach(&seen, block, 1000);
        tap_ok(n > 0 && n <= AGENT_LINE_MAX / (64 * 1024) + 1, "a line without an end is refused");
        end(&seen);

        begin(&seen, true);
        (void) agent_reader_feed(seen.reader, "[", 1, NULL);
        n = feed_until_breach(&seen, "{},", 100000);
        tap_ok(n > 0 && n < 5000, "a reply of many small parts is refused");
        end(&seen);

        begin(&seen, true);
        (void) agent_reader_feed(seen.reader, "{\"return\":{\"out-data\":\"", 23, NULL);
        n = feed_until_breach(&seen, block, 2000);
        tap_ok(n >= AGENT_REPLY_MAX / (64 * 1024) && n <= AGENT_REPLY_MAX / (64 * 1024) + 1,
               "output without an end is refused");
        tap_ok(seen.largest_piece <= 4096, "output comes in small pieces");
        end(&seen);
}

/* -- seeking --------------------------------------------------------------------------------- */

static void check_seeking(void)
{
        static const char stale[] =
                "true}\n{\"return\": 5}\n\xff{\"retu\xff\xff[1]\n\xff$$\n"
                "{\"return\": {\"out-data\": \"aGVsbG8=\"}}\n\xff{\"return\": 7}\n";
        static const char both[] = "\xff{\"return\": 7}\n{\"return\": 8}\n";
        g_autofree char *block = g_strnfill(64 * 1024, 'A');
        Fault f = {0};
        Seen seen;
        int err;

        begin(&seen, false);
        err = agent_reader_feed(seen.reader, stale, strlen(stale), NULL);
        tap_ok(err == 0 && g_str_equal(seen.replies->str, "!{\"return\":7} "),
               "all but a reply right after 0xFF is skipped while seeking");
        tap_is_int((int64_t) seen.n_diverted, 0, "nothing is diverted while seeking");
        end(&seen);

        begin(&seen, false);
        seen.settles = true;
        err = agent_reader_feed(seen.reader, both, strlen(both), NULL);
        tap_ok(err == 0 && g_str_equal(seen.replies->str, "!{\"return\":7} {\"return\":8} "),
               "once settled, replies need no 0xFF");
        err = agent_reader_feed(seen.reader, "junk\n", 5, NULL);
        tap_ok(err < 0, "once settled, junk is a breach");
        agent_reader_seek(seen.reader);
        err = agent_reader_feed(seen.reader, "junk\n", 5, NULL);
        tap_is_int(err, 0, "after a new search has begun, junk is skipped again");
        end(&seen);

        begin(&seen, false);
        while (agent_reader_feed(seen.reader, block, 64 * 1024, &f) == 0)
                ;
        tap_is_int(f.code, FAULT_AGENT_MISBEHAVED, "a flood ends the search at last");
        end(&seen);
}

static void check_speed(void)
{
        g_autofree char *block = g_strnfill(64 * 1024, 'A');
        uint64_t begun = now_monotonic_usec();
        Seen seen;

        begin(&seen, true);
        (void) agent_reader_feed(seen.reader, "{\"return\":{\"out-data\":\"", 23, NULL);
        (void) feed_until_breach(&seen, block, 512);
        tap_note("%zu bytes decoded in %" PRIu64 " us", seen.n_diverted,
                 now_monotonic_usec() - begun);
        tap_is_int((int64_t) seen.n_diverted, 512 * 48 * 1024, "24 MiB of output come through");
        end(&seen);
}

int main(void)
{
        check_good(SIZE_MAX / 2);
        check_good(1);
        check_bad();
        check_bounds();
        check_seeking();
        check_speed();
        return tap_done();
}
