/* SPDX-License-Identifier: MIT */

/* Replies out of parts that were encoded before: what comes out is what went in. */

#include "api/loopback.h"
#include "tests/tap.h"

#include <sys/socket.h>
#include <unistd.h>

#define SERIAL 4711

static Loopback *loopback;
static sd_bus *bus;

static sd_bus_message *new_call(void)
{
        sd_bus_message *m = NULL;

        if (sd_bus_message_new_method_call(bus, &m, "a.b", "/", "a.b", "C") < 0 ||
            sd_bus_message_seal(m, SERIAL, 0) < 0)
                tap_bail_out("no call can be made");
        return m;
}

static GBytes *encode(const char *text, uint64_t number)
{
        sd_bus_message *m = NULL;
        GBytes *element = NULL;

        if (loopback_begin(loopback, &m) < 0 ||
            sd_bus_message_append(m, "(osa{sv})", "/object", text, 1, "number", "t", number) < 0 ||
            loopback_encode(loopback, m, &element) < 0)
                tap_bail_out("a part cannot be encoded");
        (void) sd_bus_message_unref(m);
        return element;
}

static sd_bus_message *reply_with(const char *const *texts, unsigned n)
{
        g_autoptr(GByteArray) elements = g_byte_array_new();
        sd_bus_message *call = new_call(), *reply = NULL;

        for (unsigned i = 0; i < n; i++) {
                g_autoptr(GBytes) element = encode(texts[i], i);
                loopback_append(elements, element);
        }
        if (loopback_reply(loopback, call, "a(osa{sv})", elements, &reply) < 0)
                tap_bail_out("no reply can be made");
        (void) sd_bus_message_unref(call);
        return reply;
}

static bool is_element(sd_bus_message *m, const char *expected, uint64_t expected_number)
{
        const char *object, *text, *key;
        uint64_t number;

        return sd_bus_message_read(m, "(osa{sv})", &object, &text, 1, &key, "t", &number) > 0 &&
               g_str_equal(object, "/object") && g_str_equal(text, expected) &&
               g_str_equal(key, "number") && number == expected_number;
}

static bool holds(sd_bus_message *m, const char *const *texts, unsigned n)
{
        bool is_same = sd_bus_message_enter_container(m, 'a', "(osa{sv})") > 0;

        for (unsigned i = 0; is_same && i < n; i++)
                is_same = is_element(m, texts[i], i);
        return is_same && sd_bus_message_exit_container(m) >= 0 &&
               sd_bus_message_at_end(m, true) > 0;
}

static void test_reply(void)
{
        /* All lengths of padding. */
        static const char *const texts[] = {"",      "a",      "ab",      "abc",     "abcd",
                                            "abcde", "abcdef", "abcdefg", "abcdefgh"};
        sd_bus_message *m = reply_with(texts, G_N_ELEMENTS(texts));
        uint64_t cookie = 0;

        tap_ok(sd_bus_message_is_method_call(m, NULL, NULL) == 0 &&
                       sd_bus_message_is_method_error(m, NULL) == 0 &&
                       sd_bus_message_get_reply_cookie(m, &cookie) >= 0 && cookie == SERIAL,
               "it is the reply to the call");
        tap_ok(sd_bus_message_get_expect_reply(m) == 0, "and wants none itself");
        tap_is_str(sd_bus_message_get_signature(m, true), "a(osa{sv})", "it has the signature");
        tap_ok(holds(m, texts, G_N_ELEMENTS(texts)), "its elements are what was encoded");
        (void) sd_bus_message_unref(m);
        m = reply_with(NULL, 0);
        tap_ok(holds(m, NULL, 0), "there may be none");
        (void) sd_bus_message_unref(m);
}

/* More than a socket takes at once, in both directions. */
static void test_large(void)
{
        g_autofree char *text = g_strnfill(3 << 20, 'x');
        const char *const texts[] = {text, "short", text};
        sd_bus_message *m = reply_with(texts, G_N_ELEMENTS(texts));

        tap_ok(holds(m, texts, G_N_ELEMENTS(texts)), "a large one is whole");
        (void) sd_bus_message_unref(m);
}

static void test_repeated(void)
{
        static const char *const texts[] = {"one", "two"};
        bool is_same = true;

        for (unsigned i = 0; i < 1000; i++) {
                sd_bus_message *m = reply_with(texts, 1 + i % 2);
                is_same = is_same && holds(m, texts, 1 + i % 2);
                (void) sd_bus_message_unref(m);
        }
        tap_ok(is_same, "a thousand in a row are each their own");
}

int main(void)
{
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 || sd_bus_new(&bus) < 0 ||
            sd_bus_set_fd(bus, fds[0], fds[0]) < 0 || sd_bus_start(bus) < 0)
                tap_bail_out("no connection to make calls on");
        tap_ok(loopback_new(&loopback) == 0, "there is a connection with ourselves");
        test_reply();
        test_large();
        test_repeated();
        loopback = loopback_free(loopback);
        (void) sd_bus_close_unref(bus);
        (void) close(fds[1]);
        return tap_done();
}
