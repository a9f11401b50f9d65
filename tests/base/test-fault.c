/* SPDX-License-Identifier: MIT */
#include "base/fault.h"
#include "tests/tap.h"

#include <errno.h>
#include <glib.h>

static void test_setting(void)
{
        Fault f = {0};

        tap_ok(!fault_is_set(&f), "a zeroed fault is not set");
        tap_ok(!fault_is_set(NULL), "no fault is not set");
        tap_is_int(fault_set(&f, FAULT_EXISTS, "snapshot '%s' exists", "a"), -EEXIST,
                   "setting a fault returns its errno");
        tap_is_int(f.code, FAULT_EXISTS, "its code is kept");
        tap_is_str(f.message, "snapshot 'a' exists", "its message is kept");
        tap_is_int(fault_set(&f, FAULT_BUSY, "later"), -EBUSY,
                   "a later reason returns its own errno");
        tap_is_int(f.code, FAULT_EXISTS, "but the first code wins");
        tap_is_str(f.message, "snapshot 'a' exists", "and so does the first message");
        fault_clear(&f);
        tap_ok(!fault_is_set(&f) && !*f.message, "a cleared fault is empty");
        fault_clear(NULL);
        tap_is_int(fault_set(NULL, FAULT_NOT_FOUND, "nobody reads"), -ENOENT,
                   "without a fault the errno is returned all the same");
}

static void test_errno(void)
{
        static const struct {
                int error;
                FaultCode code;
                int expected;
        } table[] = {
                {EPERM, FAULT_IO, -EIO},
                {-EPERM, FAULT_IO, -EIO},
                {ENOENT, FAULT_NOT_CLONEABLE, -EOPNOTSUPP},
                {ENOSPC, FAULT_NO_SPACE, -ENOSPC},
                {-ENOSPC, FAULT_NO_SPACE, -ENOSPC},
                {EDQUOT, FAULT_NO_SPACE, -ENOSPC},
                {ENOMEM, FAULT_NO_MEMORY, -ENOMEM},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                FaultCode asked = table[i].expected == -EOPNOTSUPP ? FAULT_NOT_CLONEABLE : FAULT_IO;
                g_autofree char *text =
                        g_strdup_printf("cannot open 'x': %s", g_strerror(ABS(table[i].error)));
                Fault f = {0};

                tap_is_int(fault_set_errno(&f, asked, table[i].error, "cannot open '%s'", "x"),
                           table[i].expected, "errno %d has the right errno of a fault",
                           table[i].error);
                tap_is_int(f.code, table[i].code, "and the right code");
                tap_is_str(f.message, text, "and says what the system said");
        }
}

/* What may come from a caller or a guest by way of a message. */
static void test_escaping(void)
{
        static const struct {
                const char *given, *kept, *what;
        } table[] = {
                {"plain \xc3\xa9\xe2\x82\xac", "plain \xc3\xa9\xe2\x82\xac", "printable UTF-8"},
                {"a\nb\tc", "a\\x0ab\\x09c", "line feeds and tabs"},
                {"\x1b[31mred", "\\x1b[31mred", "an escape sequence"},
                {"\xff\xfe", "\\xff\\xfe", "bytes that are not UTF-8"},
                {"\xe2\x80\xae", "\\xe2\\x80\\xae", "a right-to-left override"},
                {"C:\\x", "C:\\x", "a backslash, which is left alone"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                Fault f = {0};

                (void) fault_set(&f, FAULT_IO, "%s", table[i].given);
                tap_is_str(f.message, table[i].kept, "a message with %s can be printed",
                           table[i].what);
        }
}

static void test_length(void)
{
        g_autofree char *escapes = g_strnfill(2 * FAULT_MESSAGE_MAX, '\x01');
        g_autofree char *letters = g_strnfill(2 * FAULT_MESSAGE_MAX, 'a');
        GString *euros = g_string_new("x");
        Fault f = {0};

        (void) fault_set(&f, FAULT_IO, "%s", letters);
        tap_is_int((int64_t) strlen(f.message), FAULT_MESSAGE_MAX - 1, "a long message is cut");
        fault_clear(&f);
        (void) fault_set(&f, FAULT_IO, "%s", escapes);
        tap_ok(strlen(f.message) % 4 == 0, "the cut never splits an escape");
        fault_clear(&f);
        for (unsigned i = 0; i < FAULT_MESSAGE_MAX; i++)
                g_string_append(euros, "\xe2\x82\xac");
        (void) fault_set(&f, FAULT_IO, "%s", euros->str);
        tap_ok(g_utf8_validate(f.message, -1, NULL), "nor a character");
        (void) g_string_free(euros, TRUE);
}

static void test_table(void)
{
        bool is_named = true, is_negative = true, is_documented = true, has_status = true;
        bool is_unique = true;

        for (FaultCode code = FAULT_NONE + 1; code < _FAULT_MAX; code++) {
                is_named &= fault_from_string(fault_to_string(code)) == code;
                is_negative &= fault_to_errno(code) < 0;
                is_documented &= g_str_has_suffix(fault_documentation(code), ".");
                has_status &= fault_to_exit_status(code) > 0;
                for (FaultCode other = FAULT_NONE + 1; other < code; other++)
                        is_unique &= !g_str_equal(fault_to_string(code), fault_to_string(other));
        }
        tap_ok(is_named && is_unique, "every code is found again by its name");
        tap_ok(is_negative, "every code has a negative errno");
        tap_ok(is_documented, "every code is documented by a sentence");
        tap_ok(has_status, "no code ends fluidctl with success");
        tap_is_int(fault_to_errno(FAULT_NONE), 0, "no fault is no error");
        tap_is_int(fault_to_exit_status(FAULT_NONE), 0, "no fault ends fluidctl with 0");
        tap_is_int(fault_from_string("Nonsense"), FAULT_NONE, "an unknown name is no code");
        tap_is_int(fault_from_string(""), FAULT_NONE, "nor is an empty one");
        tap_is_int(fault_to_exit_status(FAULT_NOT_FOUND), 4, "what is not found ends it with 4");
        tap_is_int(fault_to_exit_status(FAULT_DENIED), 3, "what is denied with 3");
        tap_is_int(fault_to_exit_status(FAULT_TIMED_OUT), 5, "what took too long with 5");
        tap_is_int(fault_to_exit_status(FAULT_COMMAND_NOT_RUN), 125,
                   "what could not be run with 125");
}

int main(void)
{
        test_setting();
        test_errno();
        test_escaping();
        test_length();
        test_table();
        return tap_done();
}
