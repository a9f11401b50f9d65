/* SPDX-License-Identifier: MIT */
#include "diff/secret.h"

#include "base/cleanup.h"

#include <string.h>

#define LOOK_FOR_NUL 8000

/* What may follow a prefix. */
typedef enum Alphabet {
        ALPHABET_UPPER,  /* A-Z 0-9 */
        ALPHABET_WORD,   /* letters, digits, _ */
        ALPHABET_BASE64, /* letters, digits, _ - */
        ALPHABET_JWT,    /* the same and . */
} Alphabet;

static const struct {
        const char *prefix;
        Alphabet alphabet;
        unsigned min; /* characters behind the prefix, at least */
        const char *kind;
} tokens[] = {
        {"AKIA", ALPHABET_UPPER, 16, "AWS access key"},
        {"ASIA", ALPHABET_UPPER, 16, "AWS access key"},
        {"ghp_", ALPHABET_WORD, 36, "GitHub token"},
        {"gho_", ALPHABET_WORD, 36, "GitHub token"},
        {"ghu_", ALPHABET_WORD, 36, "GitHub token"},
        {"ghs_", ALPHABET_WORD, 36, "GitHub token"},
        {"ghr_", ALPHABET_WORD, 36, "GitHub token"},
        {"github_pat_", ALPHABET_WORD, 22, "GitHub token"},
        {"glpat-", ALPHABET_BASE64, 20, "GitLab token"},
        {"glrt-", ALPHABET_BASE64, 20, "GitLab token"},
        {"xoxb-", ALPHABET_BASE64, 20, "Slack token"},
        {"xoxp-", ALPHABET_BASE64, 20, "Slack token"},
        {"xoxa-", ALPHABET_BASE64, 20, "Slack token"},
        {"xapp-", ALPHABET_BASE64, 20, "Slack token"},
        {"AIza", ALPHABET_BASE64, 35, "Google API key"},
        {"ya29.", ALPHABET_BASE64, 20, "Google token"},
        {"sk_live_", ALPHABET_WORD, 16, "Stripe key"},
        {"rk_live_", ALPHABET_WORD, 16, "Stripe key"},
        {"sk-ant-", ALPHABET_BASE64, 20, "Anthropic key"},
        {"sk-proj-", ALPHABET_BASE64, 20, "OpenAI key"},
        {"npm_", ALPHABET_WORD, 36, "npm token"},
        {"pypi-AgE", ALPHABET_BASE64, 40, "PyPI token"},
        {"dckr_pat_", ALPHABET_BASE64, 20, "Docker token"},
        {"hvs.", ALPHABET_BASE64, 24, "Vault token"},
        {"hvb.", ALPHABET_BASE64, 24, "Vault token"},
        {"dop_v1_", ALPHABET_WORD, 64, "DigitalOcean token"},
        {"SG.", ALPHABET_JWT, 60, "SendGrid key"},
        {"AGE-SECRET-KEY-1", ALPHABET_UPPER, 50, "age key"},
        {"eyJ", ALPHABET_JWT, 60, "JSON web token"},
};

bool secret_is_text(Span text)
{
        return !span_has((Span){text.bytes, MIN(text.size, LOOK_FOR_NUL)}, '\0');
}

static bool is_in(Alphabet alphabet, char c)
{
        switch (alphabet) {
        case ALPHABET_UPPER:
                return g_ascii_isupper(c) || g_ascii_isdigit(c);
        case ALPHABET_WORD:
                return g_ascii_isalnum(c) || c == '_';
        case ALPHABET_BASE64:
                return g_ascii_isalnum(c) || c == '_' || c == '-';
        case ALPHABET_JWT:
                return g_ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
        }
        g_assert_not_reached();
}

/* A JSON web token has two dots, and its second part is JSON, too. */
static bool is_jwt(Span token)
{
        Span rest = token, header, payload;

        return span_next_part(&rest, '.', &header) && span_next_part(&rest, '.', &payload) &&
               rest.bytes && span_starts_with(payload, "eyJ");
}

