/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/ctl.h"

#include <stdio.h>
#include <string.h>

/* Two typing mistakes make a guess, no more. */
#define DISTANCE_MAX 2
#define WORD_MAX     32

static const struct {
        int status;
        const char *meaning;
} exit_statuses[] = {
        {0, "Done."},
        {1, "Failed; the message on standard error says why."},
        {2, "The command line or an argument is wrong."},
        {3, "Denied by the policy of the bus or of the host."},
        {4, "There is no such object, or it is not yours."},
        {5, "The deadline passed first."},
        {EXIT_DIFFERENT,
         "diff --exit-code: something differs; verify: not reproduced. (Not 1, a failure.)"},
        {EXIT_NOT_RUN, "exec: the command could not be run. Else exec ends with the command's own "
                       "status, 128 + signal where one ended it."},
};

static void print_option(const Option *option)
{
        g_autofree char *left =
                g_strdup_printf("--%s%s%s", option->name, option->argument ? " " : "",
                                option->argument ? option->argument : "");

        printf("  %-26s %s%s\n", left, option->help,
               option->list ? "; may be given many times" : "");
}

static void print_verb_line(const Verb *verb)
{
        printf("  %-18s %s\n", verb->name, verb->summary);
}

void help_print_overview(void)
{
        puts("Usage: fluidctl [OPTION]... VERB [OPTION]... [ARGUMENT]...\n\n"
             "Disposable virtual machines for agents, on this host: see fluidctl(1).\n\nVerbs:");
        for (const Verb *const *v = verbs; *v; v++)
                print_verb_line(*v);
        puts("\nOptions of every verb:");
        for (size_t i = 0; i < n_options_common; i++)
                print_option(options_common + i);
        puts("\n'fluidctl VERB --help' tells more about one.");
}

void help_print_verb(const Verb *verb)
{
        printf("Usage: fluidctl %s [OPTION]...%s%s\n\nTo %s.\n", verb->name,
               *verb->usage ? " " : "", verb->usage, verb->summary);
        if (verb->help)
                printf("%s\n", verb->help);
        puts("\nOptions:");
        for (size_t i = 0; i < verb->n_options; i++)
                print_option(verb->options + i);
        for (size_t i = 0; i < n_options_common; i++)
                print_option(options_common + i);
        printf("\nExample:\n  fluidctl %s\n", verb->example);
}

static bool is_in_group(const Verb *verb, const char *first_word)
{
        size_t length = strlen(first_word);

        return g_str_has_prefix(verb->name, first_word) && verb->name[length] == ' ';
}

bool help_is_group(const char *first_word)
{
        for (const Verb *const *v = verbs; *v; v++)
                if (is_in_group(*v, first_word))
                        return true;
        return false;
}

void help_print_group(const char *first_word)
{
        printf("Usage: fluidctl %s VERB [OPTION]... [ARGUMENT]...\n\nVerbs:\n", first_word);
        for (const Verb *const *v = verbs; *v; v++)
                if (is_in_group(*v, first_word))
                        print_verb_line(*v);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
        return MIN(MIN(a, b), c);
}

/* Levenshtein's, one row at a time. */
static unsigned distance(const char *a, const char *b)
{
        unsigned row[WORD_MAX + 1];
        size_t n = strlen(b);

        if (n > WORD_MAX || strlen(a) > WORD_MAX)
                return WORD_MAX;
        for (size_t j = 0; j <= n; j++)
                row[j] = (unsigned) j;
        for (size_t i = 1; a[i - 1]; i++) {
                unsigned diagonal = row[0];
                row[0] = (unsigned) i;
                for (size_t j = 1; j <= n; j++) {
                        unsigned above = row[j];
                        row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
                        diagonal = above;
                }
        }
        return row[n];
}

const Verb *help_guess(const char *word)
{
        const Verb *best = NULL;
        unsigned least = DISTANCE_MAX + 1;

        for (const Verb *const *v = verbs; *v; v++) {
                unsigned d = distance(word, (*v)->name);
                if (d < least && d < strlen(word)) {
                        least = d;
                        best = *v;
                }
        }
        return best;
}

