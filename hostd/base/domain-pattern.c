/* SPDX-License-Identifier: MIT */
#include "base/domain-pattern.h"

#include <glib.h>
#include <string.h>

#define LABEL_MAX 63

static int refuse(const char *text, const char *why, Fault *f)
{
        return fault_set(f, FAULT_INVALID_ARGUMENT, "'%.*s' is not a domain name: %s",
                         DOMAIN_NAME_MAX, text, why);
}

static const char *wrong_with_label(const char *label, size_t length)
{
        if (length == 0)
                return "there is nothing before a dot or at the end";
        if (length > LABEL_MAX)
                return "more than 63 characters between dots";
        if (label[0] == '-' || label[length - 1] == '-')
                return "a hyphen at the beginning or end of a part";
        for (size_t i = 0; i < length; i++) {
                if (label[i] == '*')
                        return "only the whole first part can be '*', as in *.example.com";
                if ((unsigned char) label[i] >= 0x80)
                        return "write what is not ASCII in its xn-- form";
                if (!g_ascii_isalnum(label[i]) && label[i] != '-' && label[i] != '_')
                        return "other characters than letters, digits, '-' and '_'";
        }
        return NULL;
}

static bool is_number(const char *label)
{
        return strspn(label, "0123456789") == strlen(label);
}

int domain_pattern_parse(const char *text, char ret[static DOMAIN_NAME_MAX], Fault *f)
{
        size_t length = strlen(text);

        if (length > 1 && text[length - 1] == '.')
                length--;
        if (length >= DOMAIN_NAME_MAX)
                return refuse(text, "it is longer than 253 characters", f);

        g_autofree char *name = g_ascii_strdown(text, (gssize) length);
        char *label = g_str_has_prefix(name, "*.") ? name + 2 : name;
        if (g_str_equal(name, "*"))
                return refuse(text, "for all names, let the profile have the internet", f);
        for (;;) {
                size_t n = strcspn(label, ".");
                const char *wrong = wrong_with_label(label, n);

                if (wrong)
                        return refuse(text, wrong, f);
                if (label[n] == '\0')
                        break;
                label += n + 1;
        }
        if (is_number(label))
                return refuse(text, "it ends in a number, as addresses do", f);
        (void) g_strlcpy(ret, name, DOMAIN_NAME_MAX);
        return 0;
}

bool domain_pattern_matches(const char *pattern, const char *name)
{
        size_t n_pattern, n_name;

        if (pattern[0] != '*')
                return g_str_equal(pattern, name);
        /* The dot is compared too: "*.example.com" has nothing to say about "badexample.com". */
        pattern++;
        n_pattern = strlen(pattern);
        n_name = strlen(name);
        return n_name > n_pattern && g_str_equal(name + n_name - n_pattern, pattern);
}

bool domain_name_is_plain(const char *name)
{
        bool is_plain = name[0] != '.' && !strstr(name, "..") && !g_str_has_suffix(name, ".");

        return is_plain && name[0] != '\0' &&
               strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name);
}
