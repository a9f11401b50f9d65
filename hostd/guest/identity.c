/* SPDX-License-Identifier: MIT */

/* The program that makes a copy of a guest a guest of its own: put into the guest before its memory
 * is saved, started in each copy.
 *
 *     identity ROOT HOSTNAME MACHINE-ID SECONDS NANOSECONDS        (each may be empty)
 *
 * ROOT is what all paths begin with. Standard input: the seed in base64, the private SSH host key
 * with an empty line behind it, the public one. What could not be done is named on standard error
 * in the end, which then is with status 1, and does not stop the rest. Without arguments it does
 * nothing, and ends with 0: so it can be tried.
 *
 * An emulated guest translates each instruction that it has not met yet, so the fewer there are the
 * sooner a copy is ready: no C library, no loader, no second process, Linux on x86-64 alone. What
 * it promises is in host/guest.h, and the script there does the same where this does not run. */

#include "guest/identity-files.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define RNDRESEEDCRNG 0x5207 /* linux/random.h has it since 4.17 */
#define SIGHUP        1

/* More than the host sends: GUEST_SEED_MAX in base64 and two keys. */
#define INPUT_MAX  (48 * 1024)
#define PATH_SIZE  4096
#define BLOCK_SIZE 4096

struct directory_entry {
        __u64 inode, offset;
        unsigned short size;
        unsigned char type;
        char name[];
};

static const char *root;
static char path[PATH_SIZE]; /* below root */
static char failed[1024];
static size_t failed_size;

/* -- system calls, strings -------------------------------------------------------------------- */

static long call(long number, long a, long b, long c)
{
        long r;

        __asm__ volatile("syscall"
                         : "=a"(r)
                         : "a"(number), "D"(a), "S"(b), "d"(c)
                         : "rcx", "r11", "memory");
        return r;
}

static int open_file(const char *name, int flags, int mode)
{
        return (int) call(__NR_open, (long) name, flags | O_CLOEXEC, mode);
}

static void close_file(int fd)
{
        (void) call(__NR_close, fd, 0, 0);
}

static long read_some(int fd, void *bytes, size_t size)
{
        long n;

        do
                n = call(__NR_read, fd, (long) bytes, (long) size);
        while (n == -EINTR);
        return n;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
        while (size > 0) {
                long n = call(__NR_write, fd, (long) bytes, (long) size);
                if (n == -EINTR)
                        continue;
                if (n <= 0)
                        return false;
                bytes += n;
                size -= (size_t) n;
        }
        return true;
}

static size_t length(const char *text)
{
        size_t n = 0;

        while (text[n])
                n++;
        return n;
}

static bool equal(const char *a, const char *b, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if (a[i] != b[i])
                        return false;
        return true;
}

static bool is(const char *text, const char *expected)
{
        return equal(text, expected, length(expected) + 1);
}

static bool begins(const char *text, const char *prefix)
{
        for (; *prefix; prefix++, text++)
                if (*text != *prefix)
                        return false;
        return true;
}

static bool ends(const char *text, const char *suffix)
{
        size_t size = length(text), n = length(suffix);

        return size >= n && is(text + size - n, suffix);
}

/* Digits alone; 0 for what is no number. */
static long to_number(const char *text)
{
        long number = 0;

        for (; *text; text++) {
                if (*text < '0' || *text > '9' || number > 1L << 58)
                        return 0;
                number = number * 10 + (*text - '0');
        }
        return number;
}

static size_t append(char *to, size_t at, size_t size, const char *text)
{
        for (; *text && at + 1 < size; at++)
                to[at] = *text++;
        to[at] = '\0';
        return at;
}

/* A path too long for the buffer is cut, and then is none. */
static const char *below_root(const char *name, const char *rest)
{
        size_t at = append(path, 0, sizeof path, root);

        at = append(path, at, sizeof path, name);
        (void) append(path, at, sizeof path, rest);
        return path;
}

static void fail(const char *what)
{
        if (failed_size > 0)
                failed_size = append(failed, failed_size, sizeof failed - 2, ", ");
        failed_size = append(failed, failed_size, sizeof failed - 2, what);
}

/* -- files --------------------------------------------------------------------------------------
 */

