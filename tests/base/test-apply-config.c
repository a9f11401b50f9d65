/* SPDX-License-Identifier: MIT */
#include "base/apply-config.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/inventory.h"
#include "tests/tap.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOSTS "web1\nweb2\n"

static char *scratch;

static char *at(const char *name)
{
        return g_build_filename(scratch, name, NULL);
}

static void put(const char *name, const char *text)
{
        g_autofree char *path = at(name);

        g_assert(g_file_set_contents(path, text, -1, NULL));
        g_assert(chmod(path, 0644) == 0);
}

/* -- apply.conf -------------------------------------------------------------------------------- */

static const struct {
        const char *text, *said; /* NULL: it is good */
} files[] = {
        {"inventory = /i\n", NULL},
        {"# x\n\n  inventory=/i\nlimit = web*:!web9\nuser = deploy\nprivate_key = /k\n"
         "known_hosts = /h\nbecome = yes\ncheck = never\ntimeout = 90\n",
         NULL},
        {"", "apply.conf: no inventory"},
        {"inventory = i\n", "apply.conf:1: inventory: 'i' is not an absolute path"},
        {"inventory =\n", "apply.conf:1: inventory: the value is missing"},
        {"inventory = /i\ninventory = /j\n", "apply.conf:2: 'inventory' is set twice"},
        {"inventory = /i\ncolour = blue\n", "apply.conf:2: unknown key 'colour'"},
        {"inventory\n", "apply.conf:1: expected 'key = value'"},
        {"[apply]\n", "apply.conf:1: expected"},
        {"inventory = /i\nprivate_key = /k -o ProxyCommand=x\n", "private_key: '/k -o"},
        {"inventory = /i\nknown_hosts = /%h\n", "known_hosts: '/%h'"},
        {"inventory = /i\nuser = -oProxyCommand=x\n", "user: "},
        {"inventory = /i\nuser = a b\n", "user: 'a b' is no name of a user"},
        {"inventory = /i\nlimit = @/etc/shadow\n", "limit: "},
        {"inventory = /i\nlimit = a,@/etc/shadow\n", "limit: "},
        {"inventory = /i\nlimit = a\x1b[2J\n", "limit: it holds a control character"},
        {"inventory = /i\nlimit = \xff\n", "limit: it is too long, or not UTF-8"},
        {"inventory = /i\nbecome = true\n", "become: 'true' is neither yes nor no"},
        {"inventory = /i\ncheck = yes\n", "check: 'yes' is neither always nor never"},
        {"inventory = /i\nwritten = yes\n", "written: 'yes' is neither allow nor refuse"},
        {"inventory = /i\nreview_check = yes\n",
         "review_check: 'yes' is neither always, asked nor never"},
        {"inventory = /i\ntimeout = 0\n", "timeout: '0' is not between 1s and 24h"},
        {"inventory = /i\ntimeout = infinity\n", "timeout: 'infinity' is not between"},
        {"inventory = /i\ntimeout = soon\n", "timeout: "},
};

static void check_files(void)
{
        g_autofree char *path = at("apply.conf");

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autoptr(ApplyConfig) c = NULL;
                Fault f = {0};

                put("apply.conf", files[i].text);
                int r = apply_config_load(path, &c, &f);
                bool good = files[i].said ? r == -EINVAL && strstr(f.message, files[i].said) && !c
                                          : r == 0;
                if (!tap_ok(good, "file %zu is %s", i, files[i].said ? files[i].said : "good"))
                        tap_note("%s", f.message);
        }
}

static void check_texts(void)
{
        g_autofree char *path = at("apply.conf");
        g_autoptr(ApplyConfig) least = NULL, all = NULL, none = NULL;
        Fault f = {0};

        put("apply.conf", files[0].text);
        g_assert(apply_config_load(path, &least, NULL) == 0);
        g_autofree char *text = apply_target_text(least, "aa");
        tap_is_str(text, "inventory = /i\ninventory_sha256 = aa\ncheck = always\ntimeout = 1h\n",
                   "a target is said with its defaults");
        put("apply.conf", files[1].text);
        g_assert(apply_config_load(path, &all, NULL) == 0);
        g_autofree char *more = apply_target_text(all, "bb");
        tap_is_str(more,
                   "inventory = /i\ninventory_sha256 = bb\nlimit = web*:!web9\nuser = deploy\n"
                   "private_key = /k\nknown_hosts = /h\nbecome = yes\ncheck = never\n"
                   "timeout = 1min 30s\n",
                   "and with all that is set");
        put("apply.conf", "inventory = /i\nreview_check = always\n");
        g_assert(apply_config_load(path, &none, NULL) == 0);
        g_autofree char *same = apply_target_text(none, "aa");
        tap_ok(g_str_equal(same, text) && least->review_check == REVIEW_CHECK_ASKED &&
                       none->review_check == REVIEW_CHECK_ALWAYS,
               "whether it is checked before the review is no part of it");
        none = apply_config_free(none);
        put("apply.conf", "inventory = /i\nwritten = allow\n");
        g_assert(apply_config_load(path, &none, NULL) == 0);
        g_autofree char *allowed = apply_target_text(none, "aa");
        tap_ok(!least->allows_written && strstr(allowed, "\nwritten = allow\n"),
               "whether what was written by hand is applied is, where that is allowed");
        none = apply_config_free(none);
        g_assert(unlink(path) == 0);
        tap_ok(apply_config_load(path, &none, &f) == -ENOENT && strstr(f.message, "apply.conf(5)"),
               "without a file it is said where to read on");
}

