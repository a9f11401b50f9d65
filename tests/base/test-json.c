/* SPDX-License-Identifier: MIT */
#include "base/json.h"
#include "tests/tap.h"

#include <errno.h>

typedef struct Case {
        const char *text;
        size_t size;
        const char *what;
} Case;

#define C(text, what) \
        { \
                text, sizeof(text) - 1, what \
        }

static void test_good(void)
{
        static const Case table[] = {
                C("{}", "an empty object"),
                C("[]", "an empty array"),
                C(" \t\r\n {\"a\" : 1 } \n", "one with white space around it"),
                C("1", "a bare number"),
                C("-12.5e3", "a bare number with all its parts"),
                C("\"x\"", "a bare string"),
                C("true", "a bare word"),
                C("{\"a\":[1,2,{\"b\":null}]}", "nested values"),
                C("\"\\u00e9\\ud83d\\ude00\\n\"", "escapes"),
                C("\"gr\xc3\xbc\xc3\x9f\"", "UTF-8"),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Json) value = NULL;

                tap_is_int(json_parse(table[i].text, table[i].size, 8, &value, NULL), 0,
                           "%s is parsed", table[i].what);
                tap_ok(value, "and is a value");
        }
}

static void test_bad(void)
{
        static const Case table[] = {
                C("", "nothing"),
                C("   ", "white space"),
                C("{", "an open object"),
                C("{\"a\":1", "one without its end"),
                C("[1,", "an open array"),
                C("\"x", "an open string"),
                C("tru", "half a word"),
                C("{}{}", "a second value"),
                C("{} x", "something after the value"),
                C("1 2", "a second number"),
                C("{}\0", "a NUL after the value"),
                C("{\"a\":\0"
                  "1}",
                  "a NUL within"),
                C("\"a\0b\"", "a NUL in a string"),
                C("\"a\nb\"", "a line feed in a string"),
                C("{'a':1}", "single quotes"),
                C("{a:1}", "a bare key"),
                C("[1,]", "a trailing comma"),
                C("{\"a\":1,}", "a trailing comma in an object"),
                C("[1 2]", "a missing comma"),
                C("{\"a\" 1}", "a missing colon"),
                C("01", "a leading zero"),
                C("+1", "a plus sign"),
                C(".5", "a missing digit"),
                C("1.", "another missing digit"),
                C("NaN", "NaN"),
                C("Infinity", "infinity"),
                C("-Infinity", "negative infinity"),
                C("TRUE", "a word in capitals"),
                C("/* x */ 1", "a comment"),
                C("\"\\x41\"", "an unknown escape"),
                C("\"\\u12\"", "a short escape"),
                C("\xef\xbb\xbf{}", "a byte order mark"),
                C("\"\xff\"", "a string that is not UTF-8"),
                C("\"\x1b[2J\"", "a string with an escape sequence"),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                Json *untouched = (Json *) &i, *value = untouched;
                Fault f = {0};
                int r = json_parse(table[i].text, table[i].size, 8, &value, &f);

                tap_is_int(r, -EINVAL, "%s is refused", table[i].what);
                tap_ok(value == untouched && f.code == FAULT_INVALID_ARGUMENT,
                       "nothing is written, and there is a reason");
                if (r == 0)
                        (void) json_object_put(value);
        }
}

/* `size` counts; what follows is none of its business. */
static void test_size(void)
{
        g_autoptr(Json) value = NULL;

        tap_is_int(json_parse("{}garbage", 2, 8, &value, NULL), 0, "only `size` bytes are read");
}

static char *nest(unsigned depth)
{
        g_autofree char *open = g_strnfill(depth, '['), *closed = g_strnfill(depth, ']');

        return g_strconcat(open, closed, NULL);
}

static void test_depth(void)
{
        for (unsigned depth = 1; depth <= 40; depth += 13) {
                g_autofree char *good = nest(depth), *bad = nest(depth + 1);
                g_autoptr(Json) value = NULL;
                Json *none = NULL;

                tap_is_int(json_parse(good, strlen(good), (int) depth + 1, &value, NULL), 0,
                           "%u levels are parsed where so many are allowed", depth);
                tap_is_int(json_parse(bad, strlen(bad), (int) depth, &none, NULL), -EINVAL,
                           "one more is refused");
        }
        g_autofree char *deep = nest(200000);
        Json *none = NULL;
        tap_is_int(json_parse(deep, strlen(deep), 16, &none, NULL), -EINVAL,
                   "200,000 levels are refused, and cost no stack");
}

static void test_members(void)
{
        static const char text[] = "{\"s\":\"x\",\"n\":7,\"neg\":-1,\"big\":18446744073709551615,"
                                   "\"f\":1.5,\"t\":true,\"o\":{},\"a\":[],\"null\":null}";
        g_autoptr(Json) object = NULL, array = json_object_new_array();
        const char *string = NULL;
        uint64_t number = 12345;
        bool word = false;
        Json *member = NULL;

        if (json_parse(text, strlen(text), 8, &object, NULL) < 0)
                tap_bail_out("the object is not parsed");
        tap_ok(json_find_string(object, "s", &string) && g_str_equal(string, "x"),
               "a string is found");
        tap_ok(!json_find_string(object, "n", &string), "a number is no string");
        tap_ok(!json_find_string(object, "null", &string), "null is no string");
        tap_ok(!json_find_string(object, "absent", &string), "what is absent is no string");
        tap_is_str(string, "x", "and nothing is written then");
        tap_ok(json_find_uint(object, "n", &number) && number == 7, "a number is found");
        tap_ok(!json_find_uint(object, "neg", &number), "a negative number is none");
        tap_ok(!json_find_uint(object, "f", &number), "a fraction is none");
        tap_ok(!json_find_uint(object, "s", &number), "a string is none");
        tap_ok(number == 7, "and nothing is written then");
        tap_ok(json_find_uint(object, "big", &number) && number == UINT64_MAX,
               "the largest number is found");
        tap_ok(json_find_bool(object, "t", &word) && word, "a word is found");
        tap_ok(!json_find_bool(object, "n", &word), "a number is no word");
        tap_ok(json_find_object(object, "o", &member), "an object is found");
        tap_ok(!json_find_object(object, "a", &member), "an array is no object");
        tap_ok(json_find_array(object, "a", &member), "an array is found");
        tap_ok(!json_find_array(object, "o", &member), "an object is no array");
        tap_ok(!json_find_string(array, "s", &string), "an array has no members by name");
        tap_ok(!json_find_string(NULL, "s", &string), "null has none either");
}

int main(void)
{
        test_good();
        test_bad();
        test_size();
        test_depth();
        test_members();
        return tap_done();
}
