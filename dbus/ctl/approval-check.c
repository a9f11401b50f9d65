/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* 4 MiB, and the line that says that there was more. */
#define LOG_MAX ((4 << 20) + 4096)

void approval_print_warning(const char *title, const char *text)
{
        printf("%s:\n%s", title, colour_begin(COLOUR_WARNING));
        print_barred(text);
        (void) fputs(colour_end(), stdout);
}

void approval_print_check(const char *check)
{
        if (g_str_has_prefix(check, "FAILED")) {
                approval_print_warning("check", check);
        } else {
                puts("check:");
                print_barred(check);
        }
}

/* The file is the daemon's: it can be read, and not be opened anew. */
static int read_all(int fd, char **ret, size_t *ret_size, Fault *f)
{
        g_autoptr(GString) text = g_string_new(NULL);
        char bytes[65536];
        ssize_t n;

        while ((n = pread(fd, bytes, sizeof bytes, (off_t) text->len)) > 0 && text->len <= LOG_MAX)
                g_string_append_len(text, bytes, n);
        if (n < 0 || text->len > LOG_MAX)
                return fault_set_errno(f, FAULT_IO, n < 0 ? errno : EFBIG, "it cannot be read");
        *ret_size = text->len;
        *ret = g_string_free(TAKE_PTR(text), FALSE);
        return 0;
}

static int load_log(Ctl *ctl, const char *path, char **ret, size_t *ret_size, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        int fd, r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_APPROVAL, "CheckLog", &reply,
                                f, NULL);

        if (r >= 0)
                r = bus_read(reply, f, "h", &fd);
        return r < 0 ? r : read_all(fd, ret, ret_size, f);
}

int approval_print_check_log(Ctl *ctl, const char *path, const char *sha256, Fault *f)
{
        g_autofree char *text = NULL, *found = NULL;
        size_t size;
        Fault why = {0};
        int r = load_log(ctl, path, &text, &size, &why);

        if (r < 0 && why.code == FAULT_DENIED) {
                puts("(what the check printed only approvers and root can read)");
                return 0;
        }
        if (r < 0)
                return fault_set(f, why.code, "what the check printed cannot be shown: %s",
                                 why.message);
        found = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) text, size);
        if (!g_str_equal(found, sha256))
                return fault_set(f, FAULT_WRONG_HASH,
                                 "what the check printed is not what is asked for");
        puts("the check printed:");
        for (char *nul = text; (nul = memchr(nul, '\0', size - (size_t) (nul - text)));)
                *nul = '?';
        print_barred(text);
        return 0;
}
