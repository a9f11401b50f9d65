/* SPDX-License-Identifier: MIT */
#include "host/ssh-key.h"

#include "base/cleanup.h"

#include <errno.h>
#include <nettle/eddsa.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#define KEY_TYPE     "ssh-ed25519"
#define KEY_SIZE     ED25519_KEY_SIZE
#define MAGIC        "openssh-key-v1" /* its NUL is part of the format */
#define CIPHER_BLOCK 8                /* of the cipher "none" */
#define COLUMNS      70
#define SECRET_MAX   1024 /* more than any key here with its comment: no buffer is ever moved */
#define PEM_BEGIN    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define PEM_END      "-----END OPENSSH PRIVATE KEY-----\n"

typedef struct RawKey {
        uint8_t secret[KEY_SIZE], public[KEY_SIZE], check[4];
} RawKey;

/* -- the wire format of RFC 4251 -------------------------------------------------------------- */

static void add_number(GByteArray *to, uint32_t value)
{
        uint32_t wire = GUINT32_TO_BE(value);

        g_byte_array_append(to, (const guint8 *) &wire, sizeof wire);
}

static void add_bytes(GByteArray *to, const void *bytes, size_t size)
{
        add_number(to, (uint32_t) size);
        g_byte_array_append(to, bytes, (guint) size);
}

static void add_text(GByteArray *to, const char *text)
{
        add_bytes(to, text, strlen(text));
}

static GByteArray *wipe_array(GByteArray *bytes)
{
        explicit_bzero(bytes->data, bytes->len);
        g_byte_array_unref(bytes);
        return NULL;
}

/* -- the two texts ---------------------------------------------------------------------------- */

static GByteArray *format_public(const RawKey *key)
{
        GByteArray *bytes = g_byte_array_sized_new(128);

        add_text(bytes, KEY_TYPE);
        add_bytes(bytes, key->public, KEY_SIZE);
        return bytes;
}

/* What would be encrypted if there were a passphrase. */
static GByteArray *format_secret(const RawKey *key, const char *comment)
{
        GByteArray *bytes = g_byte_array_sized_new(SECRET_MAX);
        uint8_t both[2 * KEY_SIZE];

        memcpy(both, key->secret, KEY_SIZE);
        memcpy(both + KEY_SIZE, key->public, KEY_SIZE);
        g_byte_array_append(bytes, key->check, sizeof key->check);
        g_byte_array_append(bytes, key->check, sizeof key->check);
        add_text(bytes, KEY_TYPE);
        add_bytes(bytes, key->public, KEY_SIZE);
        add_bytes(bytes, both, sizeof both);
        add_text(bytes, comment);
        for (uint8_t i = 1; bytes->len % CIPHER_BLOCK != 0; i++)
                g_byte_array_append(bytes, &i, 1);
        explicit_bzero(both, sizeof both);
        return bytes;
}

static char *armour(const GByteArray *bytes)
{
        char *base64 = g_base64_encode(bytes->data, bytes->len);
        size_t size = strlen(base64);
        GString *text = g_string_sized_new(size + size / COLUMNS + sizeof PEM_BEGIN PEM_END + 1);

        g_string_append(text, PEM_BEGIN);
        for (size_t i = 0; i < size; i += COLUMNS) {
                g_string_append_len(text, base64 + i, (gssize) MIN(size - i, COLUMNS));
                g_string_append_c(text, '\n');
        }
        g_string_append(text, PEM_END);
        (void) ssh_key_wipe(base64);
        return g_string_free(text, FALSE);
}

static char *format_private_text(const RawKey *key, const GByteArray *public, const char *comment)
{
        GByteArray *file = g_byte_array_sized_new(2 * SECRET_MAX);
        GByteArray *secret = format_secret(key, comment);
        char *text;

        g_byte_array_append(file, (const guint8 *) MAGIC, sizeof MAGIC);
        add_text(file, "none"); /* cipher */
        add_text(file, "none"); /* key derivation */
        add_text(file, "");     /* and its options */
        add_number(file, 1);
        add_bytes(file, public->data, public->len);
        add_bytes(file, secret->data, secret->len);
        text = armour(file);
        (void) wipe_array(secret);
        (void) wipe_array(file);
        return text;
}

/* -- keys ------------------------------------------------------------------------------------- */

/* So few bytes the kernel gives whole. */
static int make_key(RawKey *key, Fault *f)
{
        if (getrandom(key->secret, sizeof key->secret, 0) != (ssize_t) sizeof key->secret ||
            getrandom(key->check, sizeof key->check, 0) != (ssize_t) sizeof key->check)
                return fault_set_errno(f, FAULT_INTERNAL, errno,
                                       "the kernel gives no random numbers for an SSH key");
        ed25519_sha512_public_key(key->public, key->secret);
        return 0;
}

static int check_comment(const char *comment, Fault *f)
{
        size_t size = strlen(comment);

        for (size_t i = 0; i < size; i++)
                if (!g_ascii_isprint(comment[i]))
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "the comment '%s' of an SSH key is not printable ASCII",
                                         comment);
        if (size > SSH_KEY_COMMENT_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the comment of an SSH key is longer than %d characters",
                                 SSH_KEY_COMMENT_MAX);
        return 0;
}

int ssh_key_new(const char *comment, char **ret_private, char **ret_public, Fault *f)
{
        g_autoptr(GByteArray) public = NULL;
        g_autofree char *base64 = NULL;
        RawKey key;
        int err = check_comment(comment, f);

        if (err >= 0)
                err = make_key(&key, f);
        if (err < 0)
                return err;
        public = format_public(&key);
        base64 = g_base64_encode(public->data, public->len);
        *ret_public = g_strdup_printf(KEY_TYPE " %s%s%s\n", base64, *comment ? " " : "", comment);
        *ret_private = format_private_text(&key, public, comment);
        explicit_bzero(&key, sizeof key);
        return 0;
}

char *ssh_key_wipe(char *private_text)
{
        if (private_text)
                explicit_bzero(private_text, strlen(private_text));
        g_free(private_text);
        return NULL;
}
