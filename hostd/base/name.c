/* SPDX-License-Identifier: MIT */
#include "base/name.h"

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

bool name_is_valid(const char *name)
{
        size_t length = strlen(name);

        return length >= 1 && length <= NAME_MAX_LENGTH && strchr(LETTERS_AND_DIGITS, name[0]) &&
               strspn(name, LETTERS_AND_DIGITS "._-") == length;
}

int name_check(const char *what, const char *name, Fault *f)
{
        if (name_is_valid(name))
                return 0;
        return fault_set(
                f, FAULT_INVALID_ARGUMENT,
                "'%.80s' is not a valid %s name: use 1 to %d of A-Z a-z 0-9 . _ - and begin "
                "with a letter or a digit",
                name, what, NAME_MAX_LENGTH);
}

Id id_new(void)
{
        uint8_t random[ID_LENGTH / 2];
        Id id;

        while (getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
                g_assert(errno == EINTR);
        for (size_t i = 0; i < sizeof random; i++)
                g_snprintf(id.text + 2 * i, 3, "%02x", random[i]);
        return id;
}

bool id_is_valid(const char *text)
{
        return strlen(text) == ID_LENGTH && strspn(text, "0123456789abcdef") == ID_LENGTH;
}