/* Text for roff: nothing in it is a request or an escape. */
static void print_roff(const char *text)
{
        if (*text == '.' || *text == '\'')
                fputs("\\&", stdout);
        for (const char *p = text; *p; p++) {
                if (*p == '\\')
                        fputs("\\e", stdout);
                else if (*p == '-')
                        fputs("\\-", stdout);
                else
                        putchar(*p);
        }
}

static void print_roff_option(const Option *option)
{
        fputs(".TP\n\\fB", stdout);
        print_roff("--");
        print_roff(option->name);
        fputs("\\fR", stdout);
        if (option->argument)
                printf(" \\fI%s\\fR", option->argument);
        putchar('\n');
        print_roff(option->help);
        puts(option->list ? "; may be given many times." : ".");
}

static void print_roff_verb(const Verb *verb)
{
        fputs(".SS ", stdout);
        print_roff(verb->name);
        putchar(' ');
        print_roff(verb->usage);
        fputs("\nTo ", stdout);
        print_roff(verb->summary);
        puts(".");
        if (verb->help) {
                print_roff(verb->help);
                putchar('\n');
        }
        for (size_t i = 0; i < verb->n_options; i++)
                print_roff_option(verb->options + i);
        fputs(".PP\n.EX\nfluidctl ", stdout);
        print_roff(verb->example);
        puts("\n.EE");
}

void help_print_man(void)
{
        printf(".TH FLUIDCTL 1 \"\" \"fluid %s\" \"User Commands\"\n", FLUID_VERSION);
        puts(".SH NAME\nfluidctl \\- disposable virtual machines for agents\n"
             ".SH SYNOPSIS\n.B fluidctl\n[\\fIOPTION\\fR]... \\fIVERB\\fR [\\fIOPTION\\fR]... "
             "[\\fIARGUMENT\\fR]...\n.SH DESCRIPTION\n"
             "Each verb calls fluid\\-hostd over D\\-Bus; see\n.BR sh.fluid.Host1.Manager (5).\n"
             "Durations are written as \\fB90\\fR, \\fB5s\\fR, \\fB2h\\fR or \\fB\"1h 30min\"\\fR, "
             "sizes as \\fB512M\\fR or \\fB2G\\fR.\n.SH OPTIONS OF EVERY VERB");
        for (size_t i = 0; i < n_options_common; i++)
                print_roff_option(options_common + i);
        puts(".SH VERBS");
        for (const Verb *const *v = verbs; *v; v++)
                print_roff_verb(*v);
        puts(".SH EXIT STATUS");
        for (size_t i = 0; i < G_N_ELEMENTS(exit_statuses); i++) {
                printf(".TP\n.B %d\n", exit_statuses[i].status);
                print_roff(exit_statuses[i].meaning);
                putchar('\n');
        }
        puts(".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nIf set, nothing is coloured.\n"
             ".TP\n.BR FLUID_PAGER ,\\ PAGER\nWhat long output is shown with on a terminal, "
             "instead of \\fBless \\-R\\fR; empty or \\fBcat\\fR: nothing. It is not run by a "
             "shell, and less may neither run commands nor write files.\n"
             ".TP\n.B DBUS_SYSTEM_BUS_ADDRESS\nThe address of the system bus, if it is not the "
             "usual one.");
}

void help_print_completion(const Verb *verb)
{
        for (const Verb *const *v = verbs; !verb && *v; v++)
                puts((*v)->name);
        for (size_t i = 0; verb && i < verb->n_options; i++)
                printf("--%s%s\n", verb->options[i].name, verb->options[i].argument ? "=" : "");
        for (size_t i = 0; i < n_options_common; i++)
                printf("--%s%s\n", options_common[i].name, options_common[i].argument ? "=" : "");
        if (verb)
                printf("arguments: %s\n", verb->usage);
}
