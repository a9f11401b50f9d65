/* SPDX-License-Identifier: MIT */
#pragma once

/* Colours, and the pager that long output goes through: both for terminals alone.
 *
 * Whoever prints asks output_is_terminal() in place of isatty(), since behind a pager stdout is a
 * pipe whose other end a person reads. */

#include "dbus/ctl/ctl.h"

typedef enum Colour {
        COLOUR_TITLE,
        COLOUR_DIM,
        COLOUR_ADDED,
        COLOUR_REMOVED,
        COLOUR_CHANGED,
        COLOUR_PLACE, /* directories; the @@ of a patch */
        COLOUR_NOTICE,
        COLOUR_WARNING,
        _COLOUR_MAX,
} Colour;

/* For verbs that let their caller decide. */
#define OPTION_COLOR(target) \
        { \
                .name = "color", .argument = "WHEN", .string = &(target), \
                .help = "auto (on a terminal, without NO_COLOR), always or never" \
        }
#define OPTION_NO_PAGER(target) \
        { \
                .name = "no-pager", .flag = &(target), \
                .help = "do not show it with $FLUID_PAGER, $PAGER or less" \
        }

/* `when` as above, NULL: auto. FAULT_INVALID_ARGUMENT. */
int colour_choose(const char *when, Fault *f);
bool colour_is_on(void);

/* Writes text on stdout, with what is hostile in it escaped as print_line() does, in a colour where
 * colours are on. No newline. */
void colour_print(Colour colour, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sequence that begins a colour, and the one that ends it; "" where they are off. */
const char *colour_begin(Colour colour);
const char *colour_end(void);

/* Whether a person sees what is written on stdout. */
bool output_is_terminal(void);

/* From now on stdout goes to a pager, where it is a terminal and there is one: what $FLUID_PAGER
 * says, or else $PAGER, or else "less -R"; "" and "cat" are none. The words are split as a shell
 * does, but no shell runs. less is told to run no commands and to write no files (LESSSECURE). */
void pager_begin(void);

/* Whether its user has left it: there is no use in writing more. */
bool pager_is_gone(void);

/* Waits until its user has left it. Nothing where there is none. Whatever goes to stderr afterwards
 * is seen. */
void pager_end(void);
