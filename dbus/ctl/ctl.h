/* SPDX-License-Identifier: MIT */
#pragma once

/* fluidctl: a verb for each thing that the bus can do.
 *
 * A verb is a const record in a file of its own, verb-NAME.c, and a row of the table in verbs.h.
 * The help, the manual page and the completion are printed from the records. This header is all
 * that a verb needs to describe itself; bus.h, sandbox.h and print.h are what it works with. */

#include "base/fault.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#ifndef FLUID_VERSION
#define FLUID_VERSION "0.1"
#endif

#define EXIT_DIFFERENT 6   /* of `diff --exit-code` and `verify`; no fault has it */
#define EXIT_NOT_RUN   125 /* of `exec`: the command could not be run */

typedef struct Verb Verb;
typedef struct Progress Progress;

/* What one call of fluidctl has at hand. */
typedef struct Ctl {
        const char *bus_address; /* NULL: the system bus */
        bool json;
        bool quiet;

        const Verb *verb;
        bool misused; /* by the command line: the hint at --help helps */

        sd_bus *bus; /* see bus.h */
        Progress *progress;
} Ctl;

/* One option of a verb: exactly one of the targets is set, and says what the option takes. They are
 * the verb's own static variables; what is not on the command line leaves them alone. */
typedef struct Option {
        const char *name;     /* without "--" */
        const char *argument; /* what it is called in the help; NULL for a flag */
        const char *help;
        bool *flag;
        const char **string;
        GPtrArray **list; /* of const char *; may be given many times; NULL if it never was */
        uint64_t *usec;   /* a duration, base/quantity.h */
        uint64_t *bytes;  /* a size */
        uint64_t *number; /* at most UINT32_MAX */
} Option;

#define VERB_ARGS_ANY UINT_MAX

struct Verb {
        const char *name;    /* one word or two: "template import" */
        const char *summary; /* a phrase for the list of verbs */
        const char *usage;   /* the arguments: "NAME [FROM [TO]]" */
        const char *help;    /* what the summary does not say; sentences, NULL if there is none */
        const char *example; /* a command line without "fluidctl" */
        const Option *options;
        size_t n_options;
        unsigned args_min, args_max;
        bool is_prefix; /* what follows the first argument is a command line of its own */

        /* `args` has from args_min to args_max strings and a NULL after them. Returns the exit
         * status, or a negative errno with a Fault that main() prints. */
        int (*run)(Ctl *ctl, char **args, Fault *f);
};

#define VERB_OPTIONS(table) .options = (table), .n_options = G_N_ELEMENTS(table)

/* Options that several verbs share. */
#define OPTION_NO_WAIT(target) \
        { \
                .name = "no-wait", .flag = &(target), .help = "return as soon as it has begun" \
        }
#define OPTION_PUBLISH(target) \
        { \
                .name = "publish", .argument = "[ADDRESS:]PORT:PORT", .list = &(target), \
                .help = "open a port of the host, there, to one of it; /udp at the end: for UDP" \
        }
#define OPTION_WAIT_TIMEOUT(target) \
        { \
                .name = "wait-timeout", .argument = "DURATION", .usec = &(target), \
                .help = "give up waiting after that long (exit status 5)" \
        }

/* A mistake on the command line. FAULT_INVALID_ARGUMENT; main() adds where to look. */
int usage_error(Ctl *ctl, Fault *f, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* options.c: a whole number, at most UINT32_MAX. FAULT_INVALID_ARGUMENT. */
int number_parse(const char *text, uint64_t *ret, Fault *f);

/* options.c: parses the options that `verb` (or NULL: only those of all verbs) has, from argv[1]
 * on.
 *
 * Puts what is left into a new NULL-terminated vector `ret_args` of borrowed strings. With
 * `stop_early` the first word that is no option ends the options. "--help" and "--version" are
 * reported in `ret_wanted` as 'h' and 'v', and nothing after them is read; else it is 0. */
int options_parse(Ctl *ctl, const Verb *verb, int argc, char **argv, bool stop_early,
                  char ***ret_args, char *ret_wanted, Fault *f);

/* The options that every verb has; they may stand before the verb too. */
extern const Option options_common[];
extern const size_t n_options_common;

/* fluidctl.c: all verbs of verbs.h, ended by NULL. */
extern const Verb *const verbs[];

/* The verb that the words begin with, and how many words its name has; NULL. */
const Verb *verb_find(char **words, unsigned *ret_n_words);

/* help.c: on stdout. */
void help_print_overview(void);
void help_print_verb(const Verb *verb);
void help_print_group(const char *first_word); /* "template": the verbs that begin so */
void help_print_man(void);                     /* fluidctl(1) as roff */
void help_print_completion(const Verb *verb);  /* for contrib/completion/fluidctl */

/* Whether any verb's name begins with that word and a blank. */
bool help_is_group(const char *first_word);

/* The verb whose name is nearest to a word that is none, or NULL. */
const Verb *help_guess(const char *word);
