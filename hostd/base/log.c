/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/escape.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

static int max_priority = LOG_INFO;

void log_set_max_priority(int priority)
{
        max_priority = priority;
}

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of the stream that stderr is. */
static bool stderr_is_journal(void)
{
        const char *stream = g_getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static void send_to_journal(int priority, const char *const *fields, const char *text)
{
        g_autofree char *message = g_strdup_printf("MESSAGE=%s", text);
        g_autofree char *level = g_strdup_printf("PRIORITY=%d", priority);
        struct iovec iov[18] = {{message, strlen(message)}, {level, strlen(level)}};
        size_t n = 2;

        for (; fields && *fields && n < G_N_ELEMENTS(iov); fields++)
                iov[n++] = (struct iovec){(char *) *fields, strlen(*fields)};
        (void) sd_journal_sendv(iov, (int) n);
}

static bool goes_to_journal(void)
{
        static gsize once;
        static bool to_journal;

        if (g_once_init_enter(&once)) {
                to_journal = stderr_is_journal();
                g_once_init_leave(&once, 1);
        }
        return to_journal;
}

__attribute__((format(printf, 3, 0))) static void write_out(int priority, const char *const *fields,
                                                            const char *format, va_list ap)
{
        g_autofree char *raw = g_strdup_vprintf(format, ap);
        char text[2048];

        (void) escape_print_into(text, sizeof text, raw, strlen(raw));
        if (goes_to_journal()) {
                send_to_journal(priority, fields, text);
                return;
        }
        GString *line = g_string_new(text);
        for (; fields && *fields; fields++)
                g_string_append_printf(line, " %s", *fields);
        (void) fprintf(stderr, "%s\n", line->str);
        (void) g_string_free(line, TRUE);
}

void log_fields(int priority, const char *const *fields, const char *format, ...)
{
        va_list ap;

        if (priority > max_priority)
                return;
        va_start(ap, format);
        write_out(priority, fields, format, ap);
        va_end(ap);
}

void log_record(const char *const *fields, const char *format, ...)
{
        va_list ap;

        if (LOG_INFO > max_priority && !goes_to_journal())
                return;
        va_start(ap, format);
        write_out(LOG_INFO, fields, format, ap);
        va_end(ap);
}
