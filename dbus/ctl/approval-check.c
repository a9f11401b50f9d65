/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/file.h"
#include "dbus/ctl/approval.h"
#include "dbus/ctl/pager.h"
#include "dbus/ctl/print.h"

#include <string.h>

/* 4 MiB, and the line that says that there was more. */
#define LOG_MAX ((4 << 20) + 4096)

void approval_print_check(const char *check)
{
        bool failed = g_str_has_prefix(check, "FAILED");

        puts("check:");
        if (failed)
                (void) fputs(colour_begin(COLOUR_WARNING), stdout);
        print_barred(check);
        if (failed)
                (void) fputs(colour_end(), stdout);
}

static int load_log(Ctl *ctl, const char *path, char **ret, size_t *ret_size, Fault *f)
{
        g_autoptr(BusMessage) reply = NULL;
        g_autofree char *file = NULL;
        int fd, r = bus_request(ctl, BUS_TIMEOUT_USEC, path, INTERFACE_APPROVAL, "CheckLog", &reply,
                                f, NULL);

        if (r >= 0)
                r = bus_read(reply, f, "h", &fd);
        if (r < 0)
                return r;
        file = g_strdup_printf("/proc/self/fd/%d", fd);
        return file_read(file, LOG_MAX, ret, ret_size, f);
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
