/* SPDX-License-Identifier: MIT */
#include "host/ssh-key.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/tap.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

/* What ssh-keygen, OpenSSH's own, says: its output without the last newline, or NULL. */
static char *ssh_keygen(const char *const *options, const char *path)
{
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        char *text = NULL;
        int status = -1;

        g_ptr_array_add(argv, (char *) "ssh-keygen");
        for (; *options; options++)
                g_ptr_array_add(argv, (char *) *options);
        g_ptr_array_add(argv, (char *) "-f");
        g_ptr_array_add(argv, (char *) path);
        g_ptr_array_add(argv, NULL);
        if (!g_spawn_sync(NULL, (char **) argv->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text,
                          NULL, &status, NULL) ||
            status != 0) {
                g_free(text);
                return NULL;
        }
        return g_strchomp(text);
}
#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void put_private(const char *path, const char *text)
{
        g_assert(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static bool is_well_formed(const char *private_text)
{
        g_auto(GStrv) lines = g_strsplit(private_text, "\n", -1);
        guint n = g_strv_length(lines);

        if (n < 4 || !g_str_equal(lines[0], "-----BEGIN OPENSSH PRIVATE KEY-----") ||
            !g_str_equal(lines[n - 2], "-----END OPENSSH PRIVATE KEY-----") || *lines[n - 1])
                return false;
        for (guint i = 1; i < n - 3; i++)
                if (strlen(lines[i]) != 70)
                        return false;
        return strlen(lines[n - 3]) >= 1 && strlen(lines[n - 3]) <= 70;
}

/* Comments of eight lengths in a row need every number of padding bytes. */
static void test_keys(const char *folder)
{
        g_autofree char *path = g_build_filename(folder, "key", NULL);
        g_autofree char *found = g_find_program_in_path("ssh-keygen");
        unsigned well_formed = 0, accepted = 0, verified = 0;

        for (size_t length = 0; length < 8; length++) {
                g_autofree char *comment = g_strndup("a@b c d", length);
                g_autofree char *public = NULL;
                char *private = NULL;

                g_assert(ssh_key_new(comment, &private, &public, NULL) == 0);
                well_formed += is_well_formed(private);
                if (found) {
                        g_autofree char *public_path = g_strconcat(path, ".pub", NULL);
                        g_autofree char *derived = NULL, *listed = NULL;

                        put_private(path, private);
                        (void) g_unlink(public_path);
                        derived = ssh_keygen(OPTIONS("-y", "-P", ""), path);
                        accepted += derived && g_str_equal(derived, g_strchomp(public));
                        /* Without the .pub beside it, this reads the private one's own. */
                        listed = ssh_keygen(OPTIONS("-l"), path);
                        verified += listed && g_str_has_suffix(listed, "(ED25519)") &&
                                    g_str_has_prefix(listed, "256 SHA256:");
                }
                private = ssh_key_wipe(private);
        }
        tap_is_int(well_formed, 8, "the private text has OpenSSH's lines");
        if (!found) {
                tap_skip("ssh-keygen finds the public key in the private one", "not installed");
                return;
        }
        tap_is_int(accepted, 8, "ssh-keygen finds the public key, comment and all, in the private");
        tap_is_int(verified, 8, "ssh-keygen tells its kind");
}

/* A signature made with the private key that the public one verifies: the secret half is right. */
static void test_signature(const char *folder)
{
        g_autofree char *path = g_build_filename(folder, "signer", NULL);
        g_autofree char *allowed = g_build_filename(folder, "allowed", NULL);
        g_autofree char *command = NULL, *public = NULL, *line = NULL;
        char *private = NULL;
        int status = -1;

        g_assert(ssh_key_new("host", &private, &public, NULL) == 0);
        put_private(path, private);
        line = g_strconcat("me ", public, NULL);
        g_assert(g_file_set_contents(allowed, line, -1, NULL));
        command = g_strdup_printf(
                "cd '%s' && echo text >text && ssh-keygen -q -Y sign -f signer -n t text && "
                "ssh-keygen -q -Y verify -f allowed -I me -n t -s text.sig <text",
                folder);
        const char *argv[] = {"/bin/sh", "-c", command, NULL};
        g_assert(g_spawn_sync(NULL, (char **) argv, NULL,
                              G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                              NULL, NULL, &status, NULL));
        if (status != 0 && !g_find_program_in_path("ssh-keygen"))
                tap_skip("what the private key signs the public one verifies", "not installed");
        else
                tap_is_int(status, 0, "what the private key signs the public one verifies");
        private = ssh_key_wipe(private);
}

static void test_texts(void)
{
        g_autofree char *public = NULL, *other_public = NULL;
        char *private = NULL, *other = NULL;
        Fault f = {0};

        g_assert(ssh_key_new("root@web", &private, &public, NULL) == 0);
        g_assert(ssh_key_new("root@web", &other, &other_public, NULL) == 0);
        tap_ok(!g_str_equal(private, other) && !g_str_equal(public, other_public),
               "no two keys are the same");
        tap_ok(g_str_has_prefix(public, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI") &&
                       g_str_has_suffix(public, " root@web\n"),
               "the public text is one line with kind and comment");
        private = ssh_key_wipe(private);
        other = ssh_key_wipe(other);
        tap_ok(!private && !ssh_key_wipe(NULL), "wiping frees, and takes nothing at all");

        (void) ssh_key_new("a\nb", &private, &public, &f);
        tap_is_int(f.code, FAULT_INVALID_ARGUMENT, "a comment of two lines is refused");
        g_autofree char *largest = g_strnfill(SSH_KEY_COMMENT_MAX, 'x');
        g_autofree char *larger = g_strnfill(SSH_KEY_COMMENT_MAX + 1, 'x');
        f = (Fault){0};
        (void) ssh_key_new(larger, &private, &public, &f);
        tap_ok(f.code == FAULT_INVALID_ARGUMENT && !private, "a comment without end is refused");
        g_free(TAKE_PTR(public));
        tap_ok(ssh_key_new(largest, &private, &public, NULL) == 0 && is_well_formed(private),
               "the longest comment is kept");
        private = ssh_key_wipe(private);
}

int main(void)
{
        g_autofree char *folder = g_dir_make_tmp("fluid-ssh-key-XXXXXX", NULL);

        g_assert(folder);
        test_texts();
        test_keys(folder);
        test_signature(folder);
        (void) remove_tree(folder, NULL);
        return tap_done();
}
