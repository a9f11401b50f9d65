/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/ctl.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* getopt_long()'s values of the options in a verb's table begin here. */
#define VALUE_BASE 1000

enum {
        VALUE_HELP = 'h',
        VALUE_VERSION = 'v',
        VALUE_QUIET = 'q',
        VALUE_JSON = 'j',
        VALUE_BUS = 'b'
};

const Option options_common[] = {
        {.name = "json", .help = "print JSON"},
        {.name = "quiet", .help = "print names or nothing; -q does the same"},
        {.name = "bus-address",
         .argument = "ADDRESS",
         .help = "a D-Bus address instead of the system bus"},
        {.name = "help", .help = "show this help"},
        {.name = "version", .help = "show the version"},
};
const size_t n_options_common = G_N_ELEMENTS(options_common);

static const struct option common[] = {
        {"help", no_argument, NULL, VALUE_HELP},
        {"version", no_argument, NULL, VALUE_VERSION},
        {"quiet", no_argument, NULL, VALUE_QUIET},
        {"json", no_argument, NULL, VALUE_JSON},
        {"bus-address", required_argument, NULL, VALUE_BUS},
};

int usage_error(Ctl *ctl, Fault *f, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        ctl->misused = true;
        return fault_set(f, FAULT_INVALID_ARGUMENT, "%s", text);
}

int number_parse(const char *text, uint64_t *ret, Fault *f)
{
        char *end;

        errno = 0;
        uint64_t number = g_ascii_strtoull(text, &end, 10);
        if (!g_ascii_isdigit(*text) || *end || errno != 0 || number > UINT32_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.80s' is not a number", text);
        *ret = number;
        return 0;
}

static int take(Ctl *ctl, const Option *option, const char *value, Fault *f)
{
        Fault reason = {0};
        int r = 0;

        if (option->flag)
                *option->flag = true;
        else if (option->string)
                *option->string = value;
        else if (option->usec)
                r = duration_parse(value, option->usec, &reason);
        else if (option->bytes)
                r = size_parse(value, option->bytes, &reason);
        else if (option->number)
                r = number_parse(value, option->number, &reason);
        else {
                if (!*option->list)
                        *option->list = g_ptr_array_new();
                g_ptr_array_add(*option->list, (char *) value);
        }
        if (r < 0)
                return usage_error(ctl, f, "--%s: %s", option->name, reason.message);
        return 0;
}

static struct option *make_table(const Verb *verb)
{
        size_t n = verb ? verb->n_options : 0;
        struct option *table = g_new0(struct option, G_N_ELEMENTS(common) + n + 1);

        memcpy(table, common, sizeof common);
        for (size_t i = 0; i < n; i++)
                table[G_N_ELEMENTS(common) + i] = (struct option){
                        .name = verb->options[i].name,
                        .has_arg = verb->options[i].argument ? required_argument : no_argument,
                        .val = VALUE_BASE + (int) i,
                };
        return table;
}

/* Takes the options at the front, or with permutation all; 0, or the letter of what is wanted. */
static int parse_some(Ctl *ctl, const Verb *verb, int argc, char **argv, const char *letters,
                      Fault *f)
{
        g_autofree struct option *table = make_table(verb);

        for (;;) {
                int value = getopt_long(argc, argv, letters, table, NULL);
                switch (value) {
                case -1:
                        return 0;
                case VALUE_HELP:
                case VALUE_VERSION:
                        return value;
                case VALUE_QUIET:
                        ctl->quiet = true;
                        break;
                case VALUE_JSON:
                        ctl->json = true;
                        break;
                case VALUE_BUS:
                        ctl->bus_address = optarg;
                        break;
                case ':':
                        return usage_error(ctl, f, "option '%s' wants an argument",
                                           argv[optind - 1]);
                default:
                        if (value < VALUE_BASE)
                                return usage_error(ctl, f, "there is no option '%s'",
                                                   argv[optind - 1]);
                        int r = take(ctl, verb->options + (value - VALUE_BASE), optarg, f);
                        if (r < 0)
                                return r;
                }
        }
}

int options_parse(Ctl *ctl, const Verb *verb, int argc, char **argv, bool stop_early,
                  char ***ret_args, char *ret_wanted, Fault *f)
{
        g_autoptr(GPtrArray) args = g_ptr_array_new();
        const char *letters = stop_early ? "+:hq" : ":hq";

        optind = 0; /* glibc: forget earlier scans */
        opterr = 0;
        int r = parse_some(ctl, verb, argc, argv, letters, f);
        if (r == 0 && verb && verb->is_prefix && optind < argc) {
                g_ptr_array_add(args, argv[optind++]);
                if (optind < argc)
                        r = parse_some(ctl, verb, argc, argv, letters, f);
        }
        if (r < 0)
                return r;
        *ret_wanted = (char) r;
        for (int i = optind; i < argc; i++)
                g_ptr_array_add(args, argv[i]);
        g_ptr_array_add(args, NULL);
        *ret_args = (char **) g_ptr_array_free(TAKE_PTR(args), FALSE);
        return 0;
}
