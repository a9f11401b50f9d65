/* SPDX-License-Identifier: MIT */
#include "core/config.h"

#include "base/quantity.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

static Fault fault;

static int parse(const char *text, Config **ret)
{
        fault_clear(&fault);
        return config_parse("/etc/fluid/fluid.conf", text, ret, &fault);
}

static void expect_refused(const char *text, const char *reason, const char *what)
{
        Config *untouched = (Config *) &fault, *c = untouched;
        int r = parse(text, &c);

        tap_ok(r == -EINVAL && fault.code == FAULT_INVALID_ARGUMENT && c == untouched,
               "%s is refused", what);
        tap_is_str(fault.message, reason, "with its place and why");
        if (r == 0)
                (void) config_free(c);
}

/* -- defaults --------------------------------------------------------------------------------- */

static char *print_with(void (*print)(FILE *out))
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                tap_bail_out("no stream in memory");
        print(out);
        (void) fclose(out);
        return text;
}

/* "#key = value", and no other line, is a setting that is commented out. */
static char *find_setting(char *line)
{
        return g_str_has_prefix(line, "#") && !g_str_has_prefix(line, "# ") ? line + 1 : NULL;
}

static bool is_same(const Config *a, const Config *b)
{
        return g_str_equal(a->state_directory, b->state_directory) &&
               g_str_equal(a->libvirt_uri, b->libvirt_uri) &&
               g_str_equal(a->virt_type, b->virt_type) && g_str_equal(a->log_level, b->log_level) &&
               a->worker_threads == b->worker_threads &&
               a->boot_timeout_usec == b->boot_timeout_usec &&
               a->ttl_default_usec == b->ttl_default_usec && a->ttl_max_usec == b->ttl_max_usec &&
               a->memory_default_bytes == b->memory_default_bytes &&
               a->memory_max_bytes == b->memory_max_bytes && a->sandboxes_max == b->sandboxes_max &&
               a->chain_depth_max == b->chain_depth_max &&
               a->disk_floor_bytes == b->disk_floor_bytes;
}

static void test_defaults(void)
{
        g_autofree char *example = print_with(config_print_example);
        g_autofree char *manual = print_with(config_print_manual);
        g_auto(GStrv) lines = g_strsplit(example, "\n", -1);
        g_autoptr(GString) all = g_string_new(NULL);
        g_autoptr(Config) defaults = config_new(), commented = NULL, set = NULL;
        bool are_valid = true, are_documented = true;
        unsigned n = 0;

        for (size_t i = 0; lines[i]; i++) {
                char *setting = find_setting(lines[i]);
                Config *one = NULL;

                if (!setting)
                        continue;
                n++;
                g_string_append_printf(all, "%s\n", setting);
                if (parse(setting, &one) < 0) {
                        tap_note("%s", fault.message);
                        are_valid = false;
                } else {
                        are_valid &= is_same(one, defaults);
                }
                (void) config_free(one);
                *strchr(setting, ' ') = '\0';
                g_autofree char *entry = g_strdup_printf(".TP\n.B %s\n", setting);
                are_documented &= strstr(manual, entry) && strlen(lines[i - 1]) > 10;
        }
        tap_ok(n > 20, "the example has every key");
        tap_ok(are_valid, "every default in it is valid, and is the default");
        tap_ok(are_documented, "every key in it is documented, there and in the manual page");
        tap_ok(parse(example, &commented) == 0 && is_same(commented, defaults),
               "the example itself changes nothing");
        tap_ok(parse(all->str, &set) == 0 && is_same(set, defaults),
               "nor does setting every key to its default");
}

/* -- values ----------------------------------------------------------------------------------- */

static void test_values(void)
{
        g_autoptr(Config) c = NULL;

        tap_is_int(parse("# a comment\n"
                         "\n"
                         "   \t\n"
                         "state_directory = /srv/fluid\n"
                         "  libvirt_uri=qemu+unix:///system?socket=/run/x  \n"
                         "boot_timeout = 1min 30s\r\n"
                         "memory_max\t=\t1.5G\n"
                         "sandboxes_max = 10000\n"
                         "stop_timeout = 0s\n"
                         "ttl_default = 90\n"
                         "virt_type = qemu",
                         &c),
                   0, "a file is parsed");
        if (!c)
                return;
        tap_is_str(c->state_directory, "/srv/fluid", "a path is taken");
        tap_is_str(c->libvirt_uri, "qemu+unix:///system?socket=/run/x",
                   "a word may have an equals sign");
        tap_is_int((int64_t) c->boot_timeout_usec, 90 * USEC_PER_SEC,
                   "a duration is taken, a carriage return is not");
        tap_is_int((int64_t) c->memory_max_bytes, UINT64_C(1536) << 20, "a size is taken");
        tap_is_int((int64_t) c->sandboxes_max, 10000, "the most is within bounds");
        tap_is_int((int64_t) c->stop_timeout_usec, 0, "so is the least");
        tap_is_int((int64_t) c->ttl_default_usec, 90 * USEC_PER_SEC, "a bare number is seconds");
        tap_is_str(c->virt_type, "qemu", "the last line needs no end");
        tap_is_int((int64_t) c->snapshots_max, 32, "what is not set keeps its default");
}

