/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/bus.h"
#include "dbus/ctl/ctl.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/progress.h"
#include "dbus/ctl/verbs.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>

const Verb *const verbs[] = {
#define X(verb) &verb_##verb,
        VERBS(X)
#undef X
                NULL,
};

const Verb *verb_find(char **words, unsigned *ret_n_words)
{
        g_autofree char *two = words[1] ? g_strdup_printf("%s %s", words[0], words[1]) : NULL;
        const Verb *found = NULL;

        for (const Verb *const *v = verbs; *v; v++) {
                if (two && g_str_equal((*v)->name, two)) {
                        *ret_n_words = 2;
                        return *v;
                }
                if (g_str_equal((*v)->name, words[0])) {
                        *ret_n_words = 1;
                        found = *v;
                }
        }
        return found;
}

/* What packaging and completion ask for; not part of the interface. */
static bool run_hidden(char **argv)
{
        const Verb *verb = NULL;
        unsigned n;

        if (!argv[1])
                return false;
        if (g_str_equal(argv[1], "--print-man")) {
                help_print_man();
                return true;
        }
        if (!g_str_equal(argv[1], "--complete"))
                return false;
        if (argv[2])
                verb = verb_find(argv + 2, &n);
        help_print_completion(verb);
        return true;
}

/* D-Bus carries only UTF-8, and disconnects whoever sends anything else. */
static int check_encoding(Ctl *ctl, int argc, char **argv, Fault *f)
{
        for (int i = 1; i < argc; i++)
                if (!g_utf8_validate(argv[i], -1, NULL))
                        return usage_error(ctl, f, "argument %d is not valid UTF-8", i);
        return 0;
}

static int refuse_verb(Ctl *ctl, char **words, Fault *f)
{
        if (help_is_group(words[0]))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "there is no verb '%s%s%.80s': see 'fluidctl %s --help'", words[0],
                                 words[1] ? " " : "", words[1] ? words[1] : "", words[0]);
        const Verb *guess = help_guess(words[0]);
        if (guess)
                return usage_error(ctl, f, "there is no verb '%.80s': is it '%s'?", words[0],
                                   guess->name);
        return usage_error(ctl, f, "there is no verb '%.80s'", words[0]);
}

static int check_count(Ctl *ctl, const Verb *verb, char **args, Fault *f)
{
        unsigned n = g_strv_length(args);

        if (n >= verb->args_min && n <= verb->args_max)
                return 0;
        if (verb->args_max == 0)
                return usage_error(ctl, f, "'%s' takes no arguments", verb->name);
        return usage_error(ctl, f, "%s arguments: fluidctl %s %s",
                           n < verb->args_min ? "missing" : "too many", verb->name, verb->usage);
}

static int run_verb(Ctl *ctl, const Verb *verb, int argc, char **argv, Fault *f)
{
        g_autofree char **args = NULL;
        char wanted = 0;

        ctl->verb = verb;
        int r = options_parse(ctl, verb, argc, argv, verb->is_prefix, &args, &wanted, f);
        if (r < 0)
                return r;
        if (wanted == 'h') {
                help_print_verb(verb);
                return 0;
        }
        if (wanted == 'v') {
                printf("fluidctl %s\n", FLUID_VERSION);
                return 0;
        }
        r = check_count(ctl, verb, args, f);
        return r < 0 ? r : verb->run(ctl, args, f);
}

static int run(Ctl *ctl, int argc, char **argv, Fault *f)
{
        g_autofree char **words = NULL;
        unsigned n_words;
        char wanted = 0;

        int r = check_encoding(ctl, argc, argv, f);
        if (r == 0)
                r = options_parse(ctl, NULL, argc, argv, true, &words, &wanted, f);
        if (r < 0)
                return r;
        g_assert(words);
        if (wanted == 'v') {
                printf("fluidctl %s\n", FLUID_VERSION);
                return 0;
        }
        if (wanted == 'h' || (words[0] && g_str_equal(words[0], "help") && !words[1])) {
                help_print_overview();
                return 0;
        }
        if (!words[0])
                return usage_error(ctl, f, "a verb is missing");

        const Verb *verb = verb_find(words, &n_words);
        if (verb) {
                int skipped = argc - (int) g_strv_length(words) + (int) n_words - 1;
                return run_verb(ctl, verb, argc - skipped, argv + skipped, f);
        }
        if (help_is_group(words[0]) &&
            (g_strcmp0(words[1], "--help") == 0 || g_strcmp0(words[1], "-h") == 0)) {
                help_print_group(words[0]);
                return 0;
        }
        return refuse_verb(ctl, words, f);
}

static void report(const Ctl *ctl, const Fault *f)
{
        fprintf(stderr, "fluidctl: %s\n", f->message);
        if (ctl->misused)
                fprintf(stderr, "See 'fluidctl %s%s--help'.\n", ctl->verb ? ctl->verb->name : "",
                        ctl->verb ? " " : "");
}

int main(int argc, char **argv)
{
        Ctl ctl = {0};
        Fault f = {0};

        (void) setlocale(LC_TIME, "");
        if (run_hidden(argv))
                return 0;
        int r = run(&ctl, argc, argv, &f);
        progress_end(&ctl);
        pager_end();
        bus_close(&ctl);
        if (r < 0) {
                report(&ctl, &f);
                r = fault_to_exit_status(f.code);
        }
        if (fflush(stdout) == 0 && !ferror(stdout))
                return r;
        if (errno != EPIPE)
                fprintf(stderr, "fluidctl: cannot write the output: %s\n", g_strerror(errno));
        return r > 0 ? r : 1;
}