/* 0 where there is none. */
static unsigned mode_of(const char *name, long number)
{
        static struct {
                __u64 device, inode, links;
                __u32 mode, rest[64];
        } st; /* asm/stat.h's struct stat begins so */

        return call(number, (long) name, (long) &st, 0) < 0 ? 0 : st.mode;
}

static bool is_regular(const char *name)
{
        return S_ISREG(mode_of(name, __NR_stat));
}

static bool write_file(const char *name, const char *rest, const char *text, size_t size, int mode)
{
        int fd = open_file(below_root(name, rest), O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY, mode);
        bool is_written = fd >= 0 && write_all(fd, text, size);

        if (fd >= 0)
                close_file(fd);
        return is_written;
}

/* The text is a line, with its end. */
static void put(const char *name, const char *line, size_t size)
{
        if (!write_file(name, "", line, size, 0644))
                fail(name);
}

/* At most size - 1 bytes of a short file, up to its first line's end. */
static bool read_line(const char *name, const char *rest, char *line, size_t size)
{
        int fd = open_file(below_root(name, rest), O_RDONLY | O_NOCTTY, 0);
        long n = fd < 0 ? -1 : read_some(fd, line, size - 1);

        if (fd >= 0)
                close_file(fd);
        line[n > 0 ? n : 0] = '\0';
        for (char *c = line; *c; c++)
                if (*c == '\n')
                        *c = '\0';
        return n >= 0;
}

static bool matches(const char *name, const char *prefix, const char *rest, const char *suffix)
{
        if (!*rest)
                return is(name, prefix);
        return name[0] != '.' && begins(name, prefix) && ends(name + length(prefix), suffix);
}

/* Calls `found` for each entry of the directory of such a name; hidden ones are none. */
static void look_through(const char *directory, const char *prefix, const char *rest,
                         const char *suffix, void (*found)(const char *directory, const char *name))
{
        static char entries[BLOCK_SIZE] __attribute__((aligned(8)));
        int fd = open_file(below_root(directory, ""), O_RDONLY | O_DIRECTORY, 0);
        long n;

        if (fd < 0)
                return;
        while ((n = call(__NR_getdents64, fd, (long) entries, sizeof entries)) > 0)
                for (long at = 0; at < n;) {
                        const struct directory_entry *e = (const void *) (entries + at);
                        at += e->size;
                        if (matches(e->name, prefix, rest, suffix))
                                found(directory, e->name);
                }
        close_file(fd);
}

/* -- keys, leases ---------------------------------------------------------------------------------
 */

static bool has_ssh, has_failed_removal;

static void remove_entry(const char *name)
{
        long r = call(__NR_unlink, (long) name, 0, 0);

        if (r < 0 && r != -ENOENT)
                has_failed_removal = true;
}

static void remove_key(const char *directory, const char *name)
{
        below_root(directory, name);
        if (mode_of(path, __NR_stat) == 0)
                return;
        has_ssh = true;
        remove_entry(path);
}

static void remove_lease(const char *directory, const char *name)
{
        below_root(directory, name);
        if (is_regular(path))
                remove_entry(path);
}

static void remove_old(bool has_key)
{
#define REMOVE(directory, prefix, rest, suffix) \
        look_through(directory, prefix, rest, suffix, remove_lease);
        if (has_key) {
                has_ssh = mode_of(below_root(IDENTITY_SSHD, ""), __NR_stat) & 0111;
                look_through(IDENTITY_SSH_KEY_DIRECTORY, IDENTITY_SSH_KEY_PREFIX, "*", "",
                             remove_key);
        }
        IDENTITY_LEASES(REMOVE)
        if (has_failed_removal)
                fail(IDENTITY_FAILED_REMOVAL);
}

/* What has the number of an sshd that is gone is left alone. */
static void wake_sshd(void)
{
        char pid[24], rest[64], name[16];
        size_t at;
        long number;

        if (!read_line(IDENTITY_SSHD_PID, "", pid, sizeof pid))
                return;
        number = to_number(pid);
        at = append(rest, 0, sizeof rest, pid);
        (void) append(rest, at, sizeof rest, "/comm");
        if (number > 1 && read_line("/proc/", rest, name, sizeof name) && is(name, "sshd") &&
            call(__NR_kill, number, SIGHUP, 0) < 0)
                fail("sshd");
}