/* -- inventories ------------------------------------------------------------------------------- */

static int take(const char *name, const char *copy, char *sha256, Fault *f)
{
        g_autofree char *path = at(name), *to = copy ? at(copy) : NULL;

        fault_clear(f);
        return inventory_take(path, to, sha256, f);
}

static char *shell(const char *command)
{
        const char *argv[] = {"/bin/sh", "-c", command, NULL};
        char *out = NULL;

        g_assert(
                g_spawn_sync(scratch, (char **) argv, NULL, 0, NULL, NULL, &out, NULL, NULL, NULL));
        return g_strchomp(out);
}

static void check_one_file(void)
{
        char sha256[SHA256_HEX_SIZE] = "";
        g_autofree char *text = NULL, *copy = at("copy1");
        g_autofree char *wanted = g_compute_checksum_for_string(G_CHECKSUM_SHA256, HOSTS, -1);
        Fault f = {0};

        put("hosts", HOSTS);
        tap_ok(take("hosts", "copy1", sha256, &f) == 0 && g_str_equal(sha256, wanted),
               "an inventory has the hash of its file");
        tap_ok(g_file_get_contents(copy, &text, NULL, NULL) && g_str_equal(text, HOSTS),
               "and is copied");
        g_autofree char *path = at("hosts");
        g_assert(chmod(path, 0755) == 0);
        tap_ok(take("hosts", NULL, sha256, &f) == -EINVAL && strstr(f.message, "a program"),
               "a program is none");
        tap_ok(take("nowhere", NULL, sha256, &f) == -ENOENT, "what is not there is none");
        tap_ok(inventory_take("/dev/null", NULL, sha256, &f) < 0, "a device is none");
}

static void check_directory(void)
{
        char sha256[SHA256_HEX_SIZE] = "", other[SHA256_HEX_SIZE] = "";
        Fault f = {0};

        g_free(shell("mkdir -p inv/group_vars inv/b && echo x >inv/b/c && echo y >inv/b-c && "
                     "echo v >inv/group_vars/all && echo h >inv/hosts && echo . >inv/.dot"));
        g_autofree char *wanted =
                shell("cd inv && find -type f -printf '%P\\0' | LC_ALL=C sort -z | "
                      "xargs -0 sha256sum | sha256sum | cut -c 1-64");
        tap_ok(take("inv", "copy2", sha256, &f) == 0 && g_str_equal(sha256, wanted),
               "a directory has the hash that its manual says");
        g_autofree char *same = shell("diff -r inv copy2 && echo same");
        tap_is_str(same, "same", "and is copied whole");
        put("inv/group_vars/all", "w\n");
        tap_ok(take("inv", NULL, other, &f) == 0 && !g_str_equal(sha256, other),
               "another variable is another hash");
        g_free(shell("ln -s hosts inv/link"));
        tap_ok(take("inv", NULL, other, &f) == -EINVAL && strstr(f.message, "'link'"),
               "a link in it is refused");
        g_free(shell("rm inv/link; mkdir -p inv/1/2/3/4/5/6/7/8/9; echo >inv/1/2/3/4/5/6/7/8/9/x"));
        tap_ok(take("inv", NULL, other, &f) == -EINVAL && strstr(f.message, "too deep"),
               "one that is too deep is refused");
        g_free(shell("rm -r inv/1; touch \"$(printf 'inv/a\\nb')\""));
        tap_ok(take("inv", NULL, other, &f) == -EINVAL && strstr(f.message, "\\x0a"),
               "a name that reads as a line is refused");
        g_free(shell("rm inv/a*; head -c 5000000 /dev/zero >inv/large"));
        tap_ok(take("inv", NULL, other, &f) == -EINVAL && strstr(f.message, "larger than"),
               "one that is too large is refused");
        g_free(shell("rm inv/large; touch $(seq -f inv/f%g 5000)"));
        tap_ok(take("inv", NULL, other, &f) == -EINVAL && strstr(f.message, "1024 files"),
               "so is one of too many files");
        g_free(shell("mkdir empty"));
        tap_ok(take("empty", NULL, other, &f) == -EINVAL && strstr(f.message, "empty"),
               "an empty one is refused");
}

int main(void)
{
        scratch = g_dir_make_tmp("fluid-apply.XXXXXX", NULL);
        check_files();
        check_texts();
        check_one_file();
        check_directory();
        (void) remove_tree(scratch, NULL);
        g_free(scratch);
        return tap_done();
}
