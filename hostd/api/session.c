/* SPDX-License-Identifier: MIT */
#include "api/session.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <systemd/sd-login.h>

/* The audit subsystem's number for "none". */
#define NUMBER_NONE UINT32_MAX

static bool read_number(pid_t pid, const char *file, uint32_t *ret)
{
        g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int) pid, file);
        g_autofree char *text = NULL;
        guint64 number;

        if (file_read(path, 64, &text, NULL, NULL) < 0 ||
            !g_ascii_string_to_unsigned(g_strchomp(text), 10, 0, UINT32_MAX, &number, NULL))
                return false;
        *ret = (uint32_t) number;
        return number != NUMBER_NONE;
}

/* Sessions are numbered anew after each boot, and approvals survive one. */
static char *read_boot(void)
{
        g_autofree char *text = NULL;

        if (file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL, NULL) < 0)
                return g_strdup("");
        return g_strdup(g_strchomp(text));
}

void session_read(pid_t pid, Caller *ret)
{
        g_autofree char *boot = read_boot();
        uint32_t number;
        char *session = NULL;

        ret->has_login = read_number(pid, "loginuid", &number);
        if (ret->has_login)
                ret->login_uid = number;
        ret->session[0] = '\0';
        if (read_number(pid, "sessionid", &number))
                (void) g_snprintf(ret->session, sizeof ret->session, "%s/%u", boot, number);
        else if (sd_pid_get_session(pid, &session) >= 0)
                (void) g_snprintf(ret->session, sizeof ret->session, "%s/%s", boot, session);
        free(session);
}