static void renew_ssh(const char *key, size_t key_size, const char *public, size_t public_size)
{
        if (!write_file(IDENTITY_SSH_KEY, "", key, key_size, 0600))
                fail(IDENTITY_SSH_KEY);
        put(IDENTITY_SSH_KEY ".pub", public, public_size);
        wake_sshd();
}

/* -- the kernel -----------------------------------------------------------------------------------
 */

/* A write goes into the kernel's pool at once, but the numbers that programs get come from a key
 * that is drawn from the pool only now and then: the ioctl makes it draw. EINVAL before Linux 4.17,
 * ENODATA where no key has been drawn yet. */
static void reseed(const char *seed, size_t size)
{
        int fd = open_file(below_root(IDENTITY_URANDOM, ""), O_WRONLY | O_NOCTTY, 0);
        long r = 0;

        if (fd < 0 || !write_all(fd, seed, size))
                fail(IDENTITY_URANDOM);
        if (fd >= 0)
                r = call(__NR_ioctl, fd, RNDRESEEDCRNG, 0);
        if (fd < 0 || (r < 0 && r != -EINVAL && r != -ENODATA))
                fail(IDENTITY_FAILED_RANDOM);
        if (fd >= 0)
                close_file(fd);
}

static void set_clock(const char *seconds, const char *nanoseconds)
{
        long time[2] = {to_number(seconds), to_number(nanoseconds)};

        if (call(__NR_clock_settime, CLOCK_REALTIME, (long) time, 0) < 0)
                fail(IDENTITY_FAILED_CLOCK);
}

/* -- the hostname ----------------------------------------------------------------------------- */

static bool is_name(const char *name)
{
        if (!*name)
                return false;
        for (; *name; name++)
                if (!(*name >= 'a' && *name <= 'z') && !(*name >= 'A' && *name <= 'Z') &&
                    !(*name >= '0' && *name <= '9') && *name != '.' && *name != '_' && *name != '-')
                        return false;
        return true;
}

/* Where a word or a domain's first label may end. */
static bool is_end(const char *at, const char *end)
{
        return at == end || *at == ' ' || *at == '\t' || *at == '.' || *at == '#' || *at == '\n';
}

/* The first occurrence of the name as a word behind an address, or NULL. */
static const char *find_word(const char *begin, const char *at, const char *end, const char *name)
{
        size_t size = length(name);

        for (; at + size <= end; at++)
                if (at > begin && (at[-1] == ' ' || at[-1] == '\t') && equal(at, name, size) &&
                    is_end(at + size, end))
                        return at;
        return NULL;
}

/* All of the file at once, so that it can be written over; NULL where that cannot be done. */
static char *read_hosts(size_t *ret)
{
        int fd = open_file(below_root(IDENTITY_HOSTS, ""), O_RDONLY | O_NOCTTY, 0);
        long size = fd < 0 ? -1 : call(__NR_lseek, fd, 0, 2), n = 0, r = 0;
        long heap = call(__NR_brk, 0, 0, 0);
        char *text = NULL;

        if (size > 0 && call(__NR_lseek, fd, 0, 0) == 0 &&
            call(__NR_brk, heap + size, 0, 0) == heap + size)
                text = (char *) heap;
        while (text && n < size && (r = read_some(fd, text + n, (size_t) (size - n))) > 0)
                n += r;
        if (fd >= 0)
                close_file(fd);
        if (size > 0 && (!text || n < size)) {
                fail(IDENTITY_HOSTS);
                return NULL;
        }
        *ret = (size_t) n;
        return text;
}

static bool write_hosts(int fd, const char *text, const char *end, const char *old,
                        const char *name)
{
        const char *word, *at = text;

        while ((word = find_word(text, at, end, old))) {
                if (!write_all(fd, at, (size_t) (word - at)) || !write_all(fd, name, length(name)))
                        return false;
                at = word + length(old);
        }
        return write_all(fd, at, (size_t) (end - at)) &&
               (end[-1] == '\n' || write_all(fd, "\n", 1));
}