/* The token at the beginning of `text`, or 0. */
static size_t match_token(Span text, const char **ret_kind)
{
        for (size_t i = 0; i < G_N_ELEMENTS(tokens); i++) {
                size_t n = strlen(tokens[i].prefix), end = n;

                if (text.bytes[0] != tokens[i].prefix[0] ||
                    !span_starts_with(text, tokens[i].prefix))
                        continue;
                while (end < text.size && is_in(tokens[i].alphabet, text.bytes[end]))
                        end++;
                if (end - n < tokens[i].min ||
                    (strcmp(tokens[i].prefix, "eyJ") == 0 && !is_jwt((Span){text.bytes, end})))
                        continue;
                *ret_kind = tokens[i].kind;
                return end;
        }
        return 0;
}

/* "-----BEGIN … PRIVATE KEY-----", of PEM, OpenSSH and OpenPGP. */
static size_t match_key(Span text)
{
        Span line, rest = text;

        if (!span_starts_with(text, "-----BEGIN "))
                return 0;
        (void) span_next_line(&rest, &line);
        line = span_trim((Span){line.bytes, MIN(line.size, 100)});
        for (size_t i = strlen("-----BEGIN "); i < line.size; i++) {
                Span tail = span_skip(line, i);

                if (span_starts_with(tail, "PRIVATE KEY-----") ||
                    span_starts_with(tail, "PRIVATE KEY BLOCK-----"))
                        return line.size;
                if (!g_ascii_isupper(line.bytes[i]) && !g_ascii_isdigit(line.bytes[i]) &&
                    line.bytes[i] != ' ')
                        return 0;
        }
        return 0;
}

static bool is_word(char c)
{
        return g_ascii_isalnum(c) || c == '_';
}

static bool may_begin[256];

static void init_table(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(tokens); i++)
                may_begin[(uint8_t) tokens[i].prefix[0]] = true;
        may_begin['-'] = true;
}

GArray *secrets_find(Span text)
{
        GArray *found = g_array_new(FALSE, FALSE, sizeof(Secret));
        unsigned line = 1;

        if (!may_begin['-'])
                init_table();
        for (size_t i = 0; i < text.size && found->len < SECRETS_MAX; i++) {
                Secret secret = {.kind = "private key", .offset = i, .line = line};
                char c = text.bytes[i];

                line += c == '\n';
                if (!may_begin[(uint8_t) c] || (i > 0 && is_word(text.bytes[i - 1])))
                        continue;
                secret.size = c == '-' ? match_key(span_skip(text, i))
                                       : match_token(span_skip(text, i), &secret.kind);
                if (secret.size == 0)
                        continue;
                g_array_append_val(found, secret);
                i += secret.size - 1;
        }
        return found;
}

/* What is before the @ of a URL becomes three stars. */
static void append_without_user(GString *out, Span text)
{
        while (text.size > 0) {
                const char *start = g_strstr_len(text.bytes, (gssize) text.size, "://");
                size_t n = start ? (size_t) (start - text.bytes) + 3 : text.size, at = n;

                g_string_append_len(out, text.bytes, (gssize) n);
                if (!start)
                        return;
                while (at < text.size && !strchr("/ \t'\"@", text.bytes[at]))
                        at++;
                if (at < text.size && text.bytes[at] == '@' && at > n) {
                        g_string_append(out, "***");
                        n = at;
                }
                text = span_skip(text, n);
        }
}

char *secret_redact(Span text)
{
        g_autoptr(GArray) secrets = secrets_find(text);
        GString *out = g_string_new(NULL);
        size_t at = 0;

        for (unsigned i = 0; i < secrets->len; i++) {
                const Secret *secret = &g_array_index(secrets, Secret, i);

                append_without_user(out, (Span){text.bytes + at, secret->offset - at});
                g_string_append_printf(out, "(%s)", secret->kind);
                at = secret->offset + secret->size;
        }
        append_without_user(out, span_skip(text, at));
        return g_string_free(out, FALSE);
}