static void test_refusals(void)
{
        static const char long_path[] =
                "state_directory = /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        static const struct {
                const char *text, *reason, *what;
        } table[] = {
                {"colour = red", "1: unknown key 'colour'; see fluid.conf(5)", "an unknown key"},
                {"\n# x\n\ncolour = red", "4: unknown key 'colour'; see fluid.conf(5)",
                 "one further down"},
                {"boot_timeout_usec = 5", "1: unknown key 'boot_timeout_usec'; see fluid.conf(5)",
                 "a key with its unit"},
                {"State_directory = /x", "1: unknown key 'State_directory'; see fluid.conf(5)",
                 "a key in capitals"},
                {"= 5", "1: unknown key ''; see fluid.conf(5)", "a value without a key"},
                {"vcpus_max", "1: expected 'key = value'", "a key without a value"},
                {"[main]", "1: expected 'key = value'", "a section"},
                {"vcpus_max = 4\nvcpus_max = 4", "2: 'vcpus_max' is set twice", "a repeated key"},
                {"vcpus_max =", "1: vcpus_max: '' is not a whole number", "a missing number"},
                {"qemu_user =", "1: qemu_user: the value is missing", "a missing word"},
                {"state_directory =",
                 "1: state_directory: '' is not an absolute path of at most 64 characters",
                 "a missing path"},
                {"state_directory = srv",
                 "1: state_directory: 'srv' is not an absolute path of at most 64 characters",
                 "a relative path"},
                {"vcpus_max = 0", "1: vcpus_max: '0' is not between 1 and 256",
                 "a number below its bounds"},
                {"vcpus_max = 257", "1: vcpus_max: '257' is not between 1 and 256",
                 "one above them"},
                {"vcpus_max = -1", "1: vcpus_max: '-1' is not a whole number", "a negative number"},
                {"vcpus_max = 4 # four", "1: vcpus_max: '4 # four' is not a whole number",
                 "a comment after a value"},
                {"vcpus_max = 18446744073709551617",
                 "1: vcpus_max: '18446744073709551617' is not a whole number",
                 "a number beyond all bounds"},
                {"boot_timeout = 999ms", "1: boot_timeout: '999ms' is not between 1s and 1h",
                 "a short duration"},
                {"boot_timeout = infinity", "1: boot_timeout: 'infinity' is not between 1s and 1h",
                 "an endless one where there has to be an end"},
                {"memory_max = 31M", "1: memory_max: '31M' is not between 32M and 4T",
                 "a small size"},
                {"memory_max = 64", "1: memory_max: '64' is not between 32M and 4T",
                 "a size without its unit"},
                {"virt_type = xen", "1: virt_type: 'xen' is not one of auto|kvm|qemu",
                 "a word that is not allowed"},
                {"virt_type = auto|kvm", "1: virt_type: 'auto|kvm' is not one of auto|kvm|qemu",
                 "two words"},
                {"log_level = \x1b[2J",
                 "1: log_level: '\\x1b[2J' is not one of error|warning|info|debug",
                 "an escape sequence"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *reason =
                        g_strconcat("/etc/fluid/fluid.conf:", table[i].reason, NULL);

                expect_refused(table[i].text, reason, table[i].what);
        }
        tap_ok(parse(long_path, &(Config *){NULL}) < 0 &&
                       strstr(fault.message, "at most 64 characters"),
               "a path that leaves no room for a socket's name is refused");
}

static void test_together(void)
{
        g_autoptr(Config) c = NULL;

        expect_refused("ttl_max = 1h", "/etc/fluid/fluid.conf: ttl_default is longer than ttl_max",
                       "a ttl_max below ttl_default");
        expect_refused("memory_max = 256M",
                       "/etc/fluid/fluid.conf: memory_default is more than memory_max",
                       "a memory_max below memory_default");
        expect_refused("vcpus_default = 32",
                       "/etc/fluid/fluid.conf: vcpus_default is more than vcpus_max",
                       "a vcpus_default above vcpus_max");
        tap_is_int(parse("ttl_default = 30min\nttl_max = 1h", &c), 0,
                   "what fits together is taken, in any order");
}

/* -- files ------------------------------------------------------------------------------------ */

static void test_files(void)
{
        char path[] = "/tmp/fluid-conf-XXXXXX";
        int fd = mkstemp(path);
        g_autofree char *large = g_strnfill(70000, '#'),
                        *reason = g_strdup_printf("%s:2: unknown key 'x'; see fluid.conf(5)", path);
        g_autoptr(Config) c = NULL;
        Config *none = NULL;

        if (fd < 0 || close(fd) < 0)
                tap_bail_out("no file");
        tap_is_int(config_load("/nowhere/fluid.conf", &none, &fault), -ENOENT,
                   "a file that is not there is not found");
        (void) g_file_set_contents(path, "vcpus_max = 4\n", -1, NULL);
        tap_ok(config_load(path, &c, NULL) == 0 && c->vcpus_max == 4, "a file is loaded");
        (void) g_file_set_contents(path, "vcpus_max = 4\nx = y\n", -1, NULL);
        fault_clear(&fault);
        tap_is_int(config_load(path, &none, &fault), -EINVAL, "one with a mistake is refused");
        tap_is_str(fault.message, reason, "with its name");
        (void) g_file_set_contents(path, "vcpus_max = 4\0x", 15, NULL);
        fault_clear(&fault);
        tap_is_int(config_load(path, &none, &fault), -EINVAL, "so is one with a NUL byte");
        (void) g_file_set_contents(path, large, -1, NULL);
        fault_clear(&fault);
        tap_ok(config_load(path, &none, &fault) < 0, "and one that is too large");
        (void) unlink(path);
        tap_ok(!config_free(NULL), "no configuration can be freed");
}

int main(void)
{
        test_defaults();
        test_values();
        test_refusals();
        test_together();
        test_files();
        return tap_done();
}