static void rename_in_hosts(const char *old, const char *name)
{
        size_t size = 0;
        const char *text = read_hosts(&size);

        if (!text || !find_word(text, text, text + size, old))
                return;
        int fd = open_file(below_root(IDENTITY_HOSTS, ""), O_WRONLY | O_TRUNC | O_NOCTTY, 0);
        if (fd < 0 || !write_hosts(fd, text, text + size, old, name))
                fail(IDENTITY_HOSTS);
        if (fd >= 0)
                close_file(fd);
}

static void renew_hostname(const char *name)
{
        char old[128], line[128];
        size_t size = append(line, 0, sizeof line - 1, name);

        line[size++] = '\n';
        (void) read_line(IDENTITY_HOSTNAME_KERNEL, "", old, sizeof old);
        put(IDENTITY_HOSTNAME_KERNEL, line, size);
        put(IDENTITY_HOSTNAME, line, size);
        if (is_name(old) && !is(old, name) && !is(old, "localhost") && !begins(old, "localhost.") &&
            is_regular(below_root(IDENTITY_HOSTS, "")))
                rename_in_hosts(old, name);
}

static void renew_machine_id(const char *id)
{
        char line[64];
        size_t size = append(line, 0, sizeof line - 1, id);

        line[size++] = '\n';
        if (mode_of(below_root(IDENTITY_MACHINE_ID, ""), __NR_stat) != 0)
                put(IDENTITY_MACHINE_ID, line, size);
        if (S_ISREG(mode_of(below_root(IDENTITY_MACHINE_ID_DBUS, ""), __NR_lstat)))
                put(IDENTITY_MACHINE_ID_DBUS, line, size);
}

/* -- all of it ----------------------------------------------------------------------------------
 */

/* The end of the line that begins at `at`, behind its newline; the text's end where it has none. */
static const char *next_line(const char *at, const char *end)
{
        while (at < end && *at != '\n')
                at++;
        return at < end ? at + 1 : end;
}

/* One that a daemon began which was killed goes on: what two write at a time would be a mixture.
 * The lock ends with this process. */
static void wait_for_others(const char *program)
{
        int fd = open_file(program, O_RDONLY, 0);

        while (fd >= 0 && call(__NR_flock, fd, LOCK_EX, 0) == -EINTR)
                continue;
}

static int renew(char **arguments)
{
        static char input[INPUT_MAX];
        long n, size = 0;

        while ((n = read_some(0, input + size, (size_t) (INPUT_MAX - size))) > 0)
                size += n;
        const char *end = input + size, *key = next_line(input, end), *key_end = key, *public;
        size_t seed_size = (size_t) (key - input);
        while (key_end < end && *key_end != '\n')
                key_end = next_line(key_end, end);
        public = next_line(key_end, end);

        root = arguments[0];
        (void) call(__NR_umask, 022, 0, 0);
        if (seed_size > 1)
                reseed(input, seed_size);
        if (*arguments[3])
                set_clock(arguments[3], arguments[4]);
        remove_old(key_end > key);
        if (*arguments[1])
                renew_hostname(arguments[1]);
        if (*arguments[2])
                renew_machine_id(arguments[2]);
        if (has_ssh)
                renew_ssh(key, (size_t) (key_end - key), public,
                          (size_t) (next_line(public, end) - public));
        if (failed_size == 0)
                return 0;
        failed[failed_size++] = '\n';
        (void) write_all(2, failed, failed_size);
        return 1;
}

/* The stack as the kernel leaves it: the number of arguments, then they. */
__attribute__((noreturn, used)) static void begin(char **stack)
{
        long n = (long) stack[0];
        int status = n == 1 ? 0 : 2;

        if (n == 6) {
                wait_for_others(stack[1]);
                status = renew(stack + 2);
        }
        (void) call(__NR_exit_group, status, 0, 0);
        __builtin_unreachable();
}

__asm__(".globl _start\n"
        "_start:\n"
        "        xorl %ebp, %ebp\n"
        "        movq %rsp, %rdi\n"
        "        andq $-16, %rsp\n"
        "        call begin\n");
